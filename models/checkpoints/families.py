"""The registry of generator families: a family is one file and one line here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.checkpoints import (
    encoders,
    genforce,
    mmgeneration,
    nvidia,
    nvidia_states,
    rosinality,
    tensorflow,
)
from models.checkpoints.containers import Contents, read_contents
from models.checkpoints.neutral import load_neutral
from models.checkpoints.notes import Notes
from models.checkpoints.refusals import refusal
from models.checkpoints.sniff import FileKind, sniff
from models.errors import CheckpointError
from models.stylegan2.networks import Generator


@dataclass(frozen=True)
class Family:
    """One way in which generators are written.

    Attributes:
        name: as reports spell it.
        recognises: whether the objects of a file are of this family.
        build: the generator out of the objects, given the file's name for messages and where to
            note what the file did not say.
    """

    name: str
    recognises: Callable[[Any], bool]
    build: Callable[[Any, str, Notes], Generator]


FAMILIES: Sequence[Family] = (
    Family("nvidia", nvidia.recognises, nvidia.build),
    Family("nvidia-state-dict", nvidia_states.recognises, nvidia_states.build),
    Family("rosinality", rosinality.recognises, rosinality.build),
    Family("tensorflow", tensorflow.recognises, tensorflow.build),
    Family("mmgeneration", mmgeneration.recognises, mmgeneration.build),
    Family("genforce", genforce.recognises, genforce.build),
    Family("psp-decoder", encoders.recognises, encoders.build),
)


def read_generator(path: Path, notes: Notes | None = None) -> Generator:
    """The generator in `path`; see `models.checkpoints.load_generator`.

    Args:
        path: the file.
        notes: receives what was inferred, estimated and ignored.
    """
    if sniff(path) is FileKind.SAFETENSORS:
        return load_neutral(path)
    contents = read_contents(path)
    family = family_of(contents, path)
    return family.build(contents.root, str(path), notes if notes is not None else Notes())


def family_of(contents: Contents, path: Path) -> Family:
    """The first family that knows these objects.

    Raises:
        CheckpointError: none does; the message lists what was found.
    """
    for family in FAMILIES:
        if family.recognises(contents.root):
            return family
    root = contents.root
    if known := refusal(root):
        raise CheckpointError(f"{path} holds {known}")
    found = f"keys {sorted(map(str, root))[:8]}" if isinstance(root, dict) else type(root).__name__
    inert = f"; not imported: {sorted(contents.inert)[:8]}" if contents.inert else ""
    names = ", ".join(family.name for family in FAMILIES)
    raise CheckpointError(f"{path} is of no known family ({names}): found {found}{inert}")

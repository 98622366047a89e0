"""Generators as genforce writes them (also SeFa's and InterFaceGAN's zoo).

The names are near NVIDIA's; the values keep TensorFlow's conventions.
"""

from typing import Any

from models.checkpoints.completion import complete
from models.checkpoints.neutral import build_generator
from models.checkpoints.notes import Notes
from models.checkpoints.parts import Part, Role
from models.checkpoints.renaming import count, described, renamed, with_our_signs
from models.checkpoints.state_dicts import find, note_ignored
from models.stylegan2.networks import Generator

NETWORKS = ("generator_smooth", "generator")
SIGNATURE = ("mapping.dense0.weight", "synthesis.early_layer.const", "synthesis.layer0.weight")
_NO_WEIGHT = ("kernel", "filter", "lod", "truncation")
"""Words in the names of buffers that follow from the settings."""


def recognises(root: Any) -> bool:
    """Whether `root` is a checkpoint {generator_smooth, ..} or a bare state dict of theirs."""
    return find(root, NETWORKS, SIGNATURE) is not None


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The averaged generator.

    Raises:
        CheckpointError: weights that are not a whole generator; the message names a key.
    """
    found = find(root, NETWORKS, SIGNATURE)
    assert found is not None
    name, state = found
    blocks = count(state, r"synthesis\.output\d+\.bias")
    depth = count(state, r"mapping\.dense\d+\.weight")
    tensors, left = renamed(state, blocks, depth, spelling, source)
    config = described(tensors, blocks, source, notes)
    unknown = {k: t for k, t in left.items() if not any(word in k for word in _NO_WEIGHT)}
    if name:
        note_ignored(root, (name,), notes)
    completed = complete(config, with_our_signs(tensors) | unknown, notes)
    return build_generator(config, completed, source)


def spelling(part: Part) -> str:
    """Their name of a part; a name that is in no file for what they do not have."""
    kind = part.kind.replace("affine", "style").replace("noise_const", "noise")
    match part.role:
        case Role.AVERAGE:
            return "truncation.w_avg"
        case Role.MAPPING:
            return f"mapping.dense{part.index}.{kind}"
        case Role.CONSTANT:
            return "synthesis.early_layer.const"
        case Role.CONV:
            return f"synthesis.layer{part.index}.{kind}"
        case Role.RGB:
            return f"synthesis.output{part.index}.{kind}"
        case _:
            return f"(none) {part.key}"

"""Checkpoint files of every known family, read without running a byte of them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.stylegan2.networks import Generator


def load_generator(path: str | Path) -> "Generator":
    """The generator in `path`, whatever family wrote it, on the CPU and in eval mode.

    The family is found by content; the file's name is not looked at.

    Raises:
        CheckpointError: not a generator of a known family; the message says why.
    """
    from models.checkpoints.families import read_generator  # torch loads on first use only

    return read_generator(Path(path))

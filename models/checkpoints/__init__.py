"""Checkpoint files of every known family, read without running a byte of them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.encoders.encoder import Encoder
    from models.stylegan2.networks import Generator


def load_generator(path: str | Path) -> "Generator":
    """The generator in `path`, whatever family wrote it, on the CPU and in eval mode.

    The family is found by content; the file's name is not looked at.

    Raises:
        CheckpointError: not a generator of a known family; the message says why.
    """
    from models.checkpoints.families import read_generator  # torch loads on first use only

    return read_generator(Path(path))


def load_encoder(
    path: str | Path, family: str | None = None, input_size: tuple[int, int] | None = None
) -> "Encoder":
    """The encoder in `path`, on the CPU and in eval mode, with the generator of the same file.

    Args:
        path: a file of pSp, e4e, ReStyle-pSp or ReStyle-e4e, or our own.
        family: "psp" or "e4e"; needed only where the file does not say.
        input_size: (H, W) of what it looks at; 256 x 256 where the file does not say.

    Raises:
        CheckpointError: not such a file; the message says what it is and what can be done.
        ValueError: another word for `family`.
    """
    from models.checkpoints.encoders import read_encoder  # torch loads on first use only
    from models.checkpoints.notes import Notes
    from models.encoders.config import Family

    return read_encoder(Path(path), Notes(), Family(family) if family else None, input_size)

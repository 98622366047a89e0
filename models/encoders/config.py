"""What an encoder is, in numbers: enough to rebuild it, and nothing about its weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.descriptions import from_json, to_json, whole_numbers

RESTYLE_ITERATIONS = 5
MOST_CODES = 32
"""The largest StyleGAN2 takes 20; a damaged description must not ask for all of a machine."""

LARGEST_INPUT = 256
SQUEEZE = 16
"""How many times narrower an IR-SE50 block's gate is than the block."""


class Backbone(StrEnum):
    """What turns a picture into three maps."""

    IR_SE50 = "ir-se50"
    RESNET34 = "resnet34"
    SMALL = "small"


class Head(StrEnum):
    """What turns the maps into codes: `w` gives one for all layers, `dense` that or one for each.

    The others give one for each.
    """

    FPN = "fpn"
    LAST_MAP = "last-map"
    W = "w"
    W_PLUS = "w-plus"
    DENSE = "dense"


class Family(StrEnum):
    """Whose way of reading the codes: e4e's later codes are differences from its first."""

    PSP = "psp"
    E4E = "e4e"


@dataclass(frozen=True)
class EncoderConfig:
    """One encoder, fully described; every shape follows from it.

    Attributes:
        backbone: what reads the picture.
        head: what makes codes of the backbone's maps.
        family: how the codes are meant.
        in_channels: 3 for a picture, 6 for a picture beside its reconstruction (ReStyle), 1 or 19
            for sketches and segmentations.
        num_codes: codes the network puts out; 1 for head `w`, and perhaps for `dense`.
        num_ws: codes of the generator it was trained for. Less than `num_codes` where a network
            puts out more than are used (e4e's cars: 16 of 18).
        input_size: (H, W) that pictures are reduced to.
        channels: of the backbone's four stages.
        w_dim: width of a code.
        own_mean: whether the encoder has a mean code of its own; if not, its codes are added to
            the mean w of whichever generator they are for.
    """

    backbone: Backbone
    head: Head
    family: Family
    in_channels: int
    num_codes: int
    num_ws: int
    input_size: tuple[int, int] = (256, 256)
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    w_dim: int = 512
    own_mean: bool = True

    def __post_init__(self) -> None:
        if not all(16 <= side <= LARGEST_INPUT for side in self.input_size):
            raise ValueError(f"input_size {self.input_size} is not within 16 to {LARGEST_INPUT}")
        if len(self.channels) != 4 or min(self.channels) < SQUEEZE:
            raise ValueError(f"channels must be 4 widths of {SQUEEZE} and more: {self.channels}")
        if min(self.w_dim, self.in_channels) < 1:
            raise ValueError(f"{self.in_channels} channels to codes of width {self.w_dim}")
        one = self.num_codes == 1
        if self.head is not Head.DENSE and (self.head is Head.W) != one:
            raise ValueError(f"head {self.head} does not give {self.num_codes} codes")
        if max(self.num_ws, self.num_codes) > MOST_CODES:
            raise ValueError(f"codes are at most {MOST_CODES}, not {self.num_codes}, {self.num_ws}")
        if self.num_ws < 1 or 1 < self.num_codes < self.num_ws:
            raise ValueError(f"{self.num_codes} codes do not steer {self.num_ws} layers")

    @property
    def restyle(self) -> bool:
        """Whether it looks at a picture beside its reconstruction, again and again."""
        return self.in_channels == 6

    @property
    def picture_channels(self) -> int:
        """Channels of the pictures it is given."""
        return 3 if self.restyle else self.in_channels

    @property
    def iterations(self) -> int:
        """How often it looks, unless told otherwise: 5 times for ReStyle, once for the others."""
        return RESTYLE_ITERATIONS if self.restyle else 1

    def to_json(self) -> str:
        """This description as one line of JSON with sorted keys."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "EncoderConfig":
        """The description that `to_json` wrote.

        Raises:
            ValueError: not JSON, unknown or missing fields, or numbers that contradict each other.
        """
        return from_json(cls, text, "an encoder", _KINDS)


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "backbone": Backbone,
    "head": Head,
    "family": Family,
    "input_size": whole_numbers,
    "channels": whole_numbers,
}

"""What a StyleGAN2 generator is, in numbers: enough to rebuild it, and nothing about training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.descriptions import from_json, to_json, whole_numbers

MAX_BLOCKS = 10
MAX_PIXELS = 2**22
MAX_WIDTH = 2**14
MAX_TAPS = 64
MAX_DEPTH = 64
"""Above any network there is; a damaged description must not ask for all of a machine's memory."""


class Architecture(StrEnum):
    """How the image leaves the synthesis network ([K20] figure 7)."""

    SKIP = "skip"
    """Every block adds to an image that grows with them."""

    RESNET = "resnet"
    """Blocks have a shortcut; the last one draws the image."""

    ORIG = "orig"
    """A plain chain; the last block draws the image."""


@dataclass(frozen=True)
class GeneratorConfig:
    """One generator, fully described; every shape follows from it.

    Attributes:
        z_dim: width of the latent z; 0 where labels alone choose the image.
        w_dim: width of the intermediate latent w.
        image_shape: (C, H, W). H is 4 times a power of two; W may differ (StyleGAN-Human).
        channels: feature channels of each block, coarse to fine, from 4 pixels to H.
        mapping_widths: output width of each mapping layer; the last is `w_dim`.
        label_dim: width of the label vector, 0 for none.
        label_embed_dim: width of the embedded label, 0 without labels.
        mapping_lr_multiplier: the factor m of the mapping's equalised learning rate.
        conv_clamp: activations and RGB are clipped to +- this; None for never.
        fir: taps of the separable resampling filter, any scale; an even number, for one of odd
            length is the same filter with a 0 before it.
        use_noise: whether styled convolutions add noise.
        architecture: how the image leaves the network.
        half_from: blocks of at least so many rows were made to run in half precision; None for
            none.
    """

    z_dim: int
    w_dim: int
    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    mapping_widths: tuple[int, ...]
    label_dim: int = 0
    label_embed_dim: int = 0
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    fir: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0)
    use_noise: bool = True
    architecture: Architecture = Architecture.SKIP
    half_from: int | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_numbers()

    def _check_shapes(self) -> None:
        height, width = self.image_shape[1:]
        blocks = len(self.channels)
        if not 0 < blocks <= MAX_BLOCKS:
            raise ValueError(f"a generator has 1 to {MAX_BLOCKS} blocks, not {blocks}")
        if height != 2 ** (blocks + 1):
            raise ValueError(f"{blocks} blocks draw {2 ** (blocks + 1)} rows, not {height}")
        if width % 2 ** (blocks - 1) or width < 1:
            raise ValueError(f"width {width} is not a multiple of {2 ** (blocks - 1)}")
        if height * width > MAX_PIXELS:
            raise ValueError(f"an image has at most {MAX_PIXELS} pixels, not {height} x {width}")
        if not self.mapping_widths or self.mapping_widths[-1] != self.w_dim:
            raise ValueError(f"mapping_widths {self.mapping_widths} must end in {self.w_dim}")
        if len(self.mapping_widths) > MAX_DEPTH:
            depth = len(self.mapping_widths)
            raise ValueError(f"a mapping has at most {MAX_DEPTH} layers, not {depth}")
        widths = (self.image_shape[0], *self.channels, *self.mapping_widths)
        if not all(0 < each <= MAX_WIDTH for each in widths):
            raise ValueError(f"widths must be 1 .. {MAX_WIDTH}, got {widths}")
        inputs = (self.z_dim, self.label_dim, self.label_embed_dim)
        if not all(0 <= each <= MAX_WIDTH for each in inputs) or not any(inputs[:2]):
            raise ValueError(f"z and label widths (z, label, embedded) cannot be {inputs}")

    def _check_numbers(self) -> None:
        if len(self.fir) % 2 or len(self.fir) > MAX_TAPS or sum(self.fir) == 0:
            raise ValueError(f"fir must have an even number of taps and a sum, got {self.fir}")
        if not self.mapping_lr_multiplier > 0:
            raise ValueError(f"mapping_lr_multiplier is {self.mapping_lr_multiplier}, not above 0")
        if self.conv_clamp is not None and not self.conv_clamp > 0:
            raise ValueError(f"conv_clamp is {self.conv_clamp}, neither above 0 nor None")

    @property
    def num_ws(self) -> int:
        """How many w codes steer one image: 2 log2(H) - 2."""
        return 2 * len(self.channels)

    @property
    def resolutions(self) -> list[tuple[int, int]]:
        """(H, W) of each block, coarse to fine."""
        _, height, width = self.image_shape
        last = len(self.channels) - 1
        return [(height >> (last - i), width >> (last - i)) for i in range(last + 1)]

    def to_json(self) -> str:
        """This description as one line of JSON with sorted keys."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "GeneratorConfig":
        """The description that `to_json` wrote.

        Raises:
            ValueError: not JSON, unknown or missing fields, or numbers that contradict each other.
        """
        return from_json(cls, text, "a generator", _KINDS)


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "image_shape": whole_numbers,
    "channels": whole_numbers,
    "mapping_widths": whole_numbers,
    "fir": tuple,
    "architecture": Architecture,
}

"""What a StyleGAN2 generator is, in numbers: enough to rebuild it, and nothing about training."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Architecture(StrEnum):
    """How the image leaves the synthesis network."""

    SKIP = "skip"
    RESNET = "resnet"
    ORIG = "orig"


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
        fir: taps of the separable resampling filter, an even number, any scale.
        use_noise: whether styled convolutions add noise.
        architecture: how the image leaves the network.
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

    def __post_init__(self) -> None:
        height, width = self.image_shape[1:]
        blocks = len(self.channels)
        if blocks == 0 or height != 2 ** (blocks + 1):
            raise ValueError(f"{blocks} blocks draw {2 ** (blocks + 1)} rows, not {height}")
        if width % 2 ** (blocks - 1) or width == 0:
            raise ValueError(f"width {width} is not a multiple of {2 ** (blocks - 1)}")
        if not self.mapping_widths or self.mapping_widths[-1] != self.w_dim:
            raise ValueError(f"mapping_widths {self.mapping_widths} must end in {self.w_dim}")
        if len(self.fir) % 2 or sum(self.fir) == 0:
            raise ValueError(f"fir must have an even number of taps and a sum, got {self.fir}")
        if self.architecture is not Architecture.SKIP:
            raise ValueError(f"architecture {self.architecture} is not supported")

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
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "GeneratorConfig":
        """The description that `to_json` wrote.

        Raises:
            ValueError: not JSON, unknown or missing fields, or numbers that contradict each other.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError(f"a generator description is a JSON object, got {text[:40]!r}")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            raise ValueError(f"unknown fields in the generator description: {unknown}")
        for name in ("image_shape", "channels", "mapping_widths", "fir"):
            if name in fields:
                fields[name] = tuple(fields[name])
        try:
            return cls(**_typed(fields))
        except TypeError as error:
            raise ValueError(f"bad generator description: {error}") from error


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with the architecture as its enum; an unknown word is a ValueError."""
    if "architecture" in fields:
        fields["architecture"] = Architecture(fields["architecture"])
    return fields

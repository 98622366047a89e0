"""The tensors of a StyleGAN2 generator one by one: what each is, its name and its shape.

Pure arithmetic on a description: no network is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from models.stylegan2.config import Architecture, GeneratorConfig


class Role(StrEnum):
    """What a part belongs to."""

    EMBED = "embed"
    MAPPING = "mapping"
    AVERAGE = "average"
    CONSTANT = "constant"
    CONV = "conv"
    RGB = "rgb"
    SKIP = "skip"


@dataclass(frozen=True)
class Part:
    """One tensor.

    Attributes:
        role: of the layer it is in.
        index: of the mapping layer, of the styled convolution (0 at 4 pixels, then two for each
            block) or of the block, whichever `role` counts.
        kind: within the layer: "weight", "bias", "affine.weight", "affine.bias",
            "noise_strength", "noise_const"; "" where the layer is one tensor.
        ndim: axes of the tensor as we keep it.
    """

    role: Role
    index: int
    kind: str
    ndim: int

    @property
    def block(self) -> int:
        """Of a convolution, an image layer or a shortcut: the block it is in, 0 at 4 pixels."""
        return (self.index + 1) // 2 if self.role is Role.CONV else self.index

    @property
    def size(self) -> int:
        """Rows of that block."""
        return 4 << self.block

    @property
    def key(self) -> str:
        """Its name in `Generator.state_dict()`."""
        block = f"synthesis.blocks.{self.size}"
        prefix = {
            Role.EMBED: "mapping.embed",
            Role.MAPPING: f"mapping.layers.{self.index}",
            Role.AVERAGE: "mapping.w_avg",
            Role.CONSTANT: "synthesis.constant",
            Role.CONV: f"{block}.conv{1 - self.index % 2}",
            Role.RGB: f"{block}.to_rgb",
            Role.SKIP: f"{block}.skip",
        }[self.role]
        return f"{prefix}.{self.kind}" if self.kind else prefix


_LINEAR = {"weight": 2, "bias": 1}
_RGB = {"weight": 4, "bias": 1, "affine.weight": 2, "affine.bias": 1}
_CONV = {**_RGB, "noise_strength": 0, "noise_const": 2}


def parts(blocks: int, depth: int) -> Iterator[Part]:
    """All tensors that a generator of so many blocks and mapping layers can have."""
    yield Part(Role.AVERAGE, 0, "", 1)
    yield Part(Role.CONSTANT, 0, "", 3)
    yield from (Part(Role.EMBED, 0, kind, ndim) for kind, ndim in _LINEAR.items())
    for role, count, kinds in (
        (Role.MAPPING, depth, _LINEAR),
        (Role.CONV, 2 * blocks - 1, _CONV),
        (Role.RGB, blocks, _RGB),
        (Role.SKIP, blocks, {"weight": 4}),
    ):
        yield from (Part(role, i, kind, n) for i in range(count) for kind, n in kinds.items())


def shapes_of(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of `Generator(config).state_dict()`.

    Making a network on torch's meta device says the same, but its first arithmetic there loads
    150 MB of Python modules.
    """
    every = parts(len(config.channels), len(config.mapping_widths))
    return {part.key: _shape(part, config) for part in every if _has(config, part)}


def _has(config: GeneratorConfig, part: Part) -> bool:
    """Whether a generator of this description has this tensor."""
    match part.role:
        case Role.EMBED:
            return config.label_dim > 0
        case Role.CONV:
            return config.use_noise or not part.kind.startswith("noise")
        case Role.RGB:
            last = part.index == len(config.channels) - 1
            return config.architecture is Architecture.SKIP or last
        case Role.SKIP:
            return config.architecture is Architecture.RESNET and part.index > 0
        case _:
            return True


def _shape(part: Part, config: GeneratorConfig) -> tuple[int, ...]:
    """The shape of one tensor."""
    if part.role is Role.AVERAGE:
        return (config.w_dim,)
    if part.role is Role.CONSTANT:
        return (config.channels[0], *config.resolutions[0])
    if part.kind == "noise_const":
        return config.resolutions[part.block]
    linear = part.role in (Role.EMBED, Role.MAPPING)
    outs, ins = (_linear if linear else _convolution)(part, config)
    size = 3 if part.role is Role.CONV else 1
    return {
        "weight": (outs, ins, size, size)[: part.ndim],
        "bias": (outs,),
        "affine.weight": (ins, config.w_dim),
        "affine.bias": (ins,),
        "noise_strength": (),
    }[part.kind]


def _linear(part: Part, config: GeneratorConfig) -> tuple[int, int]:
    """Outputs and inputs of a layer of the mapping."""
    if part.role is Role.EMBED:
        return config.label_embed_dim, config.label_dim
    widths = (config.z_dim + config.label_embed_dim, *config.mapping_widths)
    return widths[part.index + 1], widths[part.index]


def _convolution(part: Part, config: GeneratorConfig) -> tuple[int, int]:
    """Outputs and inputs of a layer of the synthesis."""
    own = config.channels[part.block]
    if part.role is Role.RGB:
        return config.image_shape[0], own
    enlarges = part.role is Role.SKIP or part.index % 2 == 1
    return own, config.channels[part.block - 1] if enlarges else own

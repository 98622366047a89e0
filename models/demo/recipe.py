"""How the demo domain's generator is trained: every number, in one table.

Two stages. Regression teaches the generator the renderer itself (z is the face's parameters),
which a CPU manages in minutes; the adversarial stage then trains on unlabelled renders as any
StyleGAN2, for sharp detail and a prior over whole images. `pretrain_images=0` leaves the first
stage out, `adversarial_images=0` the second.

The shipped `generator.safetensors` had both with the preset `narrow`, and was then widened and
trained on by regression with the preset `demo` (`--start`). What else was different: until image
421,000 the rate of `narrow` followed the cosine of 640,000 images, and all through it edges weighed
no more than colours and the middle counted more steeply (0.45, not 0.65, in
`losses.detail_weights`); the rate of `demo` followed the cosine of 320,000 images until image
42,000 and that of 300,000 until image 180,000. Its metadata hold the counts of the second run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.stylegan2.config import GeneratorConfig

IMAGE_SIZE = 64
Z_DIM = 72


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        batch: images per step.
        cache_images: renders kept on disk and drawn from.
        first_images: renders made before the first step; the rest come along the way.
        pretrain_images: images of the regression stage; 0 for none.
        pretrain_growth: (share, size) of the regression stage's first parts, at smaller sizes:
            geometry is learnt there at a fraction of the cost. The rest runs at full size.
        adversarial_growth: the same for the adversarial stage.
        warmup_images: images the discriminator sees, when it begins and whenever images grow,
            before the generator moves again.
        adversarial_images: images of the adversarial stage, the warm-up included.
        generator_channels: features at 4, 8, .. 64 pixels.
        discriminator_channels: features at 64, 32, .. 4 pixels.
        mapping_widths: output widths of the mapping layers, w last.
        pretrain_rate: learning rate in regression; falls to a hundredth along a cosine.
        generator_rate, discriminator_rate: Adam's learning rates in the adversarial stage.
        r1: weight gamma of the gradient penalty.
        r1_every: discriminator steps from one penalty to the next.
        mixing: share of samples whose fine styles come from another z.
        paired: weight of the distance to the render in the adversarial stage, when it begins.
        paired_end: the same when it ends; linear between.
        ema_images: half-life of the averaged generator.
        bfloat16: whether convolutions compute in bfloat16.
        seed: of initial weights, renders and batches.
    """

    batch: int
    cache_images: int
    first_images: int
    pretrain_images: int
    warmup_images: int
    adversarial_images: int
    generator_channels: tuple[int, ...]
    discriminator_channels: tuple[int, ...]
    mapping_widths: tuple[int, ...]
    pretrain_growth: tuple[tuple[float, int], ...] = ((0.2, 16), (0.4, 32))
    adversarial_growth: tuple[tuple[float, int], ...] = ()
    pretrain_rate: float = 6e-3
    generator_rate: float = 5e-4
    discriminator_rate: float = 1e-3
    r1: float = 0.15
    r1_every: int = 16
    mixing: float = 0.3
    paired: float = 1.0
    paired_end: float = 0.5
    ema_images: int = 8_000
    bfloat16: bool = True
    seed: int = 0

    def pretrain_size(self, images: int) -> int:
        """Image size after `images` of the regression stage."""
        return _size_at(self.pretrain_growth, images, self.pretrain_images)[0]

    def adversarial_size(self, images: int) -> tuple[int, int]:
        """Image size after `images` of the adversarial stage, and since how many images."""
        return _size_at(self.adversarial_growth, images, self.adversarial_images)

    def generator_config(self) -> GeneratorConfig:
        """The generator this recipe trains."""
        return GeneratorConfig(
            z_dim=Z_DIM,
            w_dim=self.mapping_widths[-1],
            image_shape=(3, IMAGE_SIZE, IMAGE_SIZE),
            channels=self.generator_channels,
            mapping_widths=self.mapping_widths,
            mapping_lr_multiplier=0.1,
        )


def _size_at(growth: tuple[tuple[float, int], ...], images: int, total: int) -> tuple[int, int]:
    """The part of `growth` that is due after `images` of `total`: its size, images within it."""
    begin = 0
    for share, size in growth:
        end = begin + round(share * total)
        if images < end:
            return size, images - begin
        begin = end
    return IMAGE_SIZE, images - begin


_WIDE = ((160, 160, 160, 96, 64), (32, 48, 64, 96, 96), (256, 256, 256, 80))
_SMALL = ((96, 96, 96, 64, 32), (32, 48, 64, 96, 96), (256, 256, 256, 80))
_TINY = ((8, 8, 8, 8, 8), (8, 8, 8, 8, 8), (16, 64))

# fmt: off
PRESETS: Mapping[str, Recipe] = MappingProxyType({
    #                    batch  cache  first  pretrain  warm-up  adversarial  widths
    "demo":        Recipe(32,  60_000, 8_192, 360_000,   5_000,          0, *_WIDE,
                          pretrain_growth=(), pretrain_rate=3e-3),
    "narrow":      Recipe(32,  60_000, 8_192, 560_000,   5_000,     60_000, *_SMALL),
    "adversarial": Recipe(32,  60_000, 8_192,       0,       0,  2_000_000, *_SMALL),
    "smoke":       Recipe( 4,      16,     8,       8,       8,         16, *_TINY),
})
# fmt: on

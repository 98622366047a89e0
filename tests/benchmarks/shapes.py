"""What is labelled in the benchmark of labelling: networks of the sizes that people use.

Everything is drawn from a seed, so that processes that measure apart have the same inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.neutral import load_neutral
from models.drawing import batch_size
from models.heads.base import Vote
from models.label_generator import LabelGenerator, label_size
from models.labels import SegmentationSpec
from models.pixel_mlps import MemberwiseBatchNorm, PixelMLPs
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator
from tests.benchmarks.faces import GENERATOR

SEED = 6
MEMBERS = 10


@dataclass(frozen=True)
class Shape:
    """A generator and an ensemble for it.

    Attributes:
        channels: of the generator's blocks, from 4 pixels upwards.
        hidden: widths of a member's hidden layers.
        classes: K.
        members: M.
        checkpoint: of a generator that is there; without one its weights are random.
    """

    channels: tuple[int, ...]
    hidden: tuple[int, int]
    classes: int
    members: int = MEMBERS
    checkpoint: Path | None = None

    @property
    def config(self) -> GeneratorConfig:
        """The generator: of square images."""
        edge = 2 ** (len(self.channels) + 1)
        return GeneratorConfig(
            z_dim=512,
            w_dim=512,
            image_shape=(3, edge, edge),
            channels=self.channels,
            mapping_widths=(512,) * 8,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the labels."""
        return label_size(self.config.image_shape[1:])

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """C, h1, h2, K."""
        # The constant and conv1 at 4 pixels, two convolutions in each other block.
        return 2 * sum(self.channels), *self.hidden, self.classes


CONFIG_F = (512, 512, 512, 512, 512, 256, 128, 64, 32)
SHAPES: Mapping[str, Shape] = {
    "demo-64": Shape((96, 96, 96, 64, 32), (32, 16), 9, checkpoint=GENERATOR),
    "config-e-256": Shape((512, 512, 512, 512, 256, 128, 64), (256, 32), 19),
    "ffhq-1024": Shape(CONFIG_F, (256, 32), 19),
    "car-512": Shape(CONFIG_F[:-1], (512, 256), 10),
}
"""The demo's, with its default hidden widths; 256 pixels of config-e; the two of the paper."""

ON_CPU = ("demo-64", "config-e-256")
"""Those that are measured in minutes on a CPU."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        generator: draws the images.
        ws: float32 [N, num_ws, w_dim], of as many images as a generation draws together.
        mlps: the ensemble, as training leaves it.
        label_generator: the same, folded.
    """

    generator: Generator
    ws: Tensor
    mlps: PixelMLPs
    label_generator: LabelGenerator

    def features(self) -> list[Tensor]:
        """The maps of all images."""
        return self.generator.synthesize_with_features(self.ws)[1]


@torch.no_grad()
def subject(shape: Shape, device: torch.device) -> Subject:
    """Networks and codes of a shape, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        generator = _generator(shape)
        mlps = PixelMLPs(shape.widths, shape.members, SEED)
        for norm in mlps.norms:
            _settle(norm)
        z = torch.randn(batch_size(device, shape.config.image_shape[1:]), generator.z_dim)
    channels = shape.widths[0]
    made = LabelGenerator(
        layers=mlps.folded(torch.zeros(channels), torch.ones(channels)),
        spec=SegmentationSpec(classes=tuple(f"class {k}" for k in range(shape.classes))),
        size=shape.size,
        vote=Vote.SOFT,
        feature_shapes=tuple(generator.feature_shapes),
        generator_sha256="0" * 64,
    )
    generator.to(device)
    return Subject(generator, generator.map(z.to(device)), mlps.eval(), made.to(device))


def _generator(shape: Shape) -> Generator:
    drawn = load_neutral(shape.checkpoint) if shape.checkpoint else Generator(shape.config)
    return drawn.eval().requires_grad_(False)


def _settle(norm: torch.nn.Module) -> None:
    """Running means, deviations, gains and shifts as they may be after training."""
    assert isinstance(norm, MemberwiseBatchNorm)
    norm.mean.uniform_(0.1, 0.5)
    norm.variance.uniform_(0.5, 2)
    norm.gain.uniform_(0.5, 1.5)
    norm.shift.normal_(0, 0.1)

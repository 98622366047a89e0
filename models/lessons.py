"""What a label generator learns from: features of the labelled images, and each pixel's target.

Features stay at their native resolution, in half precision; whoever learns reads the few
neighbours of the pixels that are asked for, and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from models.configs import Mode
from models.feature_tables import FeatureTable, at_pixels
from models.heads import head_of
from models.heads.base import Head, Size
from models.label_generator import label_size
from models.labels import LabelSpec
from models.progress import Report
from models.stylegan2.networks import Generator


@dataclass(frozen=True)
class Pixels:
    """Cached features and the targets of all pixels of N images.

    Attributes:
        table: features of the N images.
        targets: of all pixels, as the head gives them: int64 [N * H * W], or float32
            [N * H * W, K].
        scaling: means and deviations float32 [C] that the features had before they were
            standardised; None where they are as the generator gave them.
    """

    table: FeatureTable
    targets: Tensor
    scaling: tuple[Tensor, Tensor] | None = None

    def standardised(self) -> "Pixels":
        """The same with standardised features: in place, so what they were is gone."""
        return self if self.scaling else replace(self, scaling=self.table.standardise())

    def read(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Hypercolumns float32 [*shape, C] and targets of the pixels `chosen` int64 [*shape]."""
        values = at_pixels(self.table, chosen.reshape(-1))
        return values.view(*chosen.shape, -1), self.targets[chosen]


@dataclass(frozen=True)
class Lesson:
    """N labelled images, ready to be learnt from.

    Attributes:
        pixels: on the device to compute on.
        spec: what the labels mean.
        head: what is learnt; it knows all the labels.
        labels: of the images, arrays as `spec` says.
        image_sizes: (h, w) of each image, in whose pixels its keypoints are.
        size: (H, W) of what is predicted.
        shapes: (C_l, h_l, w_l) of the generator's maps, constant first.
    """

    pixels: Pixels
    spec: LabelSpec
    head: Head
    labels: Sequence[NDArray[Any]]
    image_sizes: Sequence[Size]
    size: Size
    shapes: tuple[tuple[int, int, int], ...]


def lesson_of(
    generator: Generator,
    latents: Tensor,
    labels: Sequence[NDArray[Any]],
    spec: LabelSpec,
    mode: Mode,
    report: Report,
    image_sizes: Sequence[Size] | None = None,
) -> Lesson:
    """The lesson of latents and the labels of the images they stand for.

    Args:
        generator: on the device to compute on.
        latents: float32 [N, num_ws, w_dim].
        labels: of the N images, arrays as `spec` says; masks and depth maps of any size.
        spec: what the labels mean.
        mode: `paper` leaves features as they are and takes specks out of masks; `default`
            standardises features.
        report: told phase `synthesising` (images).
        image_sizes: (h, w) of each labelled image; if left out, that of the predicted labels.

    Raises:
        TrainingImpossible: the labels say nothing at all.
    """
    size = label_size(generator.image_shape[1:])
    head = head_of(spec).fitted(labels)
    if mode == "paper":
        labels = [head.cleaned(label, size) for label in labels]
    table, shapes = _cached_features(generator, latents, size, report)
    sizes = image_sizes or [size] * len(labels)
    pairs = zip(labels, sizes, strict=True)
    targets = torch.cat([head.targets(label, size, image) for label, image in pairs])
    pixels = Pixels(table, targets.to(generator.w_avg.device))
    if mode != "paper":
        pixels = pixels.standardised()
    return Lesson(pixels, spec, head, labels, sizes, size, shapes)


def _cached_features(
    generator: Generator, latents: Tensor, size: Size, report: Report
) -> tuple[FeatureTable, tuple[tuple[int, int, int], ...]]:
    """Feature maps of all images in half precision, and the shapes they came in."""
    parts = []
    for done, ws in enumerate(torch.split(latents, 1), start=1):
        with torch.no_grad():
            _, features = generator.synthesize_with_features(ws.to(generator.w_avg.device))
        parts.append(FeatureTable.build(features, size, torch.float16))
        report("synthesising", done, len(latents), "images")
    return FeatureTable.join(parts), tuple((f.shape[1], f.shape[2], f.shape[3]) for f in features)

"""What a label generator learns from: features of the labelled images, and each pixel's target.

Features stay at their native resolution, in half precision; whoever learns reads the few
neighbours of the pixels that are asked for, and no more. Features and targets of all images are
the greater part of the memory that training takes, so each is made once, at its full size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from models.configs import Mode
from models.feature_tables import FeatureTable, Shape, at_pixels, level_shapes
from models.heads import head_of
from models.heads.base import Head, Size
from models.label_generator import label_size
from models.labels import LabelSpec
from models.progress import Report
from models.stylegan2.networks import Generator
from models.table_places import new_table, place_for, room_beside

KEPT_AS = torch.float16
"""The precision that features are kept in."""


@dataclass(frozen=True)
class Pixels:
    """Cached features and the targets of all pixels of N images.

    Attributes:
        table: features of the N images, wherever they found room.
        targets: of all pixels, as the head gives them: int64 [N * H * W], or float32
            [N * H * W, K]; on the device to compute on.
        scaling: means and deviations float32 [C] that the features had before they were
            standardised; None where they are as the generator gave them.
    """

    table: FeatureTable
    targets: Tensor
    scaling: tuple[Tensor, Tensor] | None = None

    def standardised(self) -> "Pixels":
        """The same with standardised features: in place, so what they were is gone."""
        if self.scaling:
            return self
        mean, deviation = (s.to(self.targets.device) for s in self.table.standardise())
        return replace(self, scaling=(mean, deviation))

    def read(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Hypercolumns float32 [*shape, C] and targets of the pixels `chosen` int64 [*shape]."""
        values = at_pixels(self.table, chosen.reshape(-1))
        return values.view(*chosen.shape, -1), self.targets[chosen]


@dataclass(frozen=True)
class Lesson:
    """N labelled images, ready to be learnt from.

    Attributes:
        pixels: of all images.
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
    scratch: Path | None = None,
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
        scratch: a folder for features that no memory has room for; if left out, the system's for
            temporary files. Whatever happens, nothing stays there.

    Raises:
        TrainingImpossible: the labels say nothing at all.
        OSError: there is no room for the features in the folder either.
    """
    size = label_size(generator.image_shape[1:])
    head = head_of(spec).fitted(labels)
    if mode == "paper":
        labels = [head.cleaned(label, size) for label in labels]
    table = _cached_features(generator, latents, size, report, scratch)
    sizes = image_sizes or [size] * len(labels)
    targets = _targets(head, labels, size, sizes, generator.w_avg.device)
    pixels = Pixels(table, targets)
    if mode != "paper":
        pixels = pixels.standardised()
    shapes = tuple(generator.feature_shapes)
    return Lesson(pixels, spec, head, labels, sizes, size, shapes)


def _targets(
    head: Head,
    labels: Sequence[NDArray[Any]],
    size: Size,
    image_sizes: Sequence[Size],
    device: torch.device,
) -> Tensor:
    """The targets of all pixels of all images."""
    area = size[0] * size[1]
    first = head.targets(labels[0], size, image_sizes[0])
    targets = torch.empty(len(labels) * area, *first.shape[1:], dtype=first.dtype, device=device)
    pairs = zip(torch.split(targets, area), labels, image_sizes, strict=True)
    for part, label, image in pairs:
        part.copy_(head.targets(label, size, image))
    return targets


def _cached_features(
    generator: Generator, latents: Tensor, size: Size, report: Report, scratch: Path | None
) -> FeatureTable:
    """Feature maps of all images in half precision, where they find room."""
    table = _room_for(len(latents), generator.feature_shapes, size, generator.w_avg.device, scratch)
    for index, ws in enumerate(torch.split(latents, 1)):
        _put(table, index, generator, ws.to(generator.w_avg.device))
        report("synthesising", index + 1, len(latents), "images")
    return table


def _room_for(
    count: int, shapes: Sequence[Shape], size: Size, device: torch.device, scratch: Path | None
) -> FeatureTable:
    """A table for half-precision maps of shapes (C_l, h_l, w_l) of so many images."""
    numbers = count * sum(channels * h * w for channels, h, w in level_shapes(shapes, size))
    place = place_for(numbers * KEPT_AS.itemsize, room_beside(device))

    def new(rows: int, channels: int) -> Tensor:
        return new_table((rows, channels), KEPT_AS, place, device, scratch)

    return FeatureTable.empty(count, shapes, size, new)


@torch.no_grad()
def _put(table: FeatureTable, index: int, generator: Generator, ws: Tensor) -> None:
    """Keep the features of image `index`, with ws [1, num_ws, w_dim]; all else is gone after it."""
    table.put(index, generator.feature_maps(ws))

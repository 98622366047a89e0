"""Whether labels and inversions agree: each image labelled by those that never saw it.

For every training image a small network of its own learns from all the others, all networks side
by side in one batched ensemble, and labels that image. Where an inversion misses its image, or a
label is wrong, what the others teach is not what the label says. With more than MOST images, a
network leaves out several, and each image is still left out of exactly one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.configs import LabelGeneratorConfig
from models.heads.base import Vote, labelled, mismatch
from models.label_generator_training import train_apart
from models.lessons import Lesson
from models.outliers import outliers
from models.pixel_mlps import PixelMLPs
from models.pixel_orders import AllBut
from models.progress import Report

MOST = 64
"""Networks that are trained at most."""
FEWEST = 3
"""Images that it takes to tell one from the others."""
STEPS = 500
PIXELS = 2560
"""Drawn for each step by all networks together."""

_NUMBERS_AT_ONCE = 2**24
"""Of hypercolumns that are read together to label an image."""


@dataclass(frozen=True)
class Agreement:
    """What the other images teach of one, against its own label.

    Attributes:
        predicted: a label at the lesson's size.
        mismatch: float32 [H, W] from 0 to 1, where that is not the image's own label.
        error: how far they are apart, as the head of the kind measures it (`Head.compare`); NaN
            where the image's own label says nothing.
        figures: by name, in the kind's own terms.
        suspect: whether the error stands out by the rule of `models.outliers`.
    """

    predicted: NDArray[Any]
    mismatch: NDArray[np.float32]
    error: float
    figures: Mapping[str, Any]
    suspect: bool


def label_agreement(
    lesson: Lesson, config: LabelGeneratorConfig, report: Report
) -> tuple[Agreement, ...]:
    """How each image of a lesson agrees with all the others.

    Args:
        lesson: its features are standardised in place, where they are not yet.
        config: of the label generator; its seed holds here, and its steps where they are fewer.
        report: told phases `checking` (steps) and `comparing` (images).

    Returns:
        one for each image; none at all where there are fewer than three images, or where all that
        is labelled is in the images of one network.
    """
    pixels, count = lesson.pixels.standardised(), len(lesson.labels)
    pools = _pools(lesson, min(count, MOST))
    if count < FEWEST or not all(len(pool) for pool in pools):
        return ()
    settings = LabelGeneratorConfig(
        members=len(pools),
        batch=max(16, PIXELS // len(pools)),
        max_steps=min(config.max_steps or STEPS, STEPS),
        seed=config.seed,
    )
    network = train_apart(pixels, pools, lesson.head, settings, report)
    found = []
    for index in range(count):
        found.append(_compared(lesson, network, index))
        report("comparing", index + 1, count, "images")
    suspects = outliers([each[2] for each in found], lesson.head.same)
    return tuple(Agreement(*each, index in suspects) for index, each in enumerate(found))


def _pools(lesson: Lesson, folds: int) -> list[AllBut]:
    """For each network, the labelled pixels it learns from: image i is not in pool i mod folds."""
    pool = labelled(lesson.pixels.targets).nonzero().squeeze(1)
    fold = torch.arange(len(lesson.labels)) % folds
    area = lesson.size[0] * lesson.size[1]
    return [AllBut(pool, area, fold != own) for own in range(folds)]


def _compared(
    lesson: Lesson, network: PixelMLPs, index: int
) -> tuple[NDArray[Any], NDArray[np.float32], float, Mapping[str, Any]]:
    """An image labelled by the network that never saw it, and how that compares."""
    head, size = lesson.head, lesson.size
    predicted = _predicted(lesson, network, index)
    own = lesson.labels[index], size, lesson.image_sizes[index]
    apart = mismatch(head.targets(predicted, size), head.targets(*own))
    likeness = head.compare(predicted, *own)
    return predicted, apart.view(size).numpy(), likeness.error, likeness.figures


def _predicted(lesson: Lesson, network: PixelMLPs, index: int) -> NDArray[Any]:
    """The label of an image, by the network that never saw it."""
    height, width = lesson.size
    member = index % len(network.weights[0])
    first, device = index * height * width, lesson.pixels.targets.device
    everywhere = torch.arange(first, first + height * width, device=device)
    together = max(1, _NUMBERS_AT_ONCE // lesson.pixels.table.channels)
    decisions = [
        lesson.head.decide(network.of_member(member, lesson.pixels.read(some)[0]), Vote.SOFT)
        for some in torch.split(everywhere, together)
    ]
    values = torch.cat([decision.values for decision in decisions])
    doubt = torch.cat([decision.uncertainty for decision in decisions])
    whole = lesson.head.finish(values.view(1, height, width, -1), doubt.view(1, height, width))
    label: NDArray[Any] = whole.values[0].cpu().numpy()
    return label

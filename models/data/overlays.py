"""Labels drawn over the pictures they belong to, so that people see whether they fit. Pure.

`ingest_sheet` is what a report shows of a dataset: items side by side under their keys, each
picture above the same picture with its labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from models.data.fitting import Canvas, Resize, fit
from models.data.images import Pixels
from models.data.kinds import kind_of
from models.data.labelled import LabelArray, Labelled
from models.data.pictures import (
    colourise,
    contact_sheet,
    depth_colours,
    draw_keypoints,
    palette_of,
)
from models.labels import DepthSpec, KeypointsSpec, LabelSpec, SegmentationSpec

COLUMNS = 8
"""Items side by side."""

TILE = 192
"""Longest side of a picture on the sheet, in pixels."""

_TINT = 0.45
"""Share of a label's colour in what lies under it."""


def overlay(image: Pixels, label: LabelArray, spec: LabelSpec) -> Pixels:
    """A picture [H, W, 3] with one label over it.

    Masks tint all but the background and outline every class; keypoints are dots joined by the
    skeleton; depth tints from yellow, near, to violet, far, where it is known.
    """
    return OVERLAYS[spec.kind](image, label, spec)


def ingest_sheet(items: Sequence[Labelled], specs: Sequence[LabelSpec]) -> Pixels:
    """Items in bands of eight, each picture above its overlays, with legends at the bottom.

    Args:
        items: at least one, each with labels of some of the kinds.
        specs: what the labels mean; a row for each.
    """
    bands = [
        _band(items[start : start + COLUMNS], specs) for start in range(0, len(items), COLUMNS)
    ]
    width = max(band.shape[1] for band in bands)
    legends = [kind_of(spec).legend(width) for spec in specs]
    return np.concatenate([_widened(part, width) for part in (*bands, *legends)])


def thumbnail(item: Labelled, specs: Sequence[LabelSpec]) -> Labelled:
    """An item no larger than it is drawn on a sheet, its labels shrunk by their kinds' rules."""
    height, width = item.image.shape[:2]
    scale = TILE / max(height, width)
    if scale >= 1:
        return item
    size = Canvas(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
    return fit(item, specs, Resize(), size).item


def _band(items: Sequence[Labelled], specs: Sequence[LabelSpec]) -> Pixels:
    rows = [[item.image for item in items]]
    for spec in specs:
        rows.append(
            [
                overlay(item.image, item.labels[spec.kind], spec)
                if spec.kind in item.labels
                else item.image
                for item in items
            ]
        )
    return contact_sheet(rows, [item.key for item in items], TILE)


def _widened(picture: Pixels, width: int) -> Pixels:
    """A sheet or a legend as wide as the widest; its last column is paper."""
    missing = width - picture.shape[1]
    return np.pad(picture, ((0, 0), (0, missing), (0, 0)), mode="edge")


def _mask(image: Pixels, mask: LabelArray, spec: SegmentationSpec) -> Pixels:
    colours = colourise(mask, palette_of(spec))
    drawn = np.where((mask > 0)[..., None], _tinted(image, colours), image)
    # A border is drawn once, on the pixels above and left of it.
    border = np.zeros(mask.shape, dtype=bool)
    border[:-1] |= mask[:-1] != mask[1:]
    border[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    drawn[border] = colours[border]
    return drawn


def _keypoints(image: Pixels, points: LabelArray, spec: KeypointsSpec) -> Pixels:
    return draw_keypoints(image, points, spec.skeleton)


def _depth(image: Pixels, depth: LabelArray, _spec: DepthSpec) -> Pixels:
    known = np.isfinite(depth)[..., None]
    return np.where(known, _tinted(image, depth_colours(depth)), image)


def _tinted(image: Pixels, colours: Pixels) -> Pixels:
    mixed = (1 - _TINT) * image + _TINT * colours
    return mixed.round().astype(np.uint8)


OVERLAYS: Mapping[str, Callable[[Pixels, LabelArray, Any], Pixels]] = {
    "segmentation": _mask,
    "keypoints": _keypoints,
    "depth": _depth,
}
"""By kind: a picture, its label and the spec -> the picture with the label over it."""

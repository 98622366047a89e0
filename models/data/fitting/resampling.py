"""Pictures and labels seen through an affine transform, each kind by its own rule.

pictures     bicubic, averaged first where they shrink; pictures alone are ever smoothed over
masks        the class that lies at a pixel's centre (on an edge: the lower or right one)
depth        bilinear between neighbours that have one; none where the nearest has none
keypoints    as points; one that leaves the picture is not labelled any more
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data.fitting.affine import Matrix, after, inverse, moved, shift, stretch
from models.data.fitting.canvas import Canvas, whole_box
from models.data.fitting.policies import Fill
from models.data.images import Pixels
from models.data.labelled import LabelArray
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

_EXACT = 6
"""Decimals of a pixel that count: what differs by less is rounding, not another place."""


@dataclass(frozen=True)
class Move:
    """What lies on one canvas's content, on another's.

    Attributes:
        matrix: from (row, column) of the source to (row, column) of the target, wholes both.
        source, target: the two canvases.
    """

    matrix: Matrix
    source: Canvas
    target: Canvas

    @cached_property
    def within(self) -> Matrix:
        """The transform between the two contents."""
        top, left = self.target.origin
        return after(shift(-top, -left), after(self.matrix, shift(*self.source.origin)))

    @cached_property
    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each pixel of the target's content [H, W] has its centre in the source's.

        Rows and columns, of shapes that broadcast to [H, W]: without a turn [H, 1] and [1, W],
        so that a large picture needs no large grid.
        """
        back, (height, width) = inverse(self.within), self.target.content
        down, across = np.arange(height)[:, None], np.arange(width)[None, :]
        rows, columns = back[0, 0] * down + back[0, 2], back[1, 1] * across + back[1, 2]
        if back[0, 1] or back[1, 0]:
            rows, columns = rows + back[0, 1] * across, columns + back[1, 0] * down
        return rows.round(_EXACT), columns.round(_EXACT)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """bool [height, width] of the target: where there is something of the source."""
        height, width = self.source.content
        rows, columns = (np.floor(place + 0.5) for place in self.places)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return self.target.framed(inside, False)

    def nearest(self, content: LabelArray) -> LabelArray:
        """Of the source's content [h, w], what lies at each pixel of the target's [H, W]."""
        rows, columns = (
            np.clip(np.floor(place + 0.5).astype(np.intp), 0, side - 1)
            for place, side in zip(self.places, content.shape, strict=True)
        )
        found: LabelArray = content[rows, columns]
        return found

    def shown(self, content: LabelArray, outside: float) -> LabelArray:
        """A whole array of the target's content, with `outside` wherever nothing is seen."""
        whole = self.target.framed(content, outside)
        whole[~self.seen] = outside
        return whole

    def cut(self, values: NDArray[Any]) -> NDArray[Any]:
        """The content of an array as large as the source."""
        wanted = (self.source.height, self.source.width)
        if values.shape[:2] != wanted:
            raise ValueError(f"a label is {list(values.shape)}, and its picture {list(wanted)}")
        return values[self.source.slices]


def picture(image: Pixels, move: Move, fill: Fill) -> Pixels:
    """A picture uint8 [h, w, 3] on the target; black outside its content.

    Args:
        image: as large as the source.
        move: how it goes there.
        fill: what the content shows beyond the picture's edges.
    """
    content, matrix, size = move.cut(image), move.within, move.target.content
    laid = _upright(content, matrix, size, fill)
    if laid is None:
        laid = _turned(content, matrix, size, fill)
    return move.target.framed(laid, 0)


def _upright(image: Pixels, matrix: Matrix, size: tuple[int, int], fill: Fill) -> Pixels | None:
    """The picture scaled by axes onto whole pixels; None where that is not what is asked."""
    edges = moved(matrix, [(-0.5, -0.5), (image.shape[0] - 0.5, image.shape[1] - 0.5)]) + 0.5
    start, stop = np.clip(edges.round(_EXACT), 0, size)
    is_whole = not np.any(start % 1) and not np.any(stop % 1) and np.all(start < stop)
    if matrix[0, 1] or matrix[1, 0] or not is_whole:
        return None
    read = moved(inverse(matrix), [start - 0.5, stop - 0.5]) + 0.5
    (top, left), (bottom, right) = np.clip(read, 0, image.shape[:2])
    height, width = (stop - start).astype(int)
    block = Image.fromarray(image).resize(
        (int(width), int(height)),
        Image.Resampling.BICUBIC,
        box=(float(left), float(top), float(right), float(bottom)),
    )
    before, behind = start.astype(int), (np.array(size) - stop).astype(int)
    return _extended(np.asarray(block), before, behind, fill)


def _turned(image: Pixels, matrix: Matrix, size: tuple[int, int], fill: Fill) -> Pixels:
    """The picture through any transform: averaged down to the scale, then read between pixels."""
    image, matrix = _shrunk(image, matrix)
    if fill == "mirror":
        image, matrix = _mirrored_around(image, matrix, size)
    (a, b, c), (d, e, f) = inverse(matrix)
    # Pillow counts from edges, and columns come first.
    data = (e, d, f + 0.5 * (1 - d - e), b, a, c + 0.5 * (1 - a - b))
    canvas = (size[1], size[0])
    laid = Image.fromarray(image).transform(
        canvas, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    )
    return np.array(laid)


def _shrunk(image: Pixels, matrix: Matrix) -> tuple[Pixels, Matrix]:
    """A picture averaged down to about the size it is to have, and the rest of the transform."""
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale >= 1:
        return image, matrix
    size = tuple(max(1, round(side * scale)) for side in image.shape[:2])
    small = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    grown = stretch(whole_box(size), whole_box(image.shape))
    return np.asarray(small), after(matrix, grown)


def _mirrored_around(image: Pixels, matrix: Matrix, size: tuple[int, int]) -> tuple[Pixels, Matrix]:
    """The picture with its mirror image on each side that the canvas reaches beyond."""
    height, width = size
    corners = [(-1, -1), (-1, width), (height, -1), (height, width)]
    reach = moved(inverse(matrix), corners)
    sides = np.array(image.shape[:2])
    # No farther than once around: a canvas that is mostly elsewhere stays black there.
    before = np.clip(np.ceil(-reach.min(axis=0)), 0, sides).astype(int)
    behind = np.clip(np.ceil(reach.max(axis=0) - sides + 1), 0, sides).astype(int)
    return _extended(image, before, behind, "mirror"), after(matrix, shift(*-before))


def _extended(
    image: Pixels, before: NDArray[np.int_], behind: NDArray[np.int_], fill: Fill
) -> Pixels:
    widths = [(int(a), int(b)) for a, b in zip(before, behind, strict=True)]
    mode: Any = "symmetric" if fill == "mirror" else "constant"
    return np.pad(image, [*widths, (0, 0)], mode=mode)


def _mask(mask: LabelArray, spec: SegmentationSpec, move: Move) -> LabelArray:
    """Class ids; outside the ignore_index, or class 0 where there is none."""
    outside = spec.ignore_index or 0
    return move.shown(move.nearest(move.cut(mask)), outside)


def _depth(depth: LabelArray, _spec: DepthSpec, move: Move) -> LabelArray:
    """Depths; NaN outside."""
    content, (rows, columns) = move.cut(depth), move.places
    total = weights = np.zeros(move.target.content)
    for row in (np.floor(rows), np.floor(rows) + 1):
        for column in (np.floor(columns), np.floor(columns) + 1):
            nearness = (1 - abs(rows - row)) * (1 - abs(columns - column))
            at = (row.astype(np.intp), column.astype(np.intp))
            values = content[
                tuple(np.clip(i, 0, n - 1) for i, n in zip(at, content.shape, strict=True))
            ]
            has = np.isfinite(values)
            weights = weights + nearness * has
            total = total + nearness * np.where(has, values, 0)
    known = np.isfinite(move.nearest(content))
    # Where the nearest pixel has a depth, the weights are a quarter at least.
    laid = np.where(known, total / np.where(known, weights, 1), np.nan).astype(depth.dtype)
    return move.shown(laid, np.nan)


def _keypoints(points: LabelArray, _spec: KeypointsSpec, move: Move) -> LabelArray:
    """Points; zeros for those that are not on both contents, or were not labelled."""
    laid = points.copy()
    laid[:, :2] = moved(move.matrix, points[:, :2])
    seen = _in(move.source, points) & _in(move.target, laid) & (points[:, 2] > 0)
    laid[~seen] = 0
    return laid


def _in(canvas: Canvas, points: LabelArray) -> NDArray[np.bool_]:
    """Which points lie on a pixel of the content."""
    at = np.floor(points[:, :2] + 0.5) - canvas.origin
    inside: NDArray[np.bool_] = (at >= 0) & (at < canvas.content)
    return inside[:, 0] & inside[:, 1]


RESAMPLED: Mapping[str, Callable[[LabelArray, Any, Move], LabelArray]] = {
    "segmentation": _mask,
    "depth": _depth,
    "keypoints": _keypoints,
}
"""By kind: a label as large as the source, its spec and a move -> the label on the target."""

"""A labelled picture brought onto a generator's canvas, and back: one transform for all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.data.document import Document
from models.data.fitting.affine import Matrix, inverse, scales
from models.data.fitting.canvas import Canvas, Span, whole
from models.data.fitting.policies import Fill, Landmarks, Policy
from models.data.fitting.resampling import RESAMPLED, Move, picture
from models.data.labelled import Labelled
from models.errors import InvalidImage
from models.labels import KeypointsSpec, LabelSpec

Row = tuple[float, float, float]


class Fit(Document):
    """What was done to one picture; enough to do it again, or to undo it.

    Attributes:
        policy: how the transform was chosen.
        matrix: [2, 3]; what lies at (row, column) = p of the picture lies at
            matrix[:, :2] p + matrix[:, 2] of the canvas. The first pixel's centre is (0, 0).
        scale: how long a step of one row, and of one column, became; below 1 it shrank.
        source: (H, W) of the picture as it was.
        canvas: what it was brought onto.
        rows, columns: (first, last + 1) of the canvas that show something of the picture.
    """

    policy: Policy
    matrix: tuple[Row, Row]
    scale: tuple[float, float]
    source: tuple[int, int]
    canvas: Canvas
    rows: Span
    columns: Span

    @property
    def move(self) -> Move:
        """The way from the picture to the canvas; its `seen` is the content mask."""
        return Move(np.array(self.matrix), whole(self.source), self.canvas)

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """bool [H, W] of the canvas: where it shows the picture, or its mirror image."""
        if self.policy.fill == "mirror":
            return self.canvas.framed(np.ones(self.canvas.content, dtype=np.bool_), False)
        return self.move.seen

    @property
    def back(self) -> Move:
        """The way from the canvas to the picture."""
        shown = self.canvas.model_copy(update={"rows": self.rows, "columns": self.columns})
        return Move(inverse(np.array(self.matrix)), shown, whole(self.source))


@dataclass(frozen=True)
class Fitted:
    """A labelled picture on the canvas.

    Attributes:
        item: picture and labels, all of the canvas's size.
        fit: what was done.
        content: bool [H, W]; where the canvas shows something of the picture. Elsewhere masks
            hold the ignore_index (or 0), depth is NaN and there are no keypoints.
    """

    item: Labelled
    fit: Fit
    content: NDArray[np.bool_]


def fit(
    item: Labelled,
    specs: Sequence[LabelSpec],
    policy: Policy,
    canvas: Canvas,
    landmarks: Landmarks | None = None,
) -> Fitted:
    """Bring a labelled picture onto a canvas.

    Args:
        item: picture [h, w, 3] with masks and depth of the same size.
        specs: of each of its labels.
        policy: how.
        canvas: the generator's picture.
        landmarks: named points (row, column) of the picture for policies that align; the item's
            own keypoints where left out.

    Raises:
        InvalidImage: it cannot be aligned, or nothing of it would be seen.
        ValueError: a label has another size than its picture.
    """
    size = (item.image.shape[0], item.image.shape[1])
    known = named_points(item, specs) if landmarks is None else landmarks
    try:
        matrix = policy.matrix(size, canvas, known)
    except ValueError as error:
        raise InvalidImage(item.origin, f"{error}; label them, or fit it without") from error
    move = Move(matrix, whole(size), canvas)
    if not move.seen.any():
        raise InvalidImage(item.origin, "lies beside the canvas when aligned; check its landmarks")
    made = _carried(item, specs, move, policy.fill)
    return Fitted(made, _record(policy, matrix, size, canvas, move.seen), move.seen)


def unfit(
    item: Labelled, specs: Sequence[LabelSpec], fit: Fit
) -> tuple[Labelled, NDArray[np.bool_]]:
    """Bring a labelled picture from the canvas back to where it came from.

    Args:
        item: picture [H, W, 3] of the canvas, with its labels, e.g. ones made by a network.
        specs: of each of its labels.
        fit: how it was brought there.

    Returns:
        picture and labels of the size `fit.source`, and bool [h, w]: where the canvas shows it.
    """
    move = fit.back
    return _carried(item, specs, move, "black"), move.seen


def named_points(item: Labelled, specs: Sequence[LabelSpec]) -> Landmarks:
    """An item's labelled keypoints, (row, column) by name, hidden ones too."""
    return {
        name: (float(row), float(column))
        for spec in specs
        if isinstance(spec, KeypointsSpec) and spec.kind in item.labels
        for name, (row, column, seen, *_) in zip(spec.names, item.labels[spec.kind], strict=True)
        if seen > 0 and np.isfinite(row) and np.isfinite(column)
    }


def _carried(item: Labelled, specs: Sequence[LabelSpec], move: Move, fill: Fill) -> Labelled:
    by_kind: dict[str, LabelSpec] = {spec.kind: spec for spec in specs}
    labels = {
        kind: RESAMPLED[kind](label, by_kind[kind], move) for kind, label in item.labels.items()
    }
    return replace(item, image=picture(item.image, move, fill), labels=labels)


def _record(
    policy: Policy, matrix: Matrix, size: tuple[int, int], canvas: Canvas, seen: NDArray[np.bool_]
) -> Fit:
    one, other = matrix.tolist()
    return Fit(
        policy=policy,
        matrix=(tuple(one), tuple(other)),
        scale=scales(matrix),
        source=size,
        canvas=canvas,
        rows=_span(seen, axis=0),
        columns=_span(seen, axis=1),
    )


def _span(seen: NDArray[np.bool_], axis: int) -> Span:
    """First and last + 1 of the rows (axis 0) or columns (axis 1) where something is seen."""
    there = np.flatnonzero(seen.any(axis=1 - axis))
    return int(there[0]), int(there[-1]) + 1

"""COCO's polygons and run lengths as a mask of class ids; polygons are drawn by pycocotools.

Polygons are [x1, y1, x2, y2, …] in pixels, where pixel i covers [i, i + 1); a thing's polygons
are united, and what lies outside of the picture is cut off. Run lengths {"size": [H, W],
"counts": …} count pixels down the columns, background first: a list of numbers, or COCO's string
of five bits a character. pycocotools believes what it is given (of counts that end early it makes
a picture of what was in memory before), so only judged polygons reach it, and no counts.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as drawing

from models.data.formats.coco_document import Document, Things
from models.data.formats.coco_json import BadEntry, Image, as_numbers, shown
from models.data.images import Pixels
from models.data.problems import Problems
from models.labels import SegmentationSpec

Runs = NDArray[np.int64]
"""Pixels of a picture [H, W] by run lengths [N] down its columns: unset, set, unset, …"""

MAX_OUTLINE = 500_000
"""Length of all of a thing's polygons together, and their distance from the picture's corner, at
most, in pixels. A pixel of outline takes some 50 bytes of memory while it is drawn."""

_MAX_DIGITS = 7  # 35 bits; a count has 32 and a sign.
_EXPORT = "export it again"


class Masks:
    """Makes the masks of a document's pictures.

    Things are painted by area, largest first, so that small parts survive where polygons overlap
    (in file order, doors paint over half of the mirrors of Car-Parts). Pixels that no thing
    covers have id 0. A crowd (`iscrowd`) is painted as any other thing.
    """

    def __init__(
        self,
        spec: SegmentationSpec,
        merge: Mapping[str, str],
        document: Document,
        problems: Problems,
    ) -> None:
        """Find the class of each category that is drawn; the lack of one is a fault.

        Args:
            spec: the classes.
            merge: names of categories -> names of classes, where they differ.
            document: whose categories are meant.
            problems: gets all faults, also those that painting finds.
        """
        self._document, self._problems = document.name, problems
        self._ids: dict[int, int] = {}
        uses = document.annotations.uses()
        for category in document.categories.values():
            name = merge.get(category.name, category.name)
            if name in spec.classes:
                self._ids[category.id] = spec.classes.index(name)
            elif uses[category.id]:
                becomes = f" is merged into {shown(name)}, which" if name != category.name else ""
                found = f"{category}{becomes} is none of the classes {', '.join(spec.classes)}"
                remedy = f"name its class in merge, or remove its {uses[category.id]} annotations"
                problems.add(document.name, f"{found}; {remedy}")

    def __call__(self, image: Image, annotations: Things) -> Pixels | None:
        """A picture's mask, uint8 [H, W]; none if a fault spoils it."""
        size = (image.height, image.width)
        areas: dict[int, int] = {}  # By place in the annotations, for those that are drawn.
        is_whole = True
        for place, thing in enumerate(annotations):
            if not thing.is_drawn:
                continue
            try:
                areas[place] = int(runs(thing.segmentation, size)[1::2].sum())
            except BadEntry as error:
                problem = f"annotation {thing.id} of {image}: {error}"
                self._problems.add(self._document, problem)
                is_whole = False
            is_whole &= thing.category_id in self._ids
        if not is_whole:
            return None
        largest_first = sorted(areas, key=areas.__getitem__, reverse=True)
        ordered = (annotations[place] for place in largest_first)
        return paint(((self._ids[each.category_id], each.segmentation) for each in ordered), size)


def paint(things: Iterable[tuple[int, object]], size: tuple[int, int]) -> Pixels:
    """Things over each other, the first at the bottom: uint8 [H, W], 0 where there are none.

    Args:
        things: (class id, segmentation), asked for one by one; so are their pixels worked out,
            for those of all at once could take any amount of memory.
        size: (H, W) of the picture.

    Raises:
        BadEntry: as `runs`.
    """
    columns = np.zeros(size[::-1], dtype=np.uint8)  # [W, H]
    for class_id, segmentation in things:
        lengths = runs(segmentation, size)
        is_set = np.arange(lengths.size) % 2 == 1
        columns[np.repeat(is_set, lengths).reshape(columns.shape)] = class_id
    return np.ascontiguousarray(columns.T)


def runs(segmentation: object, size: tuple[int, int]) -> Runs:
    """The pixels of a thing in a picture of (H, W) = `size`, as run lengths that fill it.

    Raises:
        BadEntry: it is neither polygons nor run lengths, or not for such a picture.
    """
    if segmentation and isinstance(segmentation, list):
        return _of_polygons([_polygon(polygon) for polygon in segmentation], size)
    if isinstance(segmentation, dict):
        return _of_counts(segmentation, size)
    found = f"its segmentation is {shown(segmentation)}" if segmentation else "has no segmentation"
    raise BadEntry(f"{found}; draw a polygon or a mask (boxes alone do not label pixels)")


def _polygon(values: object) -> NDArray[np.float64]:
    """A polygon as float64 [corners, 2] of (x, y)."""
    numbers = as_numbers(values, "iuf")
    if numbers is None:
        raise BadEntry(f"its polygon {shown(values)} is not a list of numbers; {_EXPORT}")
    if numbers.size % 2 or numbers.size < 6:
        raise BadEntry(
            f"its polygon {shown(values)} has {numbers.size} coordinates; it needs an even number, "
            "at least 6 (x and y of three corners)"
        )
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise BadEntry(f"its polygon has {numbers[place]} at place {place}; draw it again")
    return numbers.astype(np.float64).reshape(-1, 2)


def _of_polygons(polygons: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> Runs:
    """The union of polygons [corners, 2], each filled by the even-odd rule."""
    height, width = size
    if not _is_drawable(polygons):
        found = f"its polygons are over {MAX_OUTLINE:,} pixels long, or reach that far"
        raise BadEntry(f"{found}; write them in pixels of the picture")
    if all(_is_outside(polygon, size) for polygon in polygons):
        raise BadEntry(
            f"lies outside of its picture of {height} x {width} pixels (height x width); "
            "is it of another picture?"
        )
    parts = drawing.frPyObjects([polygon.ravel() for polygon in polygons], height, width)
    union = _spelled_out(drawing.merge(parts)["counts"].decode())
    assert union is not None
    return union


def _is_drawable(polygons: Sequence[NDArray[np.float64]]) -> bool:
    """Whether it takes no undue memory: they are neither too long nor too far away."""
    if max(np.abs(polygon).max() for polygon in polygons) > MAX_OUTLINE:
        return False
    steps = (np.abs(polygon - np.roll(polygon, 1, axis=0)) for polygon in polygons)
    return sum(float(step.max(axis=1).sum()) for step in steps) <= MAX_OUTLINE


def _is_outside(polygon: NDArray[np.float64], size: tuple[int, int]) -> bool:
    least, most = polygon.min(axis=0), polygon.max(axis=0)  # [2] each, of (x, y)
    return bool((most <= 0).any() or (least >= size[::-1]).any())


def _of_counts(segmentation: Mapping[str, object], size: tuple[int, int]) -> Runs:
    """Run lengths that the json gives, as a list or a string."""
    height, width = size
    if segmentation.get("size") != [height, width]:
        found = f"its run lengths are for a size of {shown(segmentation.get('size'))}"
        raise BadEntry(f"{found}, but its picture has {[height, width]} (height, width)")
    given = segmentation.get("counts")
    counts = _spelled_out(given) if isinstance(given, str) else as_numbers(given, "iu")
    if counts is None:
        found = f"its counts {shown(given)} are neither whole numbers nor COCO's string of them"
        raise BadEntry(f"{found}; {_EXPORT}")
    filled = int(counts.astype(np.float64).sum())
    if (counts < 0).any() or (counts > height * width).any() or filled != height * width:
        found = f"its run lengths fill {filled:,} of {height * width:,} pixels"
        raise BadEntry(f"{found}, or some are below 0; {_EXPORT}")
    return counts.astype(np.int64)


def _spelled_out(text: str) -> Runs | None:
    """The counts of COCO's string; none if it is damaged.

    A character is 48 + five bits of a number, lowest first, + 32 if more follow; the last one's
    bit 16 is the sign. From the fourth number on it is the difference to the last but one.
    """
    if not text.isascii() or not text:
        return None
    codes = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    if codes.min() < 0 or codes.max() > 63 or not ends.size or ends[-1] != codes.size - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > _MAX_DIGITS:
        return None
    place = np.arange(codes.size) - np.repeat(starts, digits)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= (codes[ends] >> 4 & 1) << (5 * digits)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values

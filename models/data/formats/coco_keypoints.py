"""COCO's keypoints as arrays: triples x, y, v become rows of (row, column, visibility).

COCO counts keypoints in whole pixels from the first pixel's centre, unlike its polygons, in which
that centre lies at 0.5 (Detectron2 says so where it loads COCO, and adds 0.5 to keypoints alone).
Our centres are at whole numbers too, so x and y are taken as they stand. Tools that count from
the corner and do not convert (CVAT's skeletons) are thus read half a pixel to the right and down.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.data.formats.coco_document import Document, Things
from models.data.formats.coco_json import (
    Annotation,
    BadEntry,
    Category,
    Image,
    as_numbers,
    listed,
    shown,
)
from models.data.formats.points import as_points
from models.data.problems import Problems
from models.errors import InvalidImage
from models.labels import KeypointsSpec

Points = NDArray[np.float32]


class Keypoints:
    """Makes the keypoints of a document's pictures, each of which shows one thing that has any."""

    def __init__(self, spec: KeypointsSpec, document: Document, problems: Problems) -> None:
        """Find the categories with all the points wanted; the lack of one is a fault.

        Args:
            spec: the points, which a category may have in another order and among others.
            document: whose categories are meant.
            problems: gets all faults, also those found later.
        """
        self._spec, self._document, self._problems = spec, document.name, problems
        self._categories: Mapping[int, Category] = {
            category.id: category
            for category in document.categories.values()
            if set(spec.names) <= set(category.keypoints)
        }
        if not self._categories:
            problems.add(document.name, _why_none(spec, document))

    @property
    def are_known(self) -> bool:
        """Whether any category has all the points wanted."""
        return bool(self._categories)

    def __call__(self, image: Image, annotations: Things) -> Points | None:
        """A picture's points, float32 [K, 3] in the spec's order; none if a fault spoils them."""
        if not self.are_known:
            return None
        try:
            return self.of(image, annotations)
        except InvalidImage as error:
            self._problems.note(error)
            return None

    def of(self, image: Image, annotations: Things) -> Points:
        """The same.

        Raises:
            InvalidImage: a fault spoils them; it is noted nowhere.
        """
        try:
            thing, triples = self._only_one(annotations)
        except BadEntry as error:
            raise InvalidImage(self._document, f"{image}: {error}") from error
        own = self._categories[thing.category_id].keypoints
        wanted = triples[[own.index(name) for name in self._spec.names]]  # [K, 3]
        name = f"annotation {thing.id} of {image}"
        try:
            return as_points(wanted, (image.height, image.width), name, self._spec)
        except InvalidImage as error:
            raise InvalidImage(self._document, str(error)) from error

    def _only_one(self, annotations: Things) -> tuple[Annotation, NDArray[np.float64]]:
        """The thing with keypoints, and those: float64 [points of its category, 3] of (x, y, v).

        A thing without one point that is marked does not count; crowds are written so.
        """
        marked = []
        for thing in annotations:
            if thing.keypoints and thing.category_id in self._categories:
                triples = _triples(thing, self._categories[thing.category_id])
                if triples[:, 2].any():
                    marked.append((thing, triples))
        if not marked:
            raise BadEntry("has no thing with keypoints; mark those of one, or leave it out")
        if len(marked) > 1:
            which = listed(thing.id for thing, _ in marked)
            found = f"has {len(marked)} things with keypoints (annotation {which})"
            raise BadEntry(f"{found}, but one is wanted; crop to it, or remove the others")
        return marked[0]


def _why_none(spec: KeypointsSpec, document: Document) -> str:
    """What the categories lack."""
    named = [category for category in document.categories.values() if category.keypoints]
    if not named:
        return "no category names its keypoints; export it as COCO keypoints"
    lacks = "; ".join(
        f"{category} lacks {', '.join(n for n in spec.names if n not in category.keypoints)}"
        for category in named[:3]
    )
    return f"no category has all keypoints of the label: {lacks}; name them alike"


def _triples(thing: Annotation, category: Category) -> NDArray[np.float64]:
    """A thing's keypoints as float64 [points of its category, 3] of (x, y, v)."""
    numbers, wanted = as_numbers(thing.keypoints, "iuf"), 3 * len(category.keypoints)
    if numbers is None or numbers.size != wanted:
        found = f"annotation {thing.id} has keypoints {shown(thing.keypoints)}"
        raise BadEntry(f"{found}, not {wanted} numbers: x, y, visibility for each of {category}")
    return numbers.astype(np.float64).reshape(-1, 3)

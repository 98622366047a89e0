"""A COCO json without its faults, of which annotations stay as text until they are asked for.

A file of 128 MiB has some 200,000 of them, mostly polygons: as Python's lists of numbers they take
seven times as much memory as the text does.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.formats.coco_json import Annotation, Category, Image

ROW = np.dtype(
    [
        ("id", "<i8"),
        ("image_id", "<i8"),
        ("category_id", "<i8"),
        ("begin", "<u4"),
        ("end", "<u4"),
        ("is_drawn", "?"),
    ]
)
"""What is held of an annotation: its ids, where the json has it, and its `is_drawn`."""

Rows = NDArray[Any]
"""Annotations, [N] of `ROW`."""


class Annotations:
    """The annotations of a json by their pictures."""

    def __init__(self, data: bytes, rows: Rows) -> None:
        """Sort them by picture; those of one picture stay in their order.

        Args:
            data: the json.
            rows: [N] of `ROW`, whole ones alone.
        """
        self._data = data
        self._rows = rows[np.argsort(rows["image_id"], kind="stable")]
        self._image_ids = np.ascontiguousarray(self._rows["image_id"])  # To search in.

    def of(self, image_id: int) -> "Things":
        """Those of a picture, in the json's order; none if it has none."""
        first, last = (
            int(np.searchsorted(self._image_ids, image_id, side)) for side in ("left", "right")
        )
        return Things(self._data, self._rows[first:last])

    def uses(self) -> Counter[int]:
        """How many things of each category are drawn."""
        drawn = self._rows["category_id"][self._rows["is_drawn"]]
        categories, counts = np.unique(drawn, return_counts=True)
        return Counter(dict(zip(categories.tolist(), counts.tolist(), strict=True)))


class Things:
    """The annotations of one picture, each parsed whenever it is asked for."""

    def __init__(self, data: bytes, rows: Rows) -> None:
        """View some rows [N] of a json."""
        self._data, self._rows = data, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Annotation]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, place: int) -> Annotation:
        row = self._rows[place]
        return Annotation.model_validate_json(self._data[row["begin"] : row["end"]])


@dataclass(frozen=True)
class Document:
    """A json without its faults.

    Attributes:
        name: the file.
        images: the pictures without any faulty annotation.
        categories: by id.
        annotations: of these and other pictures, all of them of `categories`.
    """

    name: str
    images: Sequence[Image]
    categories: Mapping[int, Category]
    annotations: Annotations

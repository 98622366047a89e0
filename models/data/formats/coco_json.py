"""The entries of COCO's json, and how errors speak of them.

    {"images":      [{"id": 1, "file_name": "a.jpg", "height": 480, "width": 640}, …],
     "categories":  [{"id": 3, "name": "door"}, …],                       ids may have gaps
     "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "segmentation": …}, …]}

Knows no picture and no label: what segmentations and keypoints mean is for others to say.
"""

import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""What names an entry: any whole number that fits into 64 bits."""


class BadEntry(Exception):
    """What is wrong with an annotation; whoever knows its id adds that."""


class Record(BaseModel):
    """An entry of the json; fields that no label needs are left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    id: Id


class Image(Record):
    """A picture's entry.

    Attributes:
        file_name: as the json spells it, often not as the file is called here.
        path: a second spelling, which COCO-Annotator adds.
        height, width: in pixels; at least 1.
    """

    file_name: str = Field(min_length=1)
    path: str | None = None
    height: int = Field(ge=1)
    width: int = Field(ge=1)

    def __str__(self) -> str:
        return f"image {self.id} ({shown(self.file_name)})"


class Category(Record):
    """A class, or a kind of thing with named keypoints."""

    name: str
    keypoints: list[str] = []

    def __str__(self) -> str:
        return f"category {self.id} ({shown(self.name)})"


class Annotation(Record):
    """One thing in one picture.

    Attributes:
        iscrowd: whether it is many things of a class at once, which is all the same to a mask.
        segmentation, keypoints: not yet looked at.
    """

    image_id: Id
    category_id: Id
    iscrowd: bool | Literal[0, 1] = False
    segmentation: Any = None
    keypoints: Any = None

    @property
    def is_drawn(self) -> bool:
        """Whether it ought to have a segmentation: keypoints may do without."""
        return bool(self.segmentation or not self.keypoints)


def shown(value: object) -> str:
    """A value of a stranger's json, short and printable."""
    return reprlib.repr(value)


def listed(ids: Iterable[int]) -> str:
    """Ids for an error: the first few and how many more."""
    ordered = sorted(ids)
    first = ", ".join(map(str, ordered[:5]))
    return f"{first} and {len(ordered) - 5:,} more" if len(ordered) > 5 else first


def as_numbers(values: object, kinds: str) -> NDArray[Any] | None:
    """A list of numbers as an array [N] of one of numpy's `kinds`; none if it is no such list."""
    if not isinstance(values, list) or not values:
        return None
    try:
        numbers = np.asarray(values)
    except (ValueError, OverflowError):  # Lists of unequal length within.
        return None
    return numbers if numbers.ndim == 1 and numbers.dtype.kind in kinds else None

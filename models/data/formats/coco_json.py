"""COCO's json as records: what is whole and agrees with itself, with every fault named by its id.

    {"images":      [{"id": 1, "file_name": "a.jpg", "height": 480, "width": 640}, …],
     "categories":  [{"id": 3, "name": "door"}, …],                       ids may have gaps
     "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "segmentation": …}, …]}

Knows no picture and no label: what segmentations and keypoints mean is for others to say.
"""

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import pydantic_core
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.data.problems import Problems
from models.errors import InvalidDataset

MAX_BYTES = 256 * 2**20
"""Size of a json file at most: parsed, it takes several times as much memory."""

_BOM = b"\xef\xbb\xbf"


class BadEntry(Exception):
    """What is wrong with an annotation; whoever knows its id adds that."""


class Record(BaseModel):
    """An entry of the json; fields that no label needs are left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    id: int


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

    image_id: int
    category_id: int
    iscrowd: bool | Literal[0, 1] = False
    segmentation: Any = None
    keypoints: Any = None


_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True)
class Document:
    """A json without its faults.

    Attributes:
        name: the file.
        images: the pictures without any faulty annotation.
        categories: by id.
        annotations: by the picture's id; none for pictures that have none.
    """

    name: str
    images: Sequence[Image]
    categories: Mapping[int, Category]
    annotations: Mapping[int, Sequence[Annotation]]


def load(data: bytes, name: str, problems: Problems) -> Document:
    """The records of a COCO json; faults of single entries are added to `problems`.

    Pictures that a fault concerns are left out, for their labels would be incomplete.

    Raises:
        InvalidDataset: the file as a whole cannot be read, or too many entries are faulty.
    """
    content = _parsed(data, name)
    images = _sift(content["images"], Image, "image", name, problems)
    categories = _sift(content["categories"], Category, "category", name, problems)
    annotations = _sift(content["annotations"], Annotation, "annotation", name, problems)
    _note_strays("image_id", "images", annotations.good, images, name, problems)
    _note_strays("category_id", "categories", annotations.good, categories, name, problems)

    known = {category.id: category for category in categories.good}
    spoilt = annotations.values_of_bad("image_id")
    grouped: dict[int, list[Annotation]] = {}
    for annotation in annotations.good:
        if annotation.category_id in known:
            grouped.setdefault(annotation.image_id, []).append(annotation)
        else:
            spoilt.add(annotation.image_id)
    whole = [image for image in images.good if image.id not in spoilt]
    return Document(name, whole, known, grouped)


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


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    """The three lists. The parser itself refuses more than 200 levels of nesting."""
    if len(data) > MAX_BYTES:
        problem = f"has {len(data):,} bytes, over {MAX_BYTES:,}; split the dataset"
        raise InvalidDataset([(name, problem)])
    try:
        content: dict[str, Any] = pydantic_core.from_json(data.removeprefix(_BOM))
    except ValueError as error:
        found = "nested too deeply" if "recursion" in str(error) else "cut short or damaged"
        problem = f"is not readable JSON, {found} ({error}); export it again"
        raise InvalidDataset([(name, problem)]) from error
    if lack := _not_coco(content):
        raise InvalidDataset([(name, f"{lack}; export it as COCO")])
    return content


def _not_coco(content: object) -> str | None:
    """What it takes for COCO and is not there."""
    if not isinstance(content, dict):
        return f"holds a {type(content).__name__}, not an object"
    for key in ("images", "categories", "annotations"):
        if not isinstance(content.get(key), list):
            return f"has no list {key!r}"
    return None


@dataclass(frozen=True)
class _Sifted(Generic[_R]):
    """Entries that are whole and have an id of their own, and the raw ones that do not."""

    good: Sequence[_R]
    bad: Sequence[object]

    def values_of_bad(self, field: str) -> set[int]:
        """Whole numbers that bad entries have in a field, as far as it can be told."""
        values = (entry.get(field) for entry in self.bad if isinstance(entry, dict))
        return {value for value in values if type(value) is int}


def _sift(
    entries: Sequence[object], model: type[_R], kind: str, name: str, problems: Problems
) -> _Sifted[_R]:
    """Entries as records; faulty ones and those that share an id are noted."""
    records: list[_R] = []
    bad: list[object] = []
    for place, entry in enumerate(entries):
        try:
            records.append(model.model_validate(entry))
        except ValidationError as error:
            bad.append(entry)
            problems.add(name, f"{kind} {_called(entry, place)}: {_said(error)}")
    uses = Counter(record.id for record in records)
    for repeated, count in uses.items():
        if count > 1:
            problems.add(
                name, f"{kind} {repeated}: this id is used {count} times; give each its own"
            )
    good = [record for record in records if uses[record.id] == 1]
    bad += [record.model_dump() for record in records if uses[record.id] > 1]
    return _Sifted(good, bad)


def _called(entry: object, place: int) -> str:
    """What errors call an entry: its id, or where it stands."""
    if isinstance(entry, dict) and type(entry.get("id")) is int:
        return str(entry["id"])
    return f"number {place} of the list, from 0"


def _said(error: ValidationError) -> str:
    """The first thing that is wrong with an entry."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(step) for step in first["loc"][:1])
    message = first["msg"][:1].lower() + first["msg"][1:]
    if first["type"] == "missing":
        return f"has no {field}"
    return f"{field + ': ' if field else ''}{message}, found {shown(first['input'])}"


def _note_strays(
    field: str,
    key: str,
    annotations: Iterable[Annotation],
    targets: "_Sifted[_R]",
    name: str,
    problems: Problems,
) -> None:
    """Note annotations of ids that the list `key` does not hold; one fault an id, not each."""
    known = {target.id for target in targets.good} | targets.values_of_bad("id")
    strays: dict[int, list[int]] = {}
    for annotation in annotations:
        if (target := getattr(annotation, field)) not in known:
            strays.setdefault(target, []).append(annotation.id)
    for target, ids in sorted(strays.items()):
        found = f"annotation {listed(ids)}: {field} {target} is not in {key}"
        problems.add(name, f"{found}; add it there, or remove the annotations")

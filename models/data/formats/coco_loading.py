"""From a COCO json to what is whole and agrees with itself, with every fault named by its id.

Entries are parsed one by one, wherever their list stands in the file. Pictures and categories are
kept; of annotations only what `coco_document.ROW` says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.data.admission import ArchiveLimits
from models.data.formats import json_pieces
from models.data.formats.coco_document import ROW, Annotations, Document, Rows
from models.data.formats.coco_json import Annotation, Category, Image, Record, listed, shown
from models.data.problems import Problems
from models.errors import InvalidDataset

MAX_BYTES = ArchiveLimits.file_bytes
"""Size of a json file at most: that of any file of an archive. The file stays in memory as it is,
and what is held besides takes less than that again; parsed as a whole it would take eight times
as much."""

MOST = {"images": 100_000, "categories": 10_000, "annotations": 1_000_000}
"""Entries of each list at most. Held are some 700 bytes of a picture, 33 of an annotation."""

_KINDS = {"images": "image", "categories": "category", "annotations": "annotation"}

_R = TypeVar("_R", bound=Record)

Ids = NDArray[np.int64]
"""Ids [N] of entries."""


def is_coco(data: bytes) -> bool:
    """Whether a json has COCO's three lists; one that cannot be read has none."""
    begin = json_pieces.beginning(data)
    try:
        return (
            data[begin : begin + 1] == b"{"
            and _KINDS.keys() <= json_pieces.lists(data, tuple(_KINDS)).keys()
        )
    except json_pieces.NotJson:
        return False


def load(data: bytes, name: str, problems: Problems) -> Document:
    """The records of a COCO json; faults of single entries are added to `problems`.

    Pictures that a fault concerns are left out, for their labels would be incomplete.

    Raises:
        InvalidDataset: the file as a whole cannot be read, or too many entries are faulty.
    """
    if len(data) > MAX_BYTES:
        problem = f"has {len(data):,} bytes, over {MAX_BYTES:,}; split the dataset"
        raise InvalidDataset([(name, problem)])
    try:
        return _loaded(data, name, problems)
    except json_pieces.TooLarge as error:
        problem = f"has {error}; simplify its outline, or remove it"
        raise InvalidDataset([(name, problem)]) from error
    except json_pieces.NotJson as error:
        found = "nested too deeply" if "recursion" in str(error) else "cut short or damaged"
        problem = f"is not readable JSON, {found} ({error}); export it again"
        raise InvalidDataset([(name, problem)]) from error


def _loaded(data: bytes, name: str, problems: Problems) -> Document:
    """As `load`.

    Raises:
        NotJson: the file is none.
    """
    source = _Source(data, name, problems)
    images = source.sift("images", Image)
    categories = source.sift("categories", Category)
    rows, spoilt = source.sift_annotations()
    _note_strays("image_id", "images", rows, images.ids, source)
    _note_strays("category_id", "categories", rows, categories.ids, source)

    known = {category.id: category for category in categories.good}
    is_known = np.isin(rows["category_id"], _ids(known))
    spoilt.update(rows["image_id"][~is_known].tolist())
    whole = [image for image in images.good if image.id not in spoilt]
    return Document(name, whole, known, Annotations(data, rows[is_known]))


@dataclass(frozen=True)
class _Sifted(Generic[_R]):
    """Entries that are whole and have an id of their own, and all ids, also those of others."""

    good: Sequence[_R]
    ids: Ids


class _Source:
    """A COCO json, whose lists are gone through one by one."""

    def __init__(self, data: bytes, name: str, problems: Problems) -> None:
        """Find the lists.

        Raises:
            InvalidDataset: it is not COCO.
            NotJson: it is no json.
        """
        self.data, self.name, self.problems = data, name, problems
        begin = json_pieces.beginning(data)
        if data[begin : begin + 1] == b"[":
            raise self._not_coco("holds a list, not an object")
        if data[begin : begin + 1] != b"{":
            scalar = json_pieces.parse(data, (begin, len(data)))
            raise self._not_coco(f"holds a {type(scalar).__name__}, not an object")
        self._lists = json_pieces.lists(data, tuple(_KINDS))
        for key in _KINDS:
            if key not in self._lists:
                raise self._not_coco(f"has no list {key!r}")

    def sift(self, key: str, model: type[_R]) -> _Sifted[_R]:
        """The entries of a list as records; faulty ones and those that share an id are noted."""
        lost: set[int] = set()
        records = [record for record, _ in self._whole(key, model, "id", lost)]
        repeated = set(self._repeated(_KINDS[key], _ids(each.id for each in records)).tolist())
        good = [record for record in records if record.id not in repeated]
        return _Sifted(good, _ids(lost | {record.id for record in records}))

    def sift_annotations(self) -> tuple[Rows, set[int]]:
        """What is held of good annotations, [N] of `ROW`, and the pictures of all others."""
        lost: set[int] = set()
        held = (
            (each.id, each.image_id, each.category_id, *span, each.is_drawn)
            for each, span in self._whole("annotations", Annotation, "image_id", lost)
        )
        rows: Rows = np.fromiter(held, dtype=ROW)
        is_repeated = np.isin(rows["id"], self._repeated(_KINDS["annotations"], rows["id"]))
        lost.update(rows["image_id"][is_repeated].tolist())
        return rows[~is_repeated], lost

    def _whole(
        self, key: str, model: type[_R], field: str, lost: set[int]
    ) -> Iterator[tuple[_R, json_pieces.Span]]:
        """The entries of a list that are records, and where they are; others are noted.

        Args:
            key: of the list.
            model: of its records.
            field: holds an id in each entry.
            lost: gets these ids of faulty entries, as far as they can be told.
        """
        for place, (begin, end) in enumerate(json_pieces.entries(self.data, self._lists[key])):
            if place == MOST[key]:
                raise InvalidDataset(
                    [(self.name, f"lists over {place:,} {key}; split the dataset")]
                )
            try:
                record = model.model_validate_json(self.data[begin:end])
            except ValidationError as error:
                entry = json_pieces.parse(self.data, (begin, end))
                if isinstance(entry, dict) and _is_id(entry.get(field)):
                    lost.add(entry[field])
                found = f"{_KINDS[key]} {_called(entry, place)}: {_said(error)}"
                self.problems.add(self.name, found)
            else:
                yield record, (begin, end)

    def _repeated(self, kind: str, ids: Ids) -> Ids:
        """Ids that are used more than once, each of which is noted."""
        found, firsts, counts = np.unique(ids, return_index=True, return_counts=True)
        order = np.argsort(firsts)
        order = order[counts[order] > 1]
        for each in order:
            problem = f"this id is used {counts[each]} times; give each its own"
            self.problems.add(self.name, f"{kind} {found[each]}: {problem}")
        return found[order]

    def _not_coco(self, lack: str) -> InvalidDataset:
        return InvalidDataset([(self.name, f"{lack}; export it as COCO")])


def _ids(ids: Iterable[int]) -> Ids:
    """Ids as int64 [N]."""
    return np.fromiter(ids, dtype=np.int64)


def _is_id(value: object) -> bool:
    """Whether it can be an entry's id (`coco_json.Id`)."""
    return type(value) is int and -(2**63) <= value < 2**63


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


def _note_strays(field: str, key: str, rows: Rows, known: Ids, source: _Source) -> None:
    """Note annotations of ids that the list `key` does not hold; one fault an id, not each."""
    strays = rows[~np.isin(rows[field], known)]
    strays = strays[np.argsort(strays[field], kind="stable")]
    targets, firsts = np.unique(strays[field], return_index=True)
    for target, (first, last) in zip(targets, pairwise([*firsts, len(strays)]), strict=True):
        found = f"annotation {listed(strays['id'][first:last].tolist())}"
        problem = f"{field} {target} is not in {key}; add it there, or remove the annotations"
        source.problems.add(source.name, f"{found}: {problem}")

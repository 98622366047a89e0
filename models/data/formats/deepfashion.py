"""DeepFashion-MultiModal: people, masks of their clothes, and keypoints in text files.

    images/{stem}.jpg
    segm/{stem}_segm.png            ids 0..23
    keypoints/keypoints_loc.txt     lines of {stem}.jpg x_1 y_1 … x_21 y_21; absent ones at -1 -1
    keypoints/keypoints_vis.txt     lines of {stem}.jpg v_1 … v_21: 0 seen, 1 hidden, 2 absent

Only some of the dataset's pictures have a mask, and its text files name all of its pictures: where
masks are asked for, pictures without one are left out, and lines of pictures that are not there
are passed over.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.formats.asked import asked, check_reading, class_ids
from models.data.formats.pairing import (
    PICTURES,
    Finds,
    Found,
    Labels,
    Series,
    Size,
    add,
    find,
    only_root,
    read_pairs,
    read_whole,
    roots,
)
from models.data.formats.points import as_points
from models.data.images import decode_mask
from models.data.labelled import Files, LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.data.sample import item_key
from models.errors import InvalidDataset, InvalidImage
from models.labels import KeypointsSpec, SegmentationSpec

NATIVE = SegmentationSpec(
    classes=(
        *("background", "top", "outer", "skirt", "dress", "pants", "leggings", "headwear"),
        *("eyeglass", "neckwear", "belt", "footwear", "bag", "hair", "face", "skin", "ring"),
        *("wrist wearing", "socks", "gloves", "necklace", "rompers", "earrings", "tie"),
    )
)
"""The dataset's own classes by id, 0..23."""

POINTS = 21
"""Keypoints of a person."""

_IMAGES, _MASKS = "images/", "segm/"
_PLACES, _SIGHTS = "keypoints/keypoints_loc.txt", "keypoints/keypoints_vis.txt"


class DeepFashion:
    """People with masks of their clothes and keypoints."""

    name = "deepfashion"
    looks_like = (
        "images/a.jpg with segm/a_segm.png or keypoints/keypoints_loc.txt and …_vis.txt "
        "(DeepFashion-MultiModal)"
    )
    kinds = frozenset({"segmentation", "keypoints"})

    def fits(self, names: Sequence[str]) -> bool:
        """Whether `segm/` or one of the text files is at the top or one folder below it."""
        return bool(roots(names, (_MASKS, _PLACES, _SIGHTS)))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All people with all labels asked for; faults are raised after the last one."""
        check_reading(reading, self.kinds, (), files.name)
        problems = Problems(reading.most_faults)
        root = only_root(files, (_MASKS, _PLACES, _SIGHTS))
        images = Series("image", f"{root}{_IMAGES}", PICTURES)
        people: Finds = find(files.names, images, problems)
        labels: dict[str, Labels] = {}
        also: list[tuple[Series, Finds]] = []
        if mask := asked(reading, SegmentationSpec):
            ids = class_ids(NATIVE.classes, mask, reading.merge, files.name)
            labels[mask.kind] = _masks(files, root, ids, problems)
            people = _labelled(people, labels[mask.kind].found)
        if keypoints := asked(reading, KeypointsSpec):
            labels[keypoints.kind], sights = _keypoints(files, root, people, keypoints, problems)
            also.append(sights)
        yield from read_pairs(files, (images, people), labels, problems, also)


def _labelled(people: Finds, masks: Finds) -> Finds:
    """Those that have a mask; all of them if none has, for then that is the fault."""
    return {key: image for key, image in people.items() if key in masks} if masks else people


def _masks(files: Files, root: str, ids: NDArray[np.uint8], problems: Problems) -> Labels:
    series = Series("mask", f"{root}{_MASKS}", ("_segm.png",))

    def read(mask: Found, size: Size) -> LabelArray:
        return ids[decode_mask(files.read(mask.file), mask.file, NATIVE, size)]

    return Labels(series, find(files.names, series, problems), read)


def _keypoints(
    files: Files, root: str, people: Finds, spec: KeypointsSpec, problems: Problems
) -> tuple[Labels, tuple[Series, Finds]]:
    """The keypoints of those people whose pictures are there, and the lines of visibility.

    Raises:
        InvalidDataset: the label has another number of points, or a text file is damaged.
    """
    if len(spec.names) != POINTS:
        problem = f"has {POINTS} keypoints, but the label names {len(spec.names)}; name them all"
        raise InvalidDataset([(files.name, problem)])
    pictures = {image.file.rpartition("/")[2]: image.stem for image in people.values()}
    places, sights = (
        _Lines(files, f"{root}{file}", pictures, problems) for file in (_PLACES, _SIGHTS)
    )

    def read(place: Found, size: Size) -> LabelArray:
        sight = sights.found[item_key(place.stem)]
        seen = sights.numbers(sight, POINTS)
        if not np.isin(seen, (0, 1, 2)).all():
            raise InvalidImage(sight.file, "has a visibility that is not 0 (seen), 1 or 2 (absent)")
        at = places.numbers(place, 2 * POINTS).reshape(POINTS, 2)
        # COCO counts the other way: 2 is seen, 0 is absent.
        return as_points(np.column_stack([at, 2 - seen]), size, place.file, spec)

    series = Series("keypoints", f"{places.name}: ", ("",))
    return Labels(series, places.found, read), (
        Series("visibility", f"{sights.name}: ", ("",)),
        sights.found,
    )


class _Lines:
    """The lines of a text file that concern given pictures.

    Attributes:
        name: of the file.
        found: the lines, by the pictures' keys.
    """

    def __init__(
        self, files: Files, name: str, pictures: Mapping[str, str], problems: Problems
    ) -> None:
        """Find the lines of `pictures` (file name -> stem); two of one picture are a fault."""
        self.name = name
        self.found: dict[str, Found] = {}
        self._fields: dict[str, list[str]] = {}
        text = read_whole(files, name).decode("utf-8", "replace") if name in files.names else ""
        for number, line in enumerate(text.splitlines(), 1):
            picture, *fields = line.split() or [""]
            if picture in pictures:
                stem = pictures[picture]
                add(self.found, f"{name}, line {number}", stem, problems)
                self._fields.setdefault(stem, fields)

    def numbers(self, line: Found, count: int) -> NDArray[np.float64]:
        """The numbers of a line, float64 [count].

        Raises:
            InvalidImage: it has another number of them, or something that is none.
        """
        fields = self._fields[line.stem]
        if len(fields) != count:
            problem = f"has {len(fields)} numbers after the picture's name, not {count}"
            raise InvalidImage(line.file, f"{problem}; copy the line from the dataset again")
        try:
            return np.array([float(field) for field in fields])
        except ValueError as error:
            raise InvalidImage(line.file, f"has something that is no number ({error})") from error

"""CelebAMask-HQ: faces, and a black-and-white picture of each of their parts.

    CelebA-HQ-img/0.jpg
    CelebAMask-HQ-mask-anno/0/00000_skin.png    or CelebAMaskHQ-mask-anno/…, in folders or not
    CelebAMask-HQ-mask/0.png                    or CelebAMaskHQ-mask/…: ids 0..18 in one picture

A face has a file for each part that shows; painted in the order of the dataset's README (`PARTS`),
later parts over earlier ones, they make the mask. A face without parts needs the one picture.
Where a mask is smaller than its picture (512 and 1024 in the dataset), each of the picture's
pixels takes what lies at its centre in the mask.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.data.formats.asked import asked, check_reading, class_ids
from models.data.formats.label_files import decode_painted, png_size
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
    roots,
)
from models.data.images import Pixels, decode_mask
from models.data.labelled import Files, LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.data.resampling import nearest
from models.errors import InvalidImage
from models.labels import SegmentationSpec

PARTS = (
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "ear_r",
    "neck_l",
    "neck",
    "cloth",
)
"""In the order of painting; ids 1..18."""

NATIVE = SegmentationSpec(classes=("background", *PARTS))
"""The dataset's own classes."""

_IMAGES = "CelebA-HQ-img/"
_MASKS = (
    "CelebAMask-HQ-mask-anno/",
    "CelebAMaskHQ-mask-anno/",
    "CelebAMask-HQ-mask/",
    "CelebAMaskHQ-mask/",
)
_PART = re.compile(r"(?:\d+/)?(\d{1,9})_(\w+)\.png")
_WHOLE = re.compile(r"(?:\d+/)?(\d{1,9})\.png")


class CelebAMask:
    """Faces with masks in parts or in one piece."""

    name = "celebamask"
    looks_like = "CelebA-HQ-img/0.jpg and CelebAMask-HQ-mask-anno/0/00000_skin.png (CelebAMask-HQ)"
    kinds = frozenset({"segmentation"})

    def fits(self, names: Sequence[str]) -> bool:
        """Whether one of the masks' folders is at the top or one below it."""
        return bool(roots(names, _MASKS))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All faces with their masks; faults are raised after the last one."""
        check_reading(reading, self.kinds, (), files.name)
        problems = Problems(reading.most_faults)
        root = only_root(files, (_IMAGES, *_MASKS))
        images = Series("image", f"{root}{_IMAGES}", PICTURES)
        faces = _numbered(find(files.names, images, problems), problems)
        spec = asked(reading, SegmentationSpec)
        labels: dict[str, Labels] = {}
        if spec is not None:
            ids = class_ids(NATIVE.classes, spec, reading.merge, files.name)
            labels[spec.kind] = _Masks(files, root, ids, problems).labels()
        yield from read_pairs(files, (images, faces), labels, problems)


def _numbered(found: Finds, problems: Problems) -> Finds:
    """Faces by number, in five digits; other names are noted as faults."""
    faces: dict[str, Found] = {}
    for image in found.values():
        if image.stem.isascii() and image.stem.isdigit():
            add(faces, image.file, _five_digits(image.stem), problems)
        else:
            problems.add(image.file, "is not called by a number, as in 0.jpg; rename or remove it")
    return faces


def _five_digits(number: str) -> str:
    return f"{int(number):05}"


class _Masks:
    """The masks' files, and how they become masks of the classes asked for."""

    def __init__(self, files: Files, root: str, ids: NDArray[np.uint8], problems: Problems) -> None:
        """Find them; `ids` are the classes wanted by the dataset's own."""
        self._files, self._ids, self._problems = files, ids, problems
        self._parts: dict[str, dict[str, str]] = {}
        self._firsts: dict[str, Found] = {}
        self._wholes: dict[str, Found] = {}
        folders = [f"{root}{folder}" for folder in _MASKS]
        self._folder = folders[0]
        for name in files.names:
            for folder in folders:
                if name.startswith(folder):
                    self._folder = folder
                    self._sort(name, name[len(folder) :])

    def labels(self) -> Labels:
        """What they are to `read_pairs`."""
        series = Series("mask", self._folder, ("_skin.png", ".png"))
        return Labels(series, {**self._wholes, **self._firsts}, self._read)

    def _sort(self, name: str, path: str) -> None:
        """Put a file where it belongs; one that belongs nowhere is noted as a fault."""
        if whole := _WHOLE.fullmatch(path):
            add(self._wholes, name, _five_digits(whole[1]), self._problems)
        elif part := _PART.fullmatch(path):
            self._sort_part(name, _five_digits(part[1]), part[2])
        else:
            wanted = "is called neither 00000_skin.png nor 0.png"
            self._problems.add(name, f"{wanted}; rename or remove it")

    def _sort_part(self, name: str, face: str, part: str) -> None:
        parts = self._parts.setdefault(face, {})
        first = self._firsts.setdefault(face, Found(name, face))
        if part in PARTS and part not in parts:
            parts[part] = name
            return
        self._firsts[face] = replace(first, is_clear=False)
        if part in parts:
            problem = f"is the same part of the same face as {parts[part]}; keep one of the two"
        else:
            problem = f"is of an unknown part, {part!r}; parts are {', '.join(PARTS)}"
        self._problems.add(name, problem)

    def _read(self, found: Found, size: Size) -> LabelArray:
        """A face's mask uint8 [H, W] of the classes wanted."""
        parts = self._parts.get(found.stem)
        native = self._painted(parts) if parts else self._whole(found.file)
        height, width = native.shape
        if height * size[1] != width * size[0]:
            sizes = f"has {height} x {width} pixels, but its image {size[0]} x {size[1]}"
            raise InvalidImage(found.file, f"{sizes} (height x width); draw it in the same shape")
        return nearest(self._ids[native], size)

    def _whole(self, file: str) -> Pixels:
        data = self._files.read(file)
        return decode_mask(data, file, NATIVE, png_size(data))

    def _painted(self, parts: Mapping[str, str]) -> Pixels:
        """The parts over each other, uint8 [h, w] of the dataset's own ids."""
        mask: Pixels | None = None
        for index, part in enumerate(PARTS, 1):
            if part not in parts:
                continue
            shown = decode_painted(self._files.read(parts[part]), parts[part])
            if mask is None:
                mask = np.zeros(shown.shape, dtype=np.uint8)
            if shown.shape != mask.shape:
                sizes = f"has {shown.shape[0]} x {shown.shape[1]} pixels"
                others = f"{mask.shape[0]} x {mask.shape[1]}"
                problem = f"{sizes}, but the parts before it {others} (height x width)"
                raise InvalidImage(parts[part], f"{problem}; draw all at one size")
            mask[shown] = index
        assert mask is not None
        return mask

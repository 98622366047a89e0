"""The authors' folders (HandsOff, DatasetGAN, EditGAN): pictures and arrays of ids by number.

    image_0.png     image_mask0.npy
    image_1.jpg     image_mask1.npy

Masks are whole numbers [H, W], perhaps with axes of length 1. Where a mask has another size than
its picture, each of the picture's pixels takes what lies at its centre in the mask. Files that are
not called `image…`, such as latents, are left alone.

The option `native` names the ids, divided by commas, from 0 on: "background, head, cheek"; then
`reading.merge` says what they become.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import ValidationError

from models.data.formats.asked import asked, check_reading, class_ids
from models.data.formats.label_files import npy_mask
from models.data.formats.pairing import (
    PICTURES,
    Finds,
    Found,
    Labels,
    Series,
    Size,
    add,
    read_pairs,
)
from models.data.labelled import Files, LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.data.resampling import nearest
from models.errors import InvalidDataset
from models.labels import SegmentationSpec

_NATIVE = "native"
_IMAGE = re.compile(rf"image_(\d{{1,9}})({'|'.join(map(re.escape, PICTURES))})", re.IGNORECASE)
_MASK = re.compile(r"image_mask(\d{1,9})\.npy", re.IGNORECASE)


class AuthorsFolder:
    """Numbered pictures and masks in one folder."""

    name = "handsoff"
    looks_like = "image_0.png, image_mask0.npy, … in one folder (HandsOff, DatasetGAN, EditGAN)"
    kinds = frozenset({"segmentation"})

    def fits(self, names: Sequence[str]) -> bool:
        """Whether there is a file `image_mask{i}.npy` anywhere."""
        return bool(_folders(names))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All pictures with their masks; faults are raised after the last one."""
        check_reading(reading, self.kinds, {_NATIVE}, files.name)
        problems = Problems(reading.most_faults)
        folder = _only_folder(files)
        pictures, masks = _find(files.names, folder, problems)
        images = Series("image", f"{folder}image_", PICTURES)
        spec = asked(reading, SegmentationSpec)
        labels: dict[str, Labels] = {}
        if spec is not None:
            labels[spec.kind] = _masks(files, folder, masks, spec, reading)
        yield from read_pairs(files, (images, pictures), labels, problems)


def _folders(names: Sequence[str]) -> list[str]:
    """Where the masks lie: "" for the top, else e.g. `training/`."""
    paths = (name.rpartition("/") for name in names if ".." not in name.split("/"))
    return sorted({folder + slash for folder, slash, file in paths if _MASK.fullmatch(file)})


def _only_folder(files: Files) -> str:
    folders = _folders(files.names)
    if not folders:
        raise InvalidDataset([(files.name, "holds no image_mask0.npy")])
    if len(folders) > 1:
        places = " and ".join(folder or "the top" for folder in folders[:5])
        problem = f"has masks in {places}; keep one folder of pictures and masks"
        raise InvalidDataset([(files.name, problem)])
    return folders[0]


def _find(names: Sequence[str], folder: str, problems: Problems) -> tuple[Finds, Finds]:
    """Pictures and masks by number; what only looks like one is noted as a fault."""
    images, masks = dict[str, Found](), dict[str, Found]()
    for name in names:
        file = name.removeprefix(folder)
        if not name.startswith(folder) or "/" in file:
            continue
        if match := _MASK.fullmatch(file):
            add(masks, name, str(int(match[1])), problems)
        elif match := _IMAGE.fullmatch(file):
            add(images, name, str(int(match[1])), problems)
        elif file.lower().startswith("image"):
            wanted = "is called neither image_0.png (or .jpg, …) nor image_mask0.npy"
            problems.add(name, f"{wanted}; rename or remove it")
    return images, masks


def _masks(
    files: Files, folder: str, found: Finds, spec: SegmentationSpec, reading: Reading
) -> Labels:
    """The masks, whose ids are `spec`'s unless the option `native` names them.

    Raises:
        InvalidDataset: the names in `native` are none, or do not become classes.
    """
    own, ids = spec, np.arange(256, dtype=np.uint8)
    if _NATIVE in reading.options:
        own = _native(reading.options[_NATIVE], files.name)
        ids = class_ids(own.classes, spec, reading.merge, files.name)

    def read(mask: Found, size: Size) -> LabelArray:
        return nearest(ids[npy_mask(files.read(mask.file), mask.file, own)], size)

    return Labels(Series("mask", f"{folder}image_mask", (".npy",)), found, read)


def _native(option: str, name: str) -> SegmentationSpec:
    """The names that the option `native` gives to ids."""
    try:
        return SegmentationSpec(classes=tuple(part.strip() for part in option.split(",")))
    except ValidationError as error:
        problem = f"the option {_NATIVE} is no list of class names: {error.errors()[0]['msg']}"
        raise InvalidDataset([(name, problem)]) from error

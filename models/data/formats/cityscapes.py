"""Cityscapes: street scenes with masks of class ids, and disparities that give depth.

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
    gtFine/…                                     …_gtFine_labelIds.png   ids 0..33
    disparity/…                                  …_disparity.png         16 bits
    camera/…                                     …_camera.json

Depth in metres is baseline * fx / d (in metres, pixels and pixels) with the disparity
d = (p - 1) / 256 of a PNG's value p; p = 0 means that there is none. The dataset's other files
(colours, instances, polygons) are left alone. `split` is read alone if the option is given; else
all splits but `test`, whose masks are blank.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.formats.asked import asked, check_reading, class_ids
from models.data.formats.label_files import depth_within
from models.data.formats.pairing import (
    Finds,
    Found,
    Labels,
    Series,
    Size,
    add,
    only_root,
    read_pairs,
    roots,
)
from models.data.images import decode_grey16, decode_mask
from models.data.labelled import Files, LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.data.sample import item_key
from models.errors import InvalidDataset, InvalidImage
from models.labels import DepthSpec, SegmentationSpec

NATIVE = SegmentationSpec(
    classes=(
        *("unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic"),
        *("ground", "road", "sidewalk", "parking", "rail track", "building", "wall", "fence"),
        *("guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light", "traffic sign"),
        *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "caravan"),
        *("trailer", "train", "motorcycle", "bicycle"),
    )
)
"""The dataset's own classes by `labelIds`, 0..33."""

PLATE = "license plate"
"""Its class of id -1, which 8 bits cannot hold; plates are within cars there."""

_OPTION = "split"
_TEST = "test"
_IMAGES, _MASKS = "leftImg8bit/", "gtFine/"
_DISPARITY, _CAMERA = "disparity/", "camera/"
_OTHER_MASKS = tuple(
    f"_gtFine_{other}"
    for other in (
        "color.png",
        "instanceIds.png",
        "instanceTrainIds.png",
        "labelTrainIds.png",
        "polygons.json",
    )
)


class Cityscapes:
    """Street scenes by split and city."""

    name = "cityscapes"
    looks_like = (
        "leftImg8bit/train/{city}/…_leftImg8bit.png with gtFine/… or disparity/… and camera/… "
        "(Cityscapes)"
    )
    kinds = frozenset({"segmentation", "depth"})

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a folder `leftImg8bit` or `gtFine` is at the top or one below it."""
        return bool(roots(names, (_IMAGES, _MASKS)))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All scenes with all labels asked for; faults are raised after the last one."""
        check_reading(reading, self.kinds, {_OPTION}, files.name)
        source = _Source(files, only_root(files, (_IMAGES, _MASKS)), reading)
        images = source.images()
        labels: dict[str, Labels] = {}
        also: list[tuple[Series, Finds]] = []
        if mask := asked(reading, SegmentationSpec):
            ids = class_ids(NATIVE.classes, mask, reading.merge, files.name, never=(PLATE,))
            labels[mask.kind] = source.masks(ids)
        if depth := asked(reading, DepthSpec):
            labels[depth.kind], cameras = source.depths(depth)
            also.append(cameras)
        yield from read_pairs(files, images, labels, source.problems, also)


class _Source:
    """Where the files are, and what was wrong with them so far."""

    def __init__(self, files: Files, root: str, reading: Reading) -> None:
        """Look below `root`, at one split or at all but the test's."""
        self.problems = Problems(reading.most_faults)
        self._files, self._root = files, root
        self._split = reading.options.get(_OPTION)

    def series(
        self, what: str, folder: str, ending: str, others: Sequence[str] = ()
    ) -> tuple[Series, Finds]:
        """The files `{split}/{city}/{city}_{6 digits}_{6 digits}{ending}` of a folder."""
        series = Series(what, f"{self._root}{folder}", (ending,))
        endings = "|".join(map(re.escape, (ending, *others)))
        pattern = re.compile(rf"([^/]+)/([^/]+)/(\2_\d{{6}}_\d{{6}})({endings})")
        found: dict[str, Found] = {}
        for name in self._files.names:
            if not name.startswith(series.folder):
                continue
            match = pattern.fullmatch(name, len(series.folder))
            if match is None:
                wanted = f"{series.folder}train/aachen/aachen_000000_000019{ending}"
                self.problems.add(name, f"is not called as in {wanted}; rename or remove it")
            elif match[4] == ending and self._is_wanted(match[1]):
                add(found, name, match[3], self.problems)
        return series, found

    def images(self) -> tuple[Series, Finds]:
        """The scenes.

        Raises:
            InvalidDataset: none is of the split asked for.
        """
        series, found = self.series("image", _IMAGES, "_leftImg8bit.png")
        if not found and self._split is not None:
            problem = f"has no images of the split {self._split!r}; look at what it is called"
            raise InvalidDataset([(series.folder, problem)])
        return series, found

    def masks(self, ids: NDArray[np.uint8]) -> Labels:
        """The masks; `ids` are the classes wanted by the dataset's own."""
        series, found = self.series("mask", _MASKS, "_gtFine_labelIds.png", _OTHER_MASKS)

        def read(mask: Found, size: Size) -> LabelArray:
            return ids[decode_mask(self._files.read(mask.file), mask.file, NATIVE, size)]

        return Labels(series, found, read)

    def depths(self, spec: DepthSpec) -> tuple[Labels, tuple[Series, Finds]]:
        """The disparities, and the cameras that make them depths.

        Raises:
            InvalidDataset: depth is wanted in another unit.
        """
        if spec.unit != "m":
            problem = f"gives depth in m, but the label's unit is {spec.unit!r}; declare m"
            raise InvalidDataset([(self._files.name, problem)])
        series, found = self.series("disparity", _DISPARITY, "_disparity.png")
        cameras = self.series("camera", _CAMERA, "_camera.json")

        def read(disparity: Found, size: Size) -> LabelArray:
            values = decode_grey16(self._files.read(disparity.file), disparity.file, size)
            camera = cameras[1][item_key(disparity.stem)].file
            metres = _metres(values, _strength(self._files.read(camera), camera))
            return depth_within(metres, disparity.file, spec)

        return Labels(series, found, read), cameras

    def _is_wanted(self, split: str) -> bool:
        return split != _TEST if self._split is None else split == self._split


def _metres(values: NDArray[np.uint16], strength: float) -> NDArray[np.float64]:
    """Depth float64 [H, W] of a disparity's values; NaN or infinite where there is none.

    Args:
        values: uint16 [H, W], as stored.
        strength: of the camera: metres of depth at a disparity of one pixel.
    """
    disparity = (values.astype(np.float64) - 1) / 256
    disparity[values == 0] = np.nan
    with np.errstate(divide="ignore"):
        return strength / disparity


def _strength(data: bytes, name: str) -> float:
    """A camera's baseline in metres times its focal length in pixels.

    Raises:
        InvalidImage: the json does not give them, or not as numbers above 0.
    """
    try:
        camera = json.loads(data)
        baseline, fx = camera["extrinsic"]["baseline"], camera["intrinsic"]["fx"]
    except (ValueError, RecursionError) as error:
        problem = f"is not readable JSON, cut short or damaged ({error}); download it again"
        raise InvalidImage(name, problem) from error
    except (LookupError, TypeError) as error:
        raise InvalidImage(name, "has no extrinsic.baseline and intrinsic.fx") from error
    for field, value in (("extrinsic.baseline", baseline), ("intrinsic.fx", fx)):
        if not (isinstance(value, int | float) and 0 < value < math.inf):
            raise InvalidImage(name, f"{field} is {value!r:.40}; it must be a number above 0")
    return float(baseline) * float(fx)

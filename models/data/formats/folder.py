"""The plain folder: `images/` and labels of any kind beside it; files of one stem belong together.

    images/0001.jpg     masks/0001.png     depth/0001.npy     keypoints.json
    images/0002.png     masks/0002.npy     depth/0002.png

masks           class ids in PNG (grey values or palette indices) or .npy; or the colours of
                `reading.colours` in PNG
depth           floats in .npy; or 16-bit PNG, of which `depth_scale` make one of the label's unit
keypoints.json  {"0001": [[x, y, visibility], …], …}: the label's points in their order, in pixels
                of the upright picture from the first one's centre; visibility is COCO's. Or
                a COCO json, whose pictures are those of the same names

All of it may lie within one folder at the top. Kinds that are not asked for are left alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.data.formats.asked import check_reading
from models.data.formats.coco_loading import is_coco
from models.data.formats.coco_points import coco_points
from models.data.formats.keypoints_json import as_triples, read_keypoints_json
from models.data.formats.label_files import (
    DEPTH_SCALE,
    colours_of,
    depth_scale,
    read_depth,
    read_mask,
)
from models.data.formats.pairing import (
    PICTURES,
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
from models.data.labelled import Files, LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

_KEYPOINTS = "keypoints.json"
_MARKS = ("images/", "masks/")


class PlainFolder:
    """Images, masks, depth and keypoints in folders of their own."""

    name = "folder"
    looks_like = (
        "images/… with masks/…, depth/… or keypoints.json, files of the same names "
        "(images/a.jpg, masks/a.png)"
    )
    kinds = frozenset({"segmentation", "keypoints", "depth"})

    def fits(self, names: Sequence[str]) -> bool:
        """Whether there is a folder `images` or `masks` at the top or one below it."""
        return bool(roots(names, _MARKS))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All pictures with all labels asked for; faults are raised after the last one."""
        check_reading(reading, self.kinds, {DEPTH_SCALE}, files.name)
        source = _Source(files, only_root(files, _MARKS), reading, Problems(reading.most_faults))
        images = Series("image", f"{source.root}images/", PICTURES)
        found = find(files.names, images, source.problems)
        labels: dict[str, Labels] = {
            label.kind: _LABELS[label.kind](source, label) for label in reading.labels
        }
        yield from read_pairs(files, (images, found), labels, source.problems)


@dataclass(frozen=True)
class _Source:
    """What labels are read from, and how; `root` is the folder that holds it all."""

    files: Files
    root: str
    reading: Reading
    problems: Problems


def _masks(source: _Source, spec: SegmentationSpec) -> Labels:
    series = Series("mask", f"{source.root}masks/", (".png", ".npy"))
    colours = colours_of(source.reading, spec, source.files.name)

    def read(found: Found, size: Size) -> LabelArray:
        return read_mask(source.files.read(found.file), found.file, spec, colours, size)

    return Labels(series, find(source.files.names, series, source.problems), read)


def _depths(source: _Source, spec: DepthSpec) -> Labels:
    series = Series("depth", f"{source.root}depth/", (".npy", ".png"))
    scale = depth_scale(source.reading, source.files.name)

    def read(found: Found, size: Size) -> LabelArray:
        return read_depth(source.files.read(found.file), found.file, spec, scale, size)

    return Labels(series, find(source.files.names, series, source.problems), read)


def _keypoints(source: _Source, spec: KeypointsSpec) -> Labels:
    name = f"{source.root}{_KEYPOINTS}"
    data = read_whole(source.files, name) if name in source.files.names else b"{}"
    if is_coco(data):
        return coco_points(data, name, spec, source.problems)
    found, entries = dict[str, Found](), read_keypoints_json(data, name)
    for stem, _ in entries:
        add(found, f"{name}: {stem}", stem, source.problems)
    points = dict(entries)

    def read(found: Found, size: Size) -> LabelArray:
        return as_points(as_triples(points[found.stem], found.file), size, found.file, spec)

    return Labels(Series("keypoints", f"{name}: ", ("",)), found, read)


_LABELS: Mapping[str, Callable[[_Source, Any], Labels]] = {
    "segmentation": _masks,
    "depth": _depths,
    "keypoints": _keypoints,
}

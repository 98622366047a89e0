"""One picture and its labels, each a file of its own, as a form brings them.

They are read as those of the plain folder are, but that keypoints come as
{"points": [[x, y, visibility], …]}, or as we store them ourselves (`models.data.kinds`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from models.data.formats.keypoints_json import as_triples, read_keypoints_json
from models.data.formats.label_files import colours_of, depth_scale, read_depth, read_mask
from models.data.formats.pairing import Size
from models.data.formats.points import as_points
from models.data.images import decode_image
from models.data.kinds import kind_of
from models.data.labelled import LabelArray, Labelled, Reading
from models.data.sample import File
from models.errors import InvalidDataset, InvalidImage
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

MAX_BYTES = 2**20
"""Size of a json of keypoints at most."""


def read_single(key: str, image: File, labels: Mapping[str, File], reading: Reading) -> Labelled:
    """A labelled picture.

    Args:
        key: its name.
        image: the picture.
        labels: by kind, one of each that is asked for.
        reading: what is asked for; of its options `depth_scale` counts.

    Raises:
        InvalidImage: one of the files cannot be used.
        InvalidDataset: what is asked for cannot be had of any file.
    """
    name, data = image
    pixels = decode_image(data, name)
    size, found = (pixels.shape[0], pixels.shape[1]), dict[str, LabelArray]()
    for spec in reading.labels:
        found[spec.kind] = _READ[spec.kind](labels[spec.kind], spec, reading, size)
    return Labelled(key, pixels, found, name)


def _mask(file: File, spec: SegmentationSpec, reading: Reading, size: Size) -> LabelArray:
    name, data = file
    return read_mask(data, name, spec, colours_of(reading, spec, name), size)


def _keypoints(file: File, spec: KeypointsSpec, _reading: Reading, size: Size) -> LabelArray:
    name, data = file
    try:
        entries = dict(read_keypoints_json(data, name, MAX_BYTES))
    except InvalidDataset as error:
        raise InvalidImage(*error.problems[0]) from error
    if "keypoints" in entries:
        stored = kind_of(spec).decode(data, name, size)
        return as_points(stored[:, [1, 0, 2]], size, name, spec)
    if len(entries) != 1:
        raise InvalidImage(name, 'must hold {"points": [[x, y, visibility], …]} and no more')
    (points,) = entries.values()
    return as_points(as_triples(points, name), size, name, spec)


def _depth(file: File, spec: DepthSpec, reading: Reading, size: Size) -> LabelArray:
    name, data = file
    return read_depth(data, name, spec, depth_scale(reading, name), size)


_READ: Mapping[str, Callable[[File, Any, Reading, Size], LabelArray]] = {
    "segmentation": _mask,
    "keypoints": _keypoints,
    "depth": _depth,
}

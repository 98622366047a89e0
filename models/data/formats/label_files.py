"""Files of masks and of depth as arrays: PNG or .npy, told by content, never by name."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.formats.pairing import Size
from models.data.images import (
    Pixels,
    check_ids,
    check_size,
    decode_grey16,
    decode_image,
    decode_mask,
)
from models.data.labelled import Reading
from models.data.npy import MAGIC, read_npy
from models.errors import InvalidDataset, InvalidImage
from models.labels import Colour, DepthSpec, SegmentationSpec

PNG = b"\x89PNG\r\n\x1a\n"
"""What PNG files begin with."""

DEPTH_SCALE = "depth_scale"
"""The option that says what PNGs of depth hold for one of the label's unit."""

_LARGEST_ID = 2**16 - 1


def read_mask(
    data: bytes, name: str, spec: SegmentationSpec, colours: "Colours | None", size: Size
) -> Pixels:
    """A mask as uint8 [H, W] of class ids, from a PNG or .npy file.

    Args:
        data: the whole file.
        name: what errors call it.
        spec: the classes.
        colours: what the colours of a PNG mean; without them its values or indices are ids.
        size: (H, W) of the picture, in pixels.

    Raises:
        InvalidImage: it is neither, has another size, or holds what is no class.
    """
    if data.startswith(MAGIC):
        return npy_mask(data, name, spec, size)
    if colours is None:
        return decode_mask(data, name, spec, size)
    return colours.decode(data, name, size)


def npy_mask(data: bytes, name: str, spec: SegmentationSpec, size: Size | None = None) -> Pixels:
    """A mask as uint8 [H, W] of class ids, from an .npy file of whole numbers.

    Args:
        data: the whole file; [H, W], or with more axes of length 1.
        name: what errors call it.
        spec: the classes.
        size: (H, W) that it must have; any if left out.

    Raises:
        InvalidImage: it is no such file, has another size, or holds what is no class.
    """
    values = _flat(read_npy(data, name, "biu"), name)
    if size is not None:
        check_size(values.shape, size, name)
    beyond = (values < 0) | (values > _LARGEST_ID)
    if beyond.any():
        row, column = np.unravel_index(beyond.argmax(), beyond.shape)
        found = f"holds {values[row, column]} at (row {row}, column {column})"
        raise InvalidImage(name, f"{found}; class ids lie in 0..255")
    check_ids(values, name, spec)
    return values.astype(np.uint8)


class Colours:
    """What the colours of colour-coded masks mean."""

    def __init__(self, names: Mapping[Colour, str], spec: SegmentationSpec, dataset: str) -> None:
        """Find each colour's class.

        Args:
            names: RGB in 0..255 -> name of a class.
            spec: the classes.
            dataset: what errors call the dataset as a whole.

        Raises:
            InvalidDataset: a colour has the name of no class.
        """
        unknown = sorted({name for name in names.values() if name not in spec.classes})
        if unknown:
            problem = f"colours stand for {', '.join(unknown)}, but the label has no such class"
            raise InvalidDataset([(dataset, f"{problem}; it has {', '.join(spec.classes)}")])
        packed = {_packed(colour): spec.classes.index(name) for colour, name in names.items()}
        self._colours = np.array(sorted(packed), dtype=np.uint32)
        self._ids = np.array([packed[colour] for colour in sorted(packed)], dtype=np.uint8)

    def decode(self, data: bytes, name: str, size: Size) -> Pixels:
        """A colour-coded PNG as uint8 [H, W] of class ids.

        Raises:
            InvalidImage: it is no PNG, has another size, or a colour that means nothing.
        """
        _check_png(data, name, "a colour-coded mask")
        picture = decode_image(data, name).astype(np.uint32)
        check_size(picture.shape[:2], size, name)
        shown = picture[..., 0] << 16 | picture[..., 1] << 8 | picture[..., 2]  # [H, W]
        place = np.searchsorted(self._colours, shown).clip(max=len(self._colours) - 1)
        unknown = self._colours[place] != shown
        if unknown.any():
            row, column = np.unravel_index(unknown.argmax(), unknown.shape)
            colour = tuple(int(channel) for channel in picture[row, column])
            found = (
                f"shows {colour} at (row {row}, column {column}) and {unknown.sum()} such pixels"
            )
            raise InvalidImage(
                name, f"{found}; name its class in colours, or draw without smoothing"
            )
        ids: Pixels = self._ids[place]
        return ids


def colours_of(reading: Reading, spec: SegmentationSpec, dataset: str) -> Colours | None:
    """What the colours of masks mean, if they are coded by colour; raises as `Colours`."""
    return Colours(reading.colours, spec, dataset) if reading.colours else None


def depth_scale(reading: Reading, dataset: str) -> float | None:
    """The option `depth_scale` as a number; none where it is not said.

    Raises:
        InvalidDataset: it is no number above 0.
    """
    option = reading.options.get(DEPTH_SCALE)
    if option is None:
        return None
    try:
        scale = float(option)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        problem = f"{DEPTH_SCALE} is {option!r}; it must be a number above 0, e.g. 1000"
        raise InvalidDataset([(dataset, f"{problem} for millimetres")])
    return scale


def read_depth(
    data: bytes, name: str, spec: DepthSpec, scale: float | None, size: Size
) -> NDArray[np.float32]:
    """Depth as float32 [H, W], NaN where there is none, from a 16-bit PNG or .npy file.

    Args:
        data: the whole file.
        name: what errors call it.
        spec: range and unit; its `invalid` is compared with what the file holds.
        scale: what a PNG holds for one of the spec's unit, e.g. 1000 for millimetres.
        size: (H, W) of the picture, in pixels.

    Raises:
        InvalidImage: it is neither, has another size, or holds no depth at all.
    """
    if data.startswith(MAGIC):
        values, scale = _flat(read_npy(data, name, "f"), name), 1.0
        check_size(values.shape, size, name)
    elif scale is None:
        raise InvalidImage(name, "is no .npy file, so say in depth_scale what it holds for a unit")
    else:
        values = decode_grey16(data, name, size)
    none = np.zeros(values.shape, dtype=bool) if spec.invalid is None else values == spec.invalid
    with np.errstate(invalid="ignore"):  # Signalling NaNs are as good as others.
        depth = np.where(none, np.nan, values / scale)
    return depth_within(depth, name, spec)


def depth_within(values: NDArray[Any], name: str, spec: DepthSpec) -> NDArray[np.float32]:
    """Depth as float32 [H, W], NaN for whatever is not in the spec's range.

    Args:
        values: float [H, W] in the spec's unit.
        name: what errors call it.
        spec: the range.

    Raises:
        InvalidImage: nothing is in the range.
    """
    # Written so that NaN, of which nothing is true, is not in it.
    known = (values >= spec.smallest) & (values <= spec.largest)
    if not known.any():
        found = f"has no depth from {spec.smallest:g} to {spec.largest:g} {spec.unit} anywhere"
        raise InvalidImage(name, f"{found}; check its unit, or leave it out")
    return np.where(known, values, np.nan).astype(np.float32)


def decode_painted(data: bytes, name: str) -> NDArray[np.bool_]:
    """bool [H, W]: where a black-and-white PNG is not black.

    Raises:
        InvalidImage: it is no PNG, damaged, or shows colours.
    """
    _check_png(data, name, "a part's mask")
    picture = decode_image(data, name)
    if (picture != picture[..., :1]).any():
        raise InvalidImage(name, "shows colours; a part's mask is black and white")
    painted: NDArray[np.bool_] = picture[..., 0] > 0
    return painted


def png_size(data: bytes) -> Size:
    """(H, W) that a PNG's header gives; (0, 0) if there is no header."""
    if len(data) < 24 or not data.startswith(PNG):
        return (0, 0)
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _check_png(data: bytes, name: str, what: str) -> None:
    if not data.startswith(PNG):
        found = f"begins with {data[:8]!r}" if data else "is empty"
        raise InvalidImage(name, f"{found}; {what} must be a PNG file")


def _flat(values: NDArray[Any], name: str) -> NDArray[Any]:
    """An array [H, W] without the other axes, which must have length 1."""
    shape = values.shape
    while values.ndim > 2 and 1 in values.shape:
        values = values.squeeze(values.shape.index(1))
    if values.ndim != 2:
        raise InvalidImage(name, f"has shape {shape}; it must be (height, width)")
    return values


def _packed(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue

"""Depth in datasets: a NumPy file of float32, summed up by its range.

`depth.npy` is format version 1.0 of NumPy's, written here and not by NumPy, whose releases pad
the header differently: the bytes below are the same everywhere.
"""

import struct
from collections.abc import Iterable, Mapping

import numpy as np

from models.data.images import Pixels
from models.data.labelled import LabelArray
from models.data.npy import MAGIC, read_npy
from models.data.pictures import depth_colours, depth_palette, legend
from models.data.text import plain
from models.errors import InvalidImage
from models.labels import DepthSpec

_BEGINNING = MAGIC + b"\x01\x00"
_ALIGNMENT = 64


class DepthMaps:
    """`depth.npy`: little-endian float32 [H, W] in the spec's unit, NaN where there is none."""

    member = "depth.npy"
    figure = "depth"
    task = "depth-estimation"
    names: tuple[str, ...] = ("smallest", "mean", "largest", "labelled_share")

    def __init__(self, spec: DepthSpec) -> None:
        self._spec = spec
        self.reading = f"float32, in {plain(spec.unit)}, NaN where there is none"

    def encode(self, label: LabelArray) -> bytes:
        """A NumPy file."""
        described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {label.shape}, }}"
        fixed = len(_BEGINNING) + 2
        padded = -(-(fixed + len(described) + 1) // _ALIGNMENT) * _ALIGNMENT - fixed
        header = described.encode("ascii").ljust(padded - 1) + b"\n"
        return _BEGINNING + struct.pack("<H", padded) + header + label.astype("<f4").tobytes()

    def decode(self, data: bytes, name: str, size: tuple[int, int]) -> LabelArray:
        """float32 [H, W]; what is outside the spec's range becomes NaN."""
        found = read_npy(data, name, "fiu")
        if found.shape != size:
            shapes = f"{list(found.shape)}, but its image {list(size)}"
            raise InvalidImage(name, f"has the shape {shapes} (height, width)")
        depth = found.astype(np.float32)
        valid = (depth >= self._spec.smallest) & (depth <= self._spec.largest)
        return np.where(valid, depth, np.float32(np.nan))

    def figures(self, label: LabelArray) -> dict[str, float]:
        """Range and mean of what is labelled, and how much that is; all 0 where nothing is."""
        there = label[~np.isnan(label)].astype(np.float64)
        if not there.size:
            return dict.fromkeys(self.names, 0.0)
        found = (there.min(), there.mean(), there.max(), there.size / label.size)
        return {name: float(value) for name, value in zip(self.names, found, strict=True)}

    def picture(self, image: Pixels, label: LabelArray) -> Pixels:  # noqa: ARG002
        """The nearest pixel of this picture is brightest, the farthest darkest."""
        return depth_colours(label)

    def legend(self, width: int) -> Pixels:
        """The colours of near and far."""
        return legend(("near", "", "", "", "far"), depth_palette(5), width)

    def feature(self, size: tuple[int, int]) -> Iterable[str]:
        """An array of fixed shape."""
        yield from (f"  - name: {self.member}", "    dtype:", "      array2_d:")
        yield from ("        dtype: float32", f"        shape: [{size[0]}, {size[1]}]")

    def described(self, means: Mapping[str, float]) -> Iterable[str]:
        """A sentence on the range."""
        low, mean, high = (f"{means[name]:.3g}" for name in self.names[:3])
        yield f"Depth in {plain(self._spec.unit)}: {mean} on average; a sample's runs from {low} to"
        yield f"{high} in the mean."

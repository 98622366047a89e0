"""Renders of the demo domain kept on disk with the z each belongs to.

A folder with two flat arrays and a count:

    images.u8    uint8   [N, 3, 64, 64]
    z.f32        float32 [N, 72]
    count.json   {"schema_version": 1, "count": how many are there, "size": N, "seed": ...}

z lies on the sphere of radius sqrt(72), as the mapping network sees it, and the parameters of
the face are the normal distribution function of its first numbers; the rest is unused width.
So the render is a function of z alone. Face i depends on (seed, i) only.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.demo.parameters import NUM_PARAMETERS
from models.demo.recipe import IMAGE_SIZE, Z_DIM
from models.demo.renderer import render
from models.seeding import philox

SCHEMA_VERSION = 1
CHUNK = 64


def sample_z(first: int, count: int, seed: int) -> Tensor:
    """z of faces `first` to `first + count - 1`: float32 [count, 72] of norm sqrt(72)."""
    rows = [philox(seed, first + i).standard_normal(Z_DIM) for i in range(count)]
    return to_sphere(torch.from_numpy(np.array(rows, dtype=np.float32)))


def to_sphere(z: Tensor) -> Tensor:
    """z [N, D] scaled to norm sqrt(D)."""
    norm = z.square().sum(dim=1, keepdim=True).sqrt()
    return z * (math.sqrt(z.shape[1]) / norm)


def parameters_of(z: Tensor) -> Tensor:
    """The face z stands for: float32 [N, 72] -> [N, NUM_PARAMETERS] in [0, 1]."""
    parameters: Tensor = torch.special.ndtr(z[:, :NUM_PARAMETERS])
    return parameters


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] to 0..255, rounded: the nearest level of each value."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class Batch(NamedTuple):
    """Some renders and what they were drawn from.

    Attributes:
        z: float32 [N, 72].
        images: float32 [N, 3, 64, 64] in [-1, 1].
    """

    z: Tensor
    images: Tensor


class RenderCache:
    """A growing, resumable store of renders."""

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        """Opens or creates the store of `size` renders of `seed` in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.size, self.seed = size, seed
        self._count_file = folder / "count.json"
        self.count = self._read_count()
        shape = (size, 3, IMAGE_SIZE, IMAGE_SIZE)
        self._images = _array(folder / "images.u8", np.uint8, shape)
        self._z = _array(folder / "z.f32", np.float32, (size, Z_DIM))

    def _read_count(self) -> int:
        if not self._count_file.exists():
            return 0
        stored = json.loads(self._count_file.read_text())
        if (stored["size"], stored["seed"]) != (self.size, self.seed):
            raise ValueError(f"{self._count_file} belongs to another recipe: {stored}")
        return int(stored["count"])

    @property
    def complete(self) -> bool:
        """Whether all renders are there."""
        return self.count == self.size

    def refresh(self) -> None:
        """Counts again: another process may be filling the store."""
        self.count = self._read_count()

    def grow(self, until: int) -> None:
        """Renders more, a chunk at a time, until `until` (or all) are there."""
        while self.count < min(until, self.size):
            first, last = self.count, min(self.count + CHUNK, self.size)
            z = sample_z(first, last - first, self.seed)
            images = render(parameters_of(z), IMAGE_SIZE).images
            self._z[first:last] = z.numpy()
            self._images[first:last] = to_uint8(images).numpy()
            self._write_count(last)

    def _write_count(self, count: int) -> None:
        self.count = count
        fields = {"schema_version": SCHEMA_VERSION, "size": self.size, "seed": self.seed}
        temporary = self._count_file.with_suffix(".tmp")
        temporary.write_text(json.dumps({**fields, "count": count}))
        temporary.replace(self._count_file)

    def batch(self, n: int, stream: torch.Generator) -> Batch:
        """n renders drawn with replacement."""
        rows = torch.randint(self.count, (n,), generator=stream).numpy()
        images = torch.from_numpy(self._images[rows]).float() / 127.5 - 1
        return Batch(torch.from_numpy(self._z[rows]), images)


def _array(path: Path, dtype: type[np.number[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
    """The file as an array, made with zeros where it is not there."""
    if path.exists():
        return np.memmap(path, dtype=dtype, mode="r+", shape=shape)
    return np.memmap(path, dtype=dtype, mode="w+", shape=shape)

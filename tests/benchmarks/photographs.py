"""Labelled pictures like photographs, by the thousand: 512 x 512 PNGs of about 400 KB, with masks.

Natural pictures have as much contrast at each scale, and the camera's noise over it, which is what
their PNGs are large by. A few scenes are shared, shifted differently for each picture; its noise is
its own. Picture i is made from i and nothing else. Knows nothing of HandsOff.
"""

import functools
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 512
"""Pixels, of each side."""
CLASSES = ("darkest", "dark", "middle", "light", "lightest")
PAIR_BYTES = 425_000
"""About what a picture and its mask take in a zip."""

_SCENES = 8
_OCTAVES = 6
_NOISE = 3  # Of 255, at most: makes PNGs of 400 KB.
_EDGES = (90, 115, 140, 165)  # Between the classes, of 255.


def write_zip(path: Path, pairs: int) -> None:
    """A zip in the layout `images/00000.png`, `masks/00000.png`, the same bytes each time."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(pairs):
            for folder, array in zip(("images", "masks"), photograph(number), strict=True):
                # Without a date, and deflated, as most programs do even where it gains nothing.
                entry = zipfile.ZipInfo(f"{folder}/{number:05d}.png")
                archive.writestr(entry, _png(array), zipfile.ZIP_DEFLATED, compresslevel=1)


def photograph(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture uint8 [SIZE, SIZE, 3] and its mask uint8 [SIZE, SIZE], ids of `CLASSES`."""
    stream = np.random.default_rng([1, number])
    light = np.roll(_scene(number % _SCENES), stream.integers(SIZE, size=2), (0, 1))
    noise = stream.integers(-_NOISE, _NOISE, light.shape, dtype=np.int8)
    picture = (light + noise).clip(0, 255).astype(np.uint8)
    return picture, np.digitize(light[..., 1], _EDGES).astype(np.uint8)


@functools.cache
def _scene(number: int) -> NDArray[np.float32]:
    """What is seen, float32 [SIZE, SIZE, 3], about 0..255."""
    stream = np.random.default_rng([0, number])
    scene = np.full((SIZE, SIZE, 3), 128, dtype=np.float32)
    for octave in range(_OCTAVES):
        cells = stream.standard_normal((3, 4 << octave, 4 << octave), dtype=np.float32)
        scene += 40 * 0.5**octave * np.stack([_enlarged(each) for each in cells], axis=-1)
    return scene


def _enlarged(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """A small field at full size, smooth."""
    return np.asarray(Image.fromarray(cells).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _png(array: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(array).save(target, "PNG", compress_level=1)
    return target.getvalue()

"""One labelled picture, and the name that it goes by. Pure but for the decoding of pictures."""

import hashlib
import re
from dataclasses import dataclass

from models.data.images import Pixels, decode_image, decode_mask
from models.labels import LabelSpec

MAX_KEY = 80
_KEY = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Sample:
    """A labelled picture.

    Attributes:
        key: its name in the dataset; lower-case letters, digits, `_` and `-`.
        image: uint8 [H, W, 3] RGB in 0..255.
        mask: uint8 [H, W] of class ids.
    """

    key: str
    image: Pixels
    mask: Pixels


def item_key(stem: str) -> str:
    """The key of a file called `stem` (no folder, no extension), e.g. `IMG 01.b` -> `img-01-b`.

    Keys go into tar archives, whose readers cut names at the first dot, and sort the same on
    every file system. Where letters outside a-z are lost, a digest keeps the keys apart.
    """
    if _KEY.fullmatch(stem) and len(stem) <= MAX_KEY:
        return stem
    plain = re.sub(r"[^a-z0-9_]+", "-", stem.lower()).strip("-")
    if plain and stem.isascii() and len(plain) <= MAX_KEY:
        return plain
    digest = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: MAX_KEY - 9] or 'item'}-{digest}"


def read_sample(
    key: str, image: tuple[str, bytes], mask: tuple[str, bytes], label: LabelSpec
) -> Sample:
    """A sample from its two files, each given as (name for errors, content).

    Raises:
        InvalidImage: one of them cannot be used.
    """
    (image_name, image_data), (mask_name, mask_data) = image, mask
    pixels = decode_image(image_data, image_name)
    height, width = pixels.shape[:2]
    ids = decode_mask(mask_data, mask_name, label, (height, width))
    return Sample(key, pixels, ids)

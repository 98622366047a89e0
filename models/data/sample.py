"""One labelled picture, and the name that it goes by. Pure but for the decoding of pictures."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from models.data.images import EXTENSIONS, Pixels, decode_image
from models.data.kinds import kind_of
from models.data.labelled import LabelArray, Labelled
from models.data.shards import ShardSample
from models.labels import LabelSpec

MAX_KEY = 80
_KEY = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Sample:
    """A labelled picture.

    Attributes:
        key: its name in the dataset; lower-case letters, digits, `_` and `-`.
        image: uint8 [H, W, 3] RGB in 0..255.
        mask: its label, as the label's spec says: uint8 [H, W] of class ids for a segmentation.
    """

    key: str
    image: Pixels
    mask: LabelArray


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
    return Sample(key, pixels, kind_of(label).decode(mask_data, mask_name, (height, width)))


def labelled_of(sample: ShardSample, labels: Sequence[LabelSpec]) -> Labelled:
    """A sample of a shard, decoded.

    Args:
        sample: a picture, and a label of each of `labels`.
        labels: what its labels mean, at most one of a kind.

    Raises:
        InvalidImage: one of its files cannot be used.
    """
    extension = next(e for e in sample.members if e in EXTENSIONS)
    image = decode_image(sample.members[extension], f"{sample.key}.{extension}")
    size = (image.shape[0], image.shape[1])
    found: dict[str, LabelArray] = {}
    for spec in labels:
        kind = kind_of(spec)
        name = f"{sample.key}.{kind.member}"
        found[spec.kind] = kind.decode(sample.members[kind.member], name, size)
    return Labelled(sample.key, image, found, sample.key)

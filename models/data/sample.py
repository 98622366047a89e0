"""The name that a labelled picture goes by, and how it is read back from where it was stored."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from models.data.images import EXTENSIONS, decode_image
from models.data.kinds import kind_of
from models.data.labelled import LabelArray, Labelled
from models.data.shards import ShardSample
from models.labels import LabelSpec

File = tuple[str, bytes]
"""What errors call a file, and its content."""

MAX_KEY = 80
_KEY = re.compile(r"[a-z0-9_-]+")


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


def read_labelled(
    key: str, image: File, labels: Mapping[str, File], specs: Sequence[LabelSpec]
) -> Labelled:
    """A labelled picture from files as we store them.

    Args:
        key: its name.
        image: the picture; what errors call it is the whole's origin.
        labels: by kind, one of each of `specs`.
        specs: what the labels mean, at most one of a kind.

    Raises:
        InvalidImage: one of the files cannot be used.
    """
    name, data = image
    pixels = decode_image(data, name)
    size = (pixels.shape[0], pixels.shape[1])
    found: dict[str, LabelArray] = {}
    for spec in specs:
        name_of_label, content = labels[spec.kind]
        found[spec.kind] = kind_of(spec).decode(content, name_of_label, size)
    return Labelled(key, pixels, found, name)


def labelled_of(sample: ShardSample, specs: Sequence[LabelSpec]) -> Labelled:
    """A sample of a shard, decoded; raises as `read_labelled`.

    Args:
        sample: a picture, and a label of each of `specs`.
        specs: what its labels mean, at most one of a kind.
    """
    extension = next(e for e in sample.members if e in EXTENSIONS)
    image = f"{sample.key}.{extension}", sample.members[extension]
    members = {spec.kind: kind_of(spec).member for spec in specs}
    labels: dict[str, File] = {
        kind: (f"{sample.key}.{member}", sample.members[member]) for kind, member in members.items()
    }
    return read_labelled(sample.key, image, labels, specs)

"""The files that a dataset keeps of a labelled picture. Pure: bytes and names, no store."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.data.images import encode_png
from models.data.kinds import kind_of
from models.data.labelled import Labelled
from models.data.manifest import ItemFile
from models.labels import LabelSpec
from workers import keys

IMAGE = "image"
"""The role of the picture among an item's files; a label's role is its kind."""

_TYPES = {"png": "image/png", "json": "application/json"}


@dataclass(frozen=True)
class StoredFile:
    """A file of an item.

    Attributes:
        path: inside the dataset.
    """

    path: str
    data: bytes

    @property
    def content_type(self) -> str:
        """What the store is told of its content."""
        return _TYPES.get(self.path.rpartition(".")[2], "application/octet-stream")

    @property
    def entry(self) -> ItemFile:
        """How manifests name it."""
        return ItemFile(path=self.path, sha256=hashlib.sha256(self.data).hexdigest())


def paths(key: str, labels: Sequence[LabelSpec], folder: str = keys.ITEMS) -> dict[str, str]:
    """The paths of an item's files inside its dataset, by role: the image first."""
    return {role: keys.item(key, member, folder) for role, member in _members(labels).items()}


def called(role: str, labels: Sequence[LabelSpec]) -> str:
    """What people call a file of that role: `mask`, say, and not `segmentation`."""
    return role if role == IMAGE else _members(labels)[role].partition(".")[0]


def stored(
    item: Labelled, labels: Sequence[LabelSpec], folder: str = keys.ITEMS
) -> Mapping[str, StoredFile]:
    """An item's files by role; equal items are equal bytes.

    Args:
        item: a picture with a label of each of `labels`.
        labels: what they mean, at most one of a kind.
        folder: of the dataset, in which they are to be.
    """
    places = paths(item.key, labels, folder)
    data = {IMAGE: encode_png(item.image)}
    data |= {spec.kind: kind_of(spec).encode(item.labels[spec.kind]) for spec in labels}
    return {role: StoredFile(place, data[role]) for role, place in places.items()}


def _members(labels: Sequence[LabelSpec]) -> dict[str, str]:
    """What the names of an item's files end in, by role."""
    members = {IMAGE: "png"}
    return members | {spec.kind: kind_of(spec).member for spec in labels}

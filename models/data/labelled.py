"""A labelled picture of any mix of kinds, and where its files come from. Pure: numpy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from models.data.images import Pixels
from models.data.problems import LIMIT
from models.labels import LabelSpec

LabelArray = NDArray[Any]
"""uint8 [H, W] class ids, float32 [K, 3] keypoints, or float32 [H, W] depth, as its spec says."""


@dataclass(frozen=True)
class Labelled:
    """A picture and its labels.

    Attributes:
        key: its name in the dataset; lower-case letters, digits, `_` and `-`.
        image: uint8 [H, W, 3] RGB in 0..255.
        labels: by kind, each as its spec says.
        origin: the file or id that errors and reports call it by.
    """

    key: str
    image: Pixels
    labels: Mapping[str, LabelArray]
    origin: str


class Files(Protocol):
    """Files of strangers: a zip, a tar, a folder, a prefix of a bucket.

    Attributes:
        name: what errors call the whole.
        names: paths of the files worth reading, `/`-separated, sorted.
    """

    name: str
    names: Sequence[str]

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            InvalidImage: this file is damaged or too large.
            InvalidDataset: the whole gives more bytes than it may.
        """


@dataclass(frozen=True)
class Reading:
    """How a user wants a layout to be read.

    Attributes:
        labels: the kinds wanted, at most one of each.
        merge: the file's own class names -> names of the segmentation's classes, for layouts that
            name their classes; empty where they are the same. A name in neither is a fault.
        colours: RGB triples -> names of the segmentation's classes, for colour-coded masks.
        options: of one layout alone, e.g. the split to read; others are refused.
        most_faults: items at fault before the reading is given up; any number if None.
    """

    labels: tuple[LabelSpec, ...]
    merge: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[tuple[int, int, int], str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    most_faults: int | None = LIMIT

    def of(self, kind: str) -> LabelSpec | None:
        """The wanted labels of a kind, if any are."""
        return next((label for label in self.labels if label.kind == kind), None)

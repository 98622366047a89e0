"""What the labels of a dataset hold, by kind, counted label by label in constant memory. Pure."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.data.document import Document
from models.data.images import Pixels
from models.data.labelled import LabelArray
from models.labels import DepthSpec, KeypointsSpec, LabelSpec, SegmentationSpec

BINS = 32
"""Of a histogram of depth."""


class MaskStatistics(Document):
    """What masks hold, by class name; pixels to be ignored are left out.

    Attributes:
        class_pixel_share: of all labelled pixels, the share in 0..1 that a class has.
        images_per_class: in how many images a class has at least one pixel.
    """

    kind: Literal["segmentation"] = "segmentation"
    class_pixel_share: dict[str, float]
    images_per_class: dict[str, int]


class PointCounts(Document):
    """In how many images a point is seen, hidden, or not labelled at all."""

    seen: int
    hidden: int
    unlabelled: int


class KeypointStatistics(Document):
    """How often each point is labelled, by name, over so many images."""

    kind: Literal["keypoints"] = "keypoints"
    images: int
    points: dict[str, PointCounts]


class DepthStatistics(Document):
    """The distances of all labelled pixels.

    Attributes:
        images: how many depth maps were counted.
        labelled_share: of their pixels, the share in 0..1 that has a depth.
        edges: of the bins, ascending: one more than there are bins, from the spec's smallest to
            its largest depth; as far from each other in the logarithm where that is learnt.
        counts: pixels in each bin; the upper edge belongs to the next bin but for the last.
        smallest, mean, largest: of all labelled pixels, in the spec's unit; none without one.
    """

    kind: Literal["depth"] = "depth"
    unit: str
    images: int
    labelled_share: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    smallest: float | None
    mean: float | None
    largest: float | None


LabelStatistics = Annotated[
    MaskStatistics | KeypointStatistics | DepthStatistics, Field(discriminator="kind")
]


class Counter(Protocol):
    """Counts labels of one kind."""

    def add(self, label: LabelArray) -> None:
        """Count one label."""

    def statistics(self) -> LabelStatistics:
        """What the labels held so far."""


def counter_of(spec: LabelSpec) -> Counter:
    """What counts labels of `spec`."""
    return COUNTERS[spec.kind](spec)


class MaskCounter:
    """Counts masks uint8 [H, W]."""

    def __init__(self, spec: SegmentationSpec) -> None:
        self._spec = spec
        self._pixels = np.zeros(256, dtype=np.int64)
        self._images = np.zeros(256, dtype=np.int64)

    def add(self, label: LabelArray) -> None:
        """Count one mask."""
        pixels = np.bincount(label.ravel(), minlength=256)
        self._pixels += pixels
        self._images += pixels > 0

    def statistics(self) -> MaskStatistics:
        """What the masks held so far."""
        names, counted = self._spec.classes, self._labelled(self._pixels)
        total = max(1, int(counted.sum()))
        images = self._labelled(self._images)
        return MaskStatistics(
            class_pixel_share={n: int(c) / total for n, c in zip(names, counted, strict=True)},
            images_per_class={n: int(c) for n, c in zip(names, images, strict=True)},
        )

    def _labelled(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts by class id, with none for an id that is to be ignored."""
        labelled = counts[: len(self._spec.classes)].copy()
        ignored = self._spec.ignore_index
        if ignored is not None and ignored < len(labelled):
            labelled[ignored] = 0
        return labelled


def pixel_shares(mask: Pixels, spec: SegmentationSpec) -> dict[str, float]:
    """Of one mask's labelled pixels, the share in 0..1 of each class, by name."""
    counter = MaskCounter(spec)
    counter.add(mask)
    return counter.statistics().class_pixel_share


class KeypointCounter:
    """Counts keypoints float32 [K, 3]."""

    def __init__(self, spec: KeypointsSpec) -> None:
        self._names = spec.names
        self._images = 0
        self._seen, self._hidden = np.zeros((2, len(spec.names)), dtype=np.int64)

    def add(self, label: LabelArray) -> None:
        """Count the points of one image."""
        self._images += 1
        self._seen += label[:, 2] == 2
        self._hidden += label[:, 2] == 1

    def statistics(self) -> KeypointStatistics:
        """How often each point was labelled so far."""
        counts = zip(self._names, self._seen.tolist(), self._hidden.tolist(), strict=True)
        points = {
            name: PointCounts(seen=seen, hidden=hidden, unlabelled=self._images - seen - hidden)
            for name, seen, hidden in counts
        }
        return KeypointStatistics(images=self._images, points=points)


class DepthCounter:
    """Counts depth maps float32 [H, W]; NaN is no depth, and all others are within the range."""

    def __init__(self, spec: DepthSpec) -> None:
        self._unit = spec.unit
        spaced = np.geomspace if spec.log else np.linspace
        self._edges: NDArray[np.float64] = spaced(spec.smallest, spec.largest, BINS + 1)
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._images = self._pixels = 0
        self._sum, self._smallest, self._largest = 0.0, np.inf, -np.inf

    def add(self, label: LabelArray) -> None:
        """Count one depth map."""
        self._images += 1
        self._pixels += label.size
        there = label[np.isfinite(label)].astype(np.float64)
        if not there.size:
            return
        # In float32 the ends of the range may lie a little outside it.
        within = there.clip(self._edges[0], self._edges[-1])
        self._counts += np.histogram(within, self._edges)[0]
        self._sum += float(there.sum())
        self._smallest = min(self._smallest, float(there.min()))
        self._largest = max(self._largest, float(there.max()))

    def statistics(self) -> DepthStatistics:
        """What the depth maps held so far."""
        labelled = int(self._counts.sum())
        return DepthStatistics(
            unit=self._unit,
            images=self._images,
            labelled_share=labelled / max(1, self._pixels),
            edges=tuple(self._edges.tolist()),
            counts=tuple(self._counts.tolist()),
            smallest=self._smallest if labelled else None,
            mean=self._sum / labelled if labelled else None,
            largest=self._largest if labelled else None,
        )


COUNTERS: Mapping[str, Callable[[Any], Counter]] = {
    "segmentation": MaskCounter,
    "keypoints": KeypointCounter,
    "depth": DepthCounter,
}
"""By kind: a spec -> what counts its labels."""

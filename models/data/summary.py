"""Statistics of labels, summed in one order so that no digit ever changes. Pure."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from models.data.images import Pixels
from models.data.manifest import (
    DatasetStatistics,
    Figures,
    GenerationStatistics,
    ShardEntry,
    ShardFragment,
)
from models.labels import SegmentationSpec


class ClassCounts:
    """How often each class occurs in the masks that were added."""

    def __init__(self, spec: SegmentationSpec) -> None:
        self._spec = spec
        self._pixels = np.zeros(256, dtype=np.int64)
        self._images = np.zeros(256, dtype=np.int64)

    def add(self, mask: Pixels) -> None:
        """Count a mask [H, W] of class ids."""
        pixels = np.bincount(mask.ravel(), minlength=256)
        self._pixels += pixels
        self._images += pixels > 0

    def statistics(self) -> DatasetStatistics:
        """What the masks held so far."""
        names, counted = self._spec.classes, self._labelled(self._pixels)
        total = max(1, int(counted.sum()))
        images = self._labelled(self._images)
        return DatasetStatistics(
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
    counts = ClassCounts(spec)
    counts.add(mask)
    return counts.statistics().class_pixel_share


class GenerationTally:
    """What the shards of a generation add up to, seen one by one.

    Attributes:
        shards: those seen, as a manifest lists them.
        samples: how many they hold.
        candidates: how many were drawn for them.
    """

    def __init__(self) -> None:
        self.shards: list[ShardEntry] = []
        self.samples = 0
        self.candidates = 0
        self._sums: dict[str, dict[str, float]] = {}

    def watching(self, fragments: Iterable[ShardFragment]) -> Iterator[ShardFragment]:
        """The same fragments, added up as they pass."""
        for fragment in fragments:
            self.shards.append(fragment.entry)
            self.samples += fragment.samples
            self.candidates += fragment.candidates
            for row in fragment.rows:
                self._add(row)
            yield fragment

    def _add(self, figures: Figures) -> None:
        for field, numbers in figures.by_field.items():
            sums = self._sums.setdefault(field, dict.fromkeys(numbers, 0.0))
            for name in sums:
                sums[name] += numbers[name]

    @property
    def dropped_share(self) -> float:
        """Of the candidates, the share in 0..1 that is in no shard."""
        return 1.0 - self.samples / self.candidates

    def statistics(self) -> GenerationStatistics:
        """Figures averaged over the samples, which all have one size."""
        means = {
            field: {name: total / self.samples for name, total in sums.items()}
            for field, sums in self._sums.items()
        }
        return GenerationStatistics(**means)

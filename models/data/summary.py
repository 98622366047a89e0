"""Figures of a generation, summed in one order so that no digit ever changes. Pure."""

from collections.abc import Iterable, Iterator

from models.data.manifest import Figures, GenerationStatistics, ShardEntry, ShardFragment


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

"""What lies between reading a dataset and keeping it: fitting, tidying, and what to do on faults.

Pictures go through one by one; nothing here holds more than one of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from models.data.fitting import Canvas, Fit, Policy, fit
from models.data.labelled import LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.data.tiny_classes import tiny_classes, without_tiny_classes
from models.errors import InvalidDataset, InvalidImage
from models.labels import LabelSpec, SegmentationSpec


@dataclass(frozen=True)
class Kept:
    """A labelled picture that becomes an item.

    Attributes:
        item: as it is to be kept, with labels of the dataset's kinds alone.
        fit: how it was brought onto the canvas; none if it was not.
        tiny: classes of too few pixels, and how many those are, by name; see `tiny_classes`.
    """

    item: Labelled
    fit: Fit | None
    tiny: Mapping[str, int]


@dataclass
class Intake:
    """Makes items of labelled pictures.

    Attributes:
        labels: what is kept; other labels of a picture help to align it, and go.
        reading: what was read, with the labels that go; its `most_faults` ends it in time.
        onto: the policy and the canvas; pictures stay as they are if there are none.
        cleans: whether tiny classes become background.
        skips: whether pictures at fault are left out; else one is enough to refuse them all.
        left_out: (file, problem) of those, once all have been seen.
    """

    labels: tuple[LabelSpec, ...]
    reading: Reading
    onto: tuple[Policy, Canvas] | None = None
    cleans: bool = False
    skips: bool = False
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def kept(self, items: Iterable[Labelled]) -> Iterator[Kept]:
        """The items, each as it is asked for.

        Args:
            items: raise `InvalidDataset` after the last good one if others were at fault, as
                `formats.registry.Layout.read` does.

        Raises:
            InvalidDataset: after the last one, if there were faults, unless they are skipped and
                something is left; or early, where the reading was given up.
        """
        problems, count = Problems(self.reading.most_faults), 0
        for item in self._read(items, problems):
            try:
                made = self._made(item)
            except InvalidImage as error:
                problems.note(error)
            else:
                count += 1
                yield made
        self._judge(problems, count)

    def _read(self, items: Iterable[Labelled], problems: Problems) -> Iterator[Labelled]:
        """The items; what was found wrong with others is noted when they end."""
        try:
            yield from items
        except InvalidDataset as error:
            problems.extend(error)

    def _judge(self, problems: Problems, count: int) -> None:
        if count == 0 and not problems.found:
            problems.add("the dataset", "holds no labelled pictures; add some")
        if not self.skips or count == 0:
            problems.check()
        self.left_out.extend(problems.found)

    def _made(self, item: Labelled) -> Kept:
        """An item made of a labelled picture.

        Raises:
            InvalidImage: it cannot be aligned.
        """
        record = None
        if self.onto is not None:
            fitted = fit(item, self.reading.labels, *self.onto)
            item, record = fitted.item, fitted.fit
        labels: dict[str, LabelArray] = {s.kind: item.labels[s.kind] for s in self.labels}
        tiny: dict[str, int] = {}
        for spec in self.labels:
            if isinstance(spec, SegmentationSpec):
                tiny = tiny_classes(labels[spec.kind], spec)
                if self.cleans and tiny:
                    labels[spec.kind] = without_tiny_classes(labels[spec.kind], spec)
        return Kept(replace(item, labels=labels), record, tiny)

"""What a kind of label must know to be stored, read, counted and shown. No torch."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from models.data.images import Pixels
from models.data.labelled import LabelArray


class Kind(Protocol):
    """The part of datasets that depends on the kind of label; bound to one spec.

    Attributes:
        member: extension of its file within a shard's sample.
        figure: the field of `manifest.SampleInfo` that sums up a label of this kind.
        names: of the numbers in that field, in order.
        task: what Hugging Face calls the task that it is for.
        reading: how to read its file, for people.
    """

    member: str
    figure: str
    names: tuple[str, ...]
    task: str
    reading: str

    def encode(self, label: LabelArray) -> bytes:
        """The file of a label; equal labels are equal bytes."""

    def decode(self, data: bytes, name: str, size: tuple[int, int]) -> LabelArray:
        """The label that a file holds, as its spec says.

        Args:
            data: the whole file.
            name: what errors call it.
            size: (H, W) of the picture that it labels.

        Raises:
            InvalidImage: it is no such file, or does not fit the spec or the picture.
        """

    def figures(self, label: LabelArray) -> dict[str, float]:
        """What sums up a label, by `names`."""

    def picture(self, image: Pixels, label: LabelArray) -> Pixels:
        """The label [H, W, 3] for people, over its picture or in place of it."""

    def legend(self, width: int) -> Pixels:
        """What its pictures' colours mean: a strip [H, width, 3]."""

    def feature(self, size: tuple[int, int]) -> Iterable[str]:
        """The lines of YAML that type its file for Hugging Face; pictures are (H, W) = `size`."""

    def described(self, means: Mapping[str, float]) -> Iterable[str]:
        """Lines of Markdown on what a generation's labels mean; `means` is of their `figures`."""

"""Masks in datasets: an 8-bit grey PNG of class ids, summed up by the classes' shares of it."""

from collections.abc import Iterable, Mapping

from models.data.images import Pixels, decode_mask, encode_png
from models.data.labelled import LabelArray
from models.data.pictures import colourise, legend, palette_of
from models.data.statistics import pixel_shares
from models.data.text import plain
from models.labels import SegmentationSpec


class Masks:
    """`mask.png`: uint8 [H, W] class ids, one channel, no palette."""

    member = "mask.png"
    figure = "class_pixel_share"
    task = "image-segmentation"
    reading = "one class id a pixel, as 8-bit grey"

    def __init__(self, spec: SegmentationSpec) -> None:
        self._spec = spec
        self.names: tuple[str, ...] = spec.classes

    def encode(self, label: LabelArray) -> bytes:
        """A PNG."""
        return encode_png(label)

    def decode(self, data: bytes, name: str, size: tuple[int, int]) -> LabelArray:
        """uint8 [H, W]: class ids, and the ignore_index where there is one."""
        return decode_mask(data, name, self._spec, size)

    def figures(self, label: LabelArray) -> dict[str, float]:
        """Of the labelled pixels, the share in 0..1 of each class."""
        return pixel_shares(label, self._spec)

    def picture(self, image: Pixels, label: LabelArray) -> Pixels:  # noqa: ARG002
        """Each class in its colour."""
        return colourise(label, palette_of(self._spec))

    def legend(self, width: int) -> Pixels:
        """Names and colours of the classes."""
        return legend(self._spec.classes, palette_of(self._spec), width)

    def feature(self, size: tuple[int, int]) -> Iterable[str]:  # noqa: ARG002
        """A picture."""
        yield from (f"  - name: {self.member}", "    dtype: image")

    def described(self, means: Mapping[str, float]) -> Iterable[str]:
        """A table of the classes."""
        yield from ("| id | class | colour | share of pixels |", "|---:|---|---|---:|")
        palette = palette_of(self._spec)
        for index, (name, (red, green, blue)) in enumerate(zip(self.names, palette, strict=True)):
            colour = f"#{red:02x}{green:02x}{blue:02x}"
            yield f"| {index} | {plain(name)} | `{colour}` | {100 * means[name]:.2f} % |"
        ignored = self._spec.ignore_index
        yield from () if ignored is None else ("", f"Pixels of {ignored} have no label.")

"""Keypoints in datasets: JSON in COCO's order, summed up by the confidence in each point.

    {"confidence": [c, ...], "keypoints": [x, y, v, x, y, v, ...], "names": [name, ...]}

x is the column and y the row, in pixels; the centre of the first pixel is (0, 0). v is COCO's: 2
seen, 1 hidden, 0 not labelled. Numbers are floats even when whole, so that no reader takes a
column of them for integers.
"""

import json
import reprlib
from collections.abc import Iterable, Mapping

import numpy as np

from models.data.images import Pixels
from models.data.labelled import LabelArray
from models.data.pictures import draw_keypoints, keypoint_palette, legend
from models.data.text import plain
from models.errors import InvalidImage
from models.labels import KeypointsSpec

_SHOWN = 300  # Characters of names that an error repeats.


class Keypoints:
    """`keypoints.json`; label generators add a column for the confidence: float32 [K, 4]."""

    member = "keypoints.json"
    figure = "keypoint_confidence"
    task = "keypoint-detection"
    reading = "COCO's x, y, v of each point in one list, the first pixel's centre at (0, 0)"

    def __init__(self, spec: KeypointsSpec) -> None:
        self._spec = spec
        self.names: tuple[str, ...] = spec.names

    def encode(self, label: LabelArray) -> bytes:
        """JSON; places to a thousandth of a pixel."""
        flat = [round(float(number), 3) for number in label[:, [1, 0, 2]].ravel()]
        document = {
            "confidence": list(self.figures(label).values()),
            "keypoints": flat,
            "names": list(self.names),
        }
        return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()

    def decode(self, data: bytes, name: str, size: tuple[int, int]) -> LabelArray:  # noqa: ARG002
        """float32 [K, 3]: row, column, visibility."""
        try:
            document = json.loads(data)
            names = document["names"]
            with np.errstate(over="ignore"):  # What float32 cannot hold becomes infinite.
                flat = np.array(document["keypoints"], dtype=np.float32)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise InvalidImage(name, f"is no keypoints.json ({error}); export it again") from error
        if names != list(self.names):
            is_plain = isinstance(names, list) and all(isinstance(each, str) for each in names)
            found = ", ".join(names)[:_SHOWN] if is_plain else reprlib.repr(names)
            wanted = ", ".join(self.names)
            raise InvalidImage(name, f"holds the points {found}; the label has {wanted}")
        if flat.shape != (3 * len(self.names),) or not np.isfinite(flat).all():
            problem = f"has {flat.size} numbers for {len(self.names)} points; each needs x, y and v"
            raise InvalidImage(name, problem)
        return flat.reshape(-1, 3)[:, [1, 0, 2]]

    def figures(self, label: LabelArray) -> dict[str, float]:
        """The confidence in each point; without one, whether it is labelled at all (1 or 0)."""
        values = label[:, 3] if label.shape[1] > 3 else label[:, 2] > 0
        return {n: round(float(v), 4) for n, v in zip(self.names, values, strict=True)}

    def picture(self, image: Pixels, label: LabelArray) -> Pixels:
        """Dots and the skeleton over the picture."""
        return draw_keypoints(image, label, self._spec.skeleton)

    def legend(self, width: int) -> Pixels:
        """Names and colours of the points."""
        return legend(self.names, keypoint_palette(len(self.names)), width)

    def feature(self, size: tuple[int, int]) -> Iterable[str]:  # noqa: ARG002
        """Three lists."""
        yield from (f"  - name: {self.member}", "    struct:")
        for name, kind in (
            ("confidence", "float64"),
            ("keypoints", "float64"),
            ("names", "string"),
        ):
            yield from (f"    - name: {name}", f"      sequence: {kind}")

    def described(self, means: Mapping[str, float]) -> Iterable[str]:
        """A table of the points."""
        yield from ("| point | name | mean confidence |", "|---:|---|---:|")
        for index, name in enumerate(self.names):
            yield f"| {index} | {plain(name)} | {means[name]:.2f} |"

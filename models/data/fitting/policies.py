"""Ways to bring a picture of any size onto a canvas: each a few settings and one transform.

    resize        stretched to the content, whatever that does to its shape
    centre_crop   scaled until it covers the content, what overlaps is cut off
    pad           scaled until it fits into the content, with bars beside it
    align         turned, scaled and shifted so that landmarks come to lie where they should
    align_face    the same, by the rule that the faces of CelebA-HQ and FFHQ were cut with

Landmarks are named points (row, column) in pixels of the picture, e.g. its keypoints.
"""

import re
from collections.abc import Mapping, Sequence
from math import cos, sin
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from models.configs import Config
from models.data.fitting.affine import Matrix, moved, similarity, stretch
from models.data.fitting.canvas import Canvas, whole_box

Size = tuple[int, int]
Landmarks = Mapping[str, tuple[float, float]]
Share = Annotated[float, Field(ge=0, le=1)]
Fill = Literal["black", "mirror"]
"""What a picture shows beyond its own edges; labels have nothing there in either case."""

FFHQ_FACE: Mapping[str, tuple[float, float]] = {
    "left_eye": (0.469, 0.377),
    "right_eye": (0.469, 0.623),
    "nose": (0.613, 0.5),
    "mouth_left": (0.725, 0.391),
    "mouth_right": (0.725, 0.609),
}
"""Mean places of five landmarks in FFHQ's aligned faces, as shares of height and width.

The five-point template in general use for FFHQ, made symmetric and rounded to half a pixel at
512 x 512. Left is the viewer's.
"""


class Resize(Config):
    """Stretched to the content, each axis by its own scale."""

    fill: ClassVar[Fill] = "black"
    name: Literal["resize"] = "resize"

    def matrix(self, size: Size, canvas: Canvas, _landmarks: Landmarks) -> Matrix:
        """The transform of a picture (H, W) to the canvas."""
        return stretch(whole_box(size), canvas.box)


class CentreCrop(Config):
    """The largest middle part that has the content's shape, begun at a whole pixel."""

    fill: ClassVar[Fill] = "black"
    name: Literal["centre_crop"] = "centre_crop"

    def matrix(self, size: Size, canvas: Canvas, _landmarks: Landmarks) -> Matrix:
        """The transform of a picture (H, W) to the canvas."""
        scale = max(content / side for content, side in zip(canvas.content, size, strict=True))
        height, width = (content / scale for content in canvas.content)
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        return stretch((top, left, top + height, left + width), canvas.box)


class Pad(Config):
    """The whole picture in its own shape, in the middle of the content, on whole pixels."""

    name: Literal["pad"] = "pad"
    fill: Fill = "black"

    def matrix(self, size: Size, canvas: Canvas, _landmarks: Landmarks) -> Matrix:
        """The transform of a picture (H, W) to the canvas."""
        scale = min(content / side for content, side in zip(canvas.content, size, strict=True))
        height, width = (max(1, round(side * scale)) for side in size)
        top = canvas.origin[0] + (canvas.content[0] - height) // 2
        left = canvas.origin[1] + (canvas.content[1] - width) // 2
        return stretch(whole_box(size), (top, left, top + height, left + width))


class Align(Config):
    """Landmarks brought as near as they go to reference points, in the sense of least squares.

    Attributes:
        points: where landmarks belong, as shares of the content's height and width; at least
            three of them must be given with a picture. Fewer could not tell which of a pair
            called left and right is the viewer's and which the person's: both are understood.
        fill: a mirror image beyond the picture's edges, as FFHQ has it, or black.
    """

    name: Literal["align"] = "align"
    points: dict[str, tuple[Share, Share]] = Field(
        default_factory=lambda: dict(FFHQ_FACE), min_length=3
    )
    fill: Fill = "mirror"

    def matrix(self, _size: Size, canvas: Canvas, landmarks: Landmarks) -> Matrix:
        """The transform of a picture to the canvas.

        Raises:
            ValueError: too few landmarks, or all in one place.
        """
        known = sorted(self.points.keys() & landmarks.keys())
        if len(known) < 3:
            wanted, found = ", ".join(self.points), ", ".join(known) or "none of them"
            raise ValueError(f"aligning needs three or more of {wanted}; it has {found}")
        box, content = np.array(canvas.origin), np.array(canvas.content)
        targets = [box + np.array(self.points[name]) * content - 0.5 for name in known]
        fits = []
        for names in (known, [_exchanged(name) for name in known]):
            if set(names) <= landmarks.keys():
                source = [landmarks[name] for name in names]
                fitted = similarity(source, targets)
                error = float(np.square(moved(fitted, source) - targets).sum())
                fits.append((error, fitted))
        return min(fits, key=lambda fit: fit[0])[1]


class AlignFace(Config):
    """The square that faces of CelebA-HQ and FFHQ were cut by (Karras et al. 2018, appendix C).

    Needs the landmarks left_eye, right_eye, mouth_left and mouth_right; left may be the viewer's
    or the person's.

    Attributes:
        fill: a mirror image beyond the picture's edges, as FFHQ has it, or black.
    """

    NEEDED: ClassVar[tuple[str, ...]] = ("left_eye", "right_eye", "mouth_left", "mouth_right")

    name: Literal["align_face"] = "align_face"
    fill: Fill = "mirror"

    def matrix(self, _size: Size, canvas: Canvas, landmarks: Landmarks) -> Matrix:
        """The transform of a picture to the canvas.

        Raises:
            ValueError: a landmark is missing, or they make no face.
        """
        if missing := [name for name in self.NEEDED if name not in landmarks]:
            raise ValueError(f"aligning a face needs {', '.join(missing)}, which it has not")
        e0, e1, m0, m1 = (np.array(landmarks[name]) for name in self.NEEDED)
        across, down = e1 - e0, (m0 + m1 - e0 - e1) / 2
        if across[1] * down[0] - across[0] * down[1] < 0:  # The person's left, not the viewer's.
            across = -across
        right = across + np.array([-down[1], down[0]])
        side = max(4.0 * np.linalg.norm(across), 3.6 * np.linalg.norm(down))
        if np.linalg.norm(right) < 1e-6:
            raise ValueError("its eyes and mouth lie in one place")
        right /= np.linalg.norm(right)
        middle = (e0 + e1) / 2 + 0.1 * down
        linear = np.array([[right[1], -right[0]], right]) * (min(canvas.content) / side)
        centre = np.array(canvas.origin) + (np.array(canvas.content) - 1) / 2
        return np.column_stack([linear, centre - linear @ middle])


Policy = Annotated[
    Resize | CentreCrop | Pad | Align | AlignFace,
    Field(discriminator="name"),
]
"""Any of them. A new one is one class here."""


def can_align(policy: Policy, canvas: Canvas, names: Sequence[str]) -> str | None:
    """Why pictures cannot be fitted if these are all the landmarks they have; None if they can."""
    # Tried on places that no policy finds fault with: on a circle, in no order.
    angles = [2.4 * index for index in range(len(names))]
    places = {n: (50 + 40 * cos(a), 50 + 40 * sin(a)) for n, a in zip(names, angles, strict=True)}
    try:
        policy.matrix((100, 100), canvas, places)
    except ValueError as error:
        return str(error)
    return None


def _exchanged(name: str) -> str:
    """The name with left and right exchanged."""
    return re.sub("left|right", lambda m: "right" if m[0] == "left" else "left", name)

"""The picture a generator draws, and the part of it that holds what is drawn. Pure."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from models.configs import Config
from models.data.fitting.affine import Box

Side = Annotated[int, Field(ge=1, le=16_384)]
Span = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
"""(first, last + 1) of some rows or columns, as slices count."""


class Canvas(Config):
    """A picture of a fixed size; whatever is outside its content is black and without labels.

    Attributes:
        height, width: of the whole, in pixels.
        rows, columns: the content, e.g. rows (64, 448) of a generator of cars that was trained
            on 512 x 384 pictures between black bars; all where left out.
    """

    height: Side
    width: Side
    rows: Span | None = None
    columns: Span | None = None

    @model_validator(mode="after")
    def _holds_its_content(self) -> Self:
        for what, span, side in (
            ("rows", self.rows, self.height),
            ("columns", self.columns, self.width),
        ):
            if span is not None and not span[0] < span[1] <= side:
                raise ValueError(f"{what} {span[0]} to {span[1]} are not within {side}")
        return self

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The content: (top, left, bottom, right)."""
        top, bottom = self.rows or (0, self.height)
        left, right = self.columns or (0, self.width)
        return top, left, bottom, right

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the content's first pixel."""
        return self.box[:2]

    @property
    def content(self) -> tuple[int, int]:
        """(H, W) of the content."""
        top, left, bottom, right = self.box
        return bottom - top, right - left

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts the content out of a whole."""
        top, left, bottom, right = self.box
        return slice(top, bottom), slice(left, right)

    def framed(self, content: NDArray[Any], outside: float) -> NDArray[Any]:
        """A whole array [height, width, ...] of the content's, with `outside` around it."""
        shape = (self.height, self.width, *content.shape[2:])
        whole = np.full(shape, outside, dtype=content.dtype)
        whole[self.slices] = content
        return whole


def whole(size: Sequence[int]) -> Canvas:
    """The canvas that is all content, of size (H, W)."""
    return Canvas(height=size[0], width=size[1])


def whole_box(size: Sequence[int]) -> Box:
    """All of a picture (H, W), as a box."""
    return 0, 0, size[0], size[1]

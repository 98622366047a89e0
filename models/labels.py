"""What a label is: the kinds and their settings, not how they are learnt. Pure: no torch.

A `LabelSpec` travels with a dataset, a label generator and every manifest, so that a mask's
integers mean the same thing from upload to shard.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

ClassName = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]
Vocabulary = tuple[str, tuple[str, ...]]
"""What must be the same for labels to be compared: what it is called, and the names."""

MAX_KEYPOINTS = 256
MAX_CLASSES = 255  # One byte a pixel; 255 itself stays free for "ignore".


class SegmentationSpec(BaseModel):
    """A mask of class ids: uint8 [H, W], value k means `classes[k]`.

    Attributes:
        classes: names by id, id 0 first (usually the background).
        palette: one RGB triple in 0..255 per class, for pictures only; made up when left out.
        ignore_index: an id that means "no label here": left out of training and of every metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["segmentation"] = "segmentation"
    classes: tuple[ClassName, ...] = Field(min_length=2, max_length=MAX_CLASSES)
    palette: tuple[Colour, ...] | None = None
    ignore_index: Annotated[int, Field(ge=0, le=255)] | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        _check_distinct("class", self.classes)
        if self.palette is not None and len(self.palette) != len(self.classes):
            raise ValueError(
                f"palette has {len(self.palette)} colours for {len(self.classes)} classes"
            )
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes."""
        return "classes", self.classes


class KeypointsSpec(BaseModel):
    """Named points: float32 [K, 3] of (row, column, visibility), in pixels.

    The centre of the first pixel is (0, 0): a rounded point indexes the image. Visibility is
    COCO's: 2 seen, 1 hidden, 0 not labelled or outside the picture.

    Attributes:
        names: of the K points, in order.
        skeleton: pairs of points that pictures join by a line.
        flip_pairs: points that change places in a mirror.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["keypoints"] = "keypoints"
    names: tuple[ClassName, ...] = Field(min_length=1, max_length=MAX_KEYPOINTS)
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        _check_distinct("keypoint", self.names)
        for field in ("skeleton", "flip_pairs"):
            for pair in getattr(self, field):
                if not all(0 <= point < len(self.names) for point in pair) or pair[0] == pair[1]:
                    raise ValueError(f"{field} pair {pair} does not name two of the points")
        swapped = [point for pair in self.flip_pairs for point in pair]
        if len(set(swapped)) < len(swapped):
            raise ValueError("a keypoint is in two flip_pairs")
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """The points."""
        return "points", self.names


class DepthSpec(BaseModel):
    """A distance per pixel: float32 [H, W], NaN where there is none.

    Attributes:
        unit: of the values, for people.
        smallest, largest: the valid range; values outside it count as none.
        invalid: a value in users' files that means "none", beside NaN and infinity.
        log: whether its logarithm is learnt, which weighs errors by their share of the depth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["depth"] = "depth"
    unit: ClassName = "m"
    smallest: float = Field(default=1e-3, ge=0)
    largest: float = 80.0
    invalid: float | None = 0.0
    log: bool = False

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if not self.smallest < self.largest:
            raise ValueError(f"depth from {self.smallest} to {self.largest} is no range")
        if self.log and self.smallest == 0:
            raise ValueError("a logarithm is to be learnt, so smallest must be above 0")
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """The unit."""
        return "unit", (self.unit,)


LabelSpec = Annotated[SegmentationSpec | KeypointsSpec | DepthSpec, Field(discriminator="kind")]
"""Any kind. A new one is one class here, one file in models/heads/ and one line in its registry."""


def _check_distinct(what: str, names: tuple[str, ...]) -> None:
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{what} names must differ; repeated: {', '.join(sorted(repeated))}")

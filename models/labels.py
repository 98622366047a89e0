"""What a label is: the kinds and their settings, not how they are learnt. Pure: no torch.

A `LabelSpec` travels with a dataset, a label generator and every manifest, so that a mask's
integers mean the same thing from upload to shard.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

ClassName = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]

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
        repeated = {name for name in self.classes if self.classes.count(name) > 1}
        if repeated:
            raise ValueError(f"class names must differ; repeated: {', '.join(sorted(repeated))}")
        if self.palette is not None and len(self.palette) != len(self.classes):
            raise ValueError(
                f"palette has {len(self.palette)} colours for {len(self.classes)} classes"
            )
        return self


# A new kind is one class here, one file in models/heads/ and one line in its registry;
# with a second kind this becomes a union discriminated by `kind`.
LabelSpec = SegmentationSpec

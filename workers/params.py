"""What each kind of job is asked to do: one model a kind, shared by the API and the tasks. Pure.

Bounds are those of a request that can make sense on some machine; what depends on other
resources (a generator's size, a dataset's classes) is checked where those are at hand.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.class_mix import ClassMix
from models.configs import (
    EncoderTrainingConfig,
    InversionConfig,
    LabelGeneratorConfig,
    Mode,
    Recipe,
    Seed,
)
from models.data.fitting import Canvas, Policy, Resize, can_align
from models.data.formats.label_files import DEPTH_SCALE
from models.data.formats.registry import layout_of
from models.data.labelled import Reading
from models.data.problems import LIMIT
from models.data.ranks import keeps_nothing
from models.labels import ClassName, KeypointsSpec, LabelSpec, SegmentationSpec
from workers.addresses import DatasetSource, Source

Kind = Literal["segmentation", "keypoints", "depth"]
Text = Annotated[str, Field(max_length=2000)]
HexColour = Annotated[
    str, StringConstraints(pattern=r"^#[0-9a-f]{6}$", to_lower=True, strip_whitespace=True)
]
ItemKey = Annotated[str, StringConstraints(min_length=1, max_length=255)]
OnFault = Literal["strict", "skip"]
TinyClasses = Literal["report", "clean"]


class Params(BaseModel):
    """The base of all: frozen, and an unknown field is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileParams(Params):
    """A file: one that was uploaded, or one at an address that is allowed."""

    upload_id: str | None = None
    source: Source | None = None

    @property
    def has_file(self) -> bool:
        """Whether a file is named."""
        return self.upload_id is not None or self.source is not None


class CheckpointParams(FileParams):
    """A checkpoint file."""

    @model_validator(mode="after")
    def _says_where_the_file_is(self) -> Self:
        if (self.upload_id is None) == (self.source is None):
            raise ValueError("give either upload_id or source, where the checkpoint is")
        return self


class RegisterParams(CheckpointParams):
    """Turn a StyleGAN2 checkpoint into a generator."""


class RegisterEncoderParams(CheckpointParams):
    """Turn a pSp, e4e or ReStyle checkpoint into an encoder.

    Attributes:
        family: how its codes are meant, for files that do not say: their tensors are the same.
    """

    family: Literal["psp", "e4e"] | None = None


class EncoderTrainingParams(Params):
    """Train a ReStyle encoder for a generator.

    Attributes:
        dataset_id: whose images it learns from beside the generator's samples; labels are not
            looked at.
    """

    generator_id: str
    dataset_id: str | None = None
    config: EncoderTrainingConfig = EncoderTrainingConfig()


class FitParams(Params):
    """How pictures and labels are brought onto a generator's canvas.

    Attributes:
        canvas: the generator's picture, and the part of it that holds anything.
        policy: how.
        landmarks: points for policies that align, given as keypoints are, and not kept; the
            labels' own keypoints are used where there are such.
    """

    canvas: Canvas
    policy: Policy = Resize()
    landmarks: KeypointsSpec | None = None


class ReadingParams(FileParams):
    """How a dataset is to be read: from an archive if a file is named, else item by item.

    Attributes:
        source: may be the address of a folder too, which is read as an archive of it would be.
        layout: of the archive, by name; the first that fits if left out.
        colours: "#rrggbb" -> class, for masks that are coded by colour.
        options: the layout's own, e.g. {"depth_scale": "1000"} or {"split": "train"}.
        on_fault: `strict` refuses the dataset if any of its files cannot be used, and lists them;
            `skip` goes on without those, and lists them in the manifest.
        tiny_classes: what becomes of classes of fewer than 30 pixels at 512 x 512 (as many more
            or less as an image is larger or smaller): `clean` makes background of them, as the
            authors do.
    """

    source: DatasetSource | None = None
    layout: str | None = None
    colours: dict[HexColour, ClassName] = Field(default_factory=dict, max_length=1000)
    options: dict[ClassName, Text] = Field(default_factory=dict, max_length=20)
    on_fault: OnFault = "strict"
    tiny_classes: TinyClasses = "report"


class DatasetParams(ReadingParams):
    """What a dataset's labels mean, and how it is to be read.

    Attributes:
        labels: one of each kind that every picture has.
        domain: the preset that labels, merge and fit were taken from, where one was.
        merge: the files' own class names -> classes of the segmentation, where they differ.
        fit: how pictures are brought onto a canvas; they stay as they are if left out.
    """

    labels: tuple[LabelSpec, ...] = Field(min_length=1, max_length=len(get_args(Kind)))
    domain: str | None = None
    merge: dict[ClassName, ClassName] = Field(default_factory=dict, max_length=1000)
    fit: FitParams | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, given: Any) -> Any:
        """A single label may be called `label`."""
        if not (isinstance(given, dict) and "label" in given):
            return given
        rest = {name: value for name, value in given.items() if name != "label"}
        return {"labels": (given["label"],), **rest}

    @model_validator(mode="after")
    def _does_not_contradict_itself(self) -> Self:
        if self.upload_id is not None and self.source is not None:
            raise ValueError("give either upload_id or source, where the archive is")
        _check_kinds(self.labels)
        self._check_layout()
        self._check_classes()
        self._check_fit()
        return self

    @property
    def reading(self) -> Reading:
        """All this as a layout wants to know it; landmarks are read as keypoints."""
        landmarks = (self.fit and self.fit.landmarks) or None
        return Reading(
            labels=(*self.labels, *((landmarks,) if landmarks else ())),
            merge=self.merge,
            colours={_rgb(colour): name for colour, name in self.colours.items()},
            options=self.options,
            most_faults=LIMIT if self.on_fault == "strict" else None,
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of all that comes with a picture, landmarks too."""
        return tuple(spec.kind for spec in self.reading.labels)

    def _check_layout(self) -> None:
        if self.layout is not None:
            layout = layout_of(self.layout)
            for kind in self.kinds:
                if kind not in layout.kinds:
                    known = ", ".join(sorted(layout.kinds))
                    raise ValueError(f"the layout {layout.name} has no {kind}, only {known}")
        if not self.has_file and (self.layout or self.options.keys() - {DEPTH_SCALE}):
            problem = f"layout and options (but {DEPTH_SCALE}) are of archives"
            raise ValueError(f"{problem}; name one in upload_id or source, or leave them out")

    def _check_classes(self) -> None:
        spec = next((s for s in self.labels if isinstance(s, SegmentationSpec)), None)
        for field, named in (("merge", self.merge), ("colours", self.colours)):
            if named and spec is None:
                raise ValueError(f"{field} is of class names, and there is no segmentation")
            for own, name in named.items():
                if spec is not None and name not in spec.classes:
                    known = ", ".join(spec.classes)
                    raise ValueError(f"{field}: {own!r} becomes {name!r}, which is none of {known}")
        if self.tiny_classes == "clean" and spec is None:
            raise ValueError("tiny_classes are of a segmentation, and there is none")

    def _check_fit(self) -> None:
        if self.fit is None:
            return
        points = next((s for s in self.labels if isinstance(s, KeypointsSpec)), None)
        if points is not None and self.fit.landmarks is not None:
            raise ValueError("fit.landmarks are for datasets without keypoints; leave them out")
        points = points or self.fit.landmarks
        if problem := can_align(self.fit.policy, self.fit.canvas, points.names if points else ()):
            raise ValueError(f"fit: {problem}; label keypoints, or give fit.landmarks")


def _check_kinds(labels: Sequence[LabelSpec]) -> None:
    kinds = [spec.kind for spec in labels]
    if repeated := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        raise ValueError(f"labels has {', '.join(repeated)} more than once")


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


class InversionParams(Params):
    """Find the latents of a dataset's images; or take them from an uploaded file.

    Attributes:
        encoder_id: whose guesses the search starts from; without one, a linear encoder that is
            fitted on the generator's own samples.
        latents_upload_id: a file of latents that were found elsewhere.
    """

    dataset_id: str
    generator_id: str
    encoder_id: str | None = None
    config: InversionConfig = InversionConfig()
    latents_upload_id: str | None = None

    @model_validator(mode="after")
    def _needs_one_start(self) -> Self:
        if self.encoder_id is not None and self.latents_upload_id is not None:
            raise ValueError("give either encoder_id or latents_upload_id: found latents need none")
        if self.config.start == "encoder" and self.encoder_id is None:
            raise ValueError("config.start encoder needs an encoder_id; name one, or leave it out")
        return self


class SelectionParams(Params):
    """Which images of an inversion are not learnt from (`models.outliers`).

    Attributes:
        exclude: keys of images that are left out.
        max_distance: of an image to its reconstruction, in the inversion's own distance; what is
            farther is left out.
        drop_worst: so many of the farthest images are left out: their number, or their share.
    """

    exclude: tuple[ItemKey, ...] = Field(default=(), max_length=100_000)
    max_distance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    drop_worst: (
        Annotated[int, Field(ge=1, le=1_000_000)] | Annotated[float, Field(gt=0, lt=1)] | None
    ) = None


class TrainParams(SelectionParams):
    """Train a label generator on an inversion.

    Attributes:
        kind: which of the dataset's labels is learnt; the first, if left out.
    """

    inversion_id: str
    kind: Kind | None = None
    config: LabelGeneratorConfig = LabelGeneratorConfig()


class UncertaintyRule(Params):
    """Which generated samples are left out: the `drop` share with the highest uncertainty.

    Attributes:
        mode: `default` leaves them out and draws others in their place; `paper` keeps all that
            were drawn and marks in `metadata.parquet` which ones the authors' ranks keep.
    """

    mode: Mode = "default"
    drop: float = Field(default=0.1, ge=0, le=0.9)


class GenerationParams(Params):
    """Make `count` labelled images.

    Attributes:
        label_generator_ids: of one generator, each for another kind of label; all of them label
            the same images.
        shard_size: samples a shard; the last one may hold fewer.
        psi: truncation; 1 is none.
        labels: which classes a conditional generator draws: the index of one, or a weight for
            each; all equally likely when left out.
        image_format: of the images in the shards.
    """

    label_generator_ids: tuple[str, ...] = Field(min_length=1, max_length=len(get_args(Kind)))
    count: int = Field(ge=1, le=10_000_000)
    seed: Seed = 0
    psi: float = Field(default=1.0, ge=0, le=2)
    labels: ClassMix | None = None
    uncertainty: UncertaintyRule = UncertaintyRule()
    shard_size: int = Field(default=1000, ge=1, le=10_000)
    image_format: Literal["png", "jpg", "webp"] = "png"

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        asked = self.label_generator_ids
        if repeated := sorted({each for each in asked if asked.count(each) > 1}):
            raise ValueError(f"label_generator_ids names {', '.join(repeated)} more than once")
        rule = self.uncertainty
        if rule.mode == "paper" and (problem := keeps_nothing(self.count, rule.drop)):
            raise ValueError(problem)
        return self


class EvaluationParams(Params):
    """Train the downstream network on one source, test it on real labelled images.

    Exactly one of `generation_id` and `dataset_id` names what it is trained on.

    Attributes:
        kind: of the labels; if left out, the only one there is, or segmentation.
    """

    generation_id: str | None = None
    dataset_id: str | None = None
    validation_dataset_id: str
    test_dataset_id: str
    kind: Kind | None = None
    recipe: Recipe = Recipe()

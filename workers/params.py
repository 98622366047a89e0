"""What each kind of job is asked to do: one model a kind, shared by the API and the tasks. Pure.

Bounds are those of a request that can make sense on some machine; what depends on other
resources (a generator's size, a dataset's classes) is checked where those are at hand.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.class_mix import ClassMix
from models.configs import InversionConfig, LabelGeneratorConfig, Recipe, Seed
from models.labels import LabelSpec
from workers.addresses import Source

Text = Annotated[str, Field(max_length=2000)]


class Params(BaseModel):
    """The base of all: frozen, and an unknown field is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckpointParams(Params):
    """A checkpoint file: one that was uploaded, or one at an address that is allowed."""

    upload_id: str | None = None
    source: Source | None = None

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


class DatasetParams(Params):
    """What a dataset's labels mean; `upload_id` names a zip of images/ and masks/, if it is one."""

    label: LabelSpec
    upload_id: str | None = None


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
        return self


class TrainParams(Params):
    """Train a label generator on an inversion."""

    inversion_id: str
    config: LabelGeneratorConfig = LabelGeneratorConfig()


class UncertaintyRule(Params):
    """Which generated samples are left out: the `drop` share with the highest uncertainty."""

    drop: float = Field(default=0.1, ge=0, le=0.9)


class GenerationParams(Params):
    """Make `count` labelled images.

    Attributes:
        shard_size: samples a shard; the last one may hold fewer.
        psi: truncation; 1 is none.
        labels: which classes a conditional generator draws: the index of one, or a weight for
            each; all equally likely when left out.
        image_format: of the images in the shards.
    """

    label_generator_ids: tuple[str, ...] = Field(min_length=1, max_length=1)
    count: int = Field(ge=1, le=10_000_000)
    seed: Seed = 0
    psi: float = Field(default=1.0, ge=0, le=2)
    labels: ClassMix | None = None
    uncertainty: UncertaintyRule = UncertaintyRule()
    shard_size: int = Field(default=1000, ge=1, le=10_000)
    image_format: Literal["png", "jpg", "webp"] = "png"


class EvaluationParams(Params):
    """Train the downstream network on one source, test it on real labelled images.

    Exactly one of `generation_id` and `dataset_id` names what it is trained on.
    """

    generation_id: str | None = None
    dataset_id: str | None = None
    validation_dataset_id: str
    test_dataset_id: str
    recipe: Recipe = Recipe()

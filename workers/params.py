"""What each kind of job is asked to do: one model a kind, shared by the API and the tasks. Pure.

Bounds are those of a request that can make sense on some machine; what depends on other
resources (a generator's size, a dataset's classes) is checked where those are at hand.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.configs import InversionConfig, LabelGeneratorConfig, Recipe, Seed
from models.labels import LabelSpec

Text = Annotated[str, Field(max_length=2000)]


class Params(BaseModel):
    """The base of all: frozen, and an unknown field is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RegisterParams(Params):
    """Turn an uploaded StyleGAN2 checkpoint into a generator."""

    upload_id: str


class DatasetParams(Params):
    """What a dataset's labels mean; `upload_id` names a zip of images/ and masks/, if it is one."""

    label: LabelSpec
    upload_id: str | None = None


class InversionParams(Params):
    """Find the latents of a dataset's images; or take them from an uploaded file."""

    dataset_id: str
    generator_id: str
    config: InversionConfig = InversionConfig()
    latents_upload_id: str | None = None


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
        image_format: of the images in the shards.
    """

    label_generator_ids: tuple[str, ...] = Field(min_length=1, max_length=1)
    count: int = Field(ge=1, le=10_000_000)
    seed: Seed = 0
    psi: float = Field(default=1.0, ge=0, le=2)
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

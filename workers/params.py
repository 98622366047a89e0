"""What each kind of job is asked to do: one model a kind, shared by the API and the tasks. Pure.

Bounds are those of a request that can make sense on some machine; what depends on other
resources (a generator's size, a dataset's classes) is checked where those are at hand.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.labels import LabelSpec

Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
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


class InversionConfig(Params):
    """How latents are found. Defaults are those of the default mode (DECISIONS.md lists why).

    Attributes:
        mode: `paper` for the authors' settings (499 executed steps of 500, last iterate kept is
            replaced by keep-best only in `default`).
        steps: optimisation steps, at most; 0 keeps the start.
        starts: mapped samples tried as a start for each image; the best by the distance is taken.
        distance: `lpips` (needs the ImageNet trunk) or `perceptual` (a seeded random trunk).
        distance_weight, mse_weight, latent_weight: weights of the loss terms (images in [0, 1]).
        learning_rate: Adam's, at the plateau of the warm-up/cosine schedule.
        seed: of the starts and of a random trunk.
    """

    mode: Literal["default", "paper"] = "default"
    steps: int = Field(default=300, ge=0, le=10_000)
    starts: int = Field(default=1000, ge=1, le=100_000)
    distance: Literal["lpips", "perceptual"] = "lpips"
    distance_weight: float = Field(default=10.0, ge=0, le=1000)
    mse_weight: float = Field(default=1.0, ge=0, le=1000)
    latent_weight: float = Field(default=1.0, ge=0, le=1000)
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    seed: Seed = 0


class InversionParams(Params):
    """Find the latents of a dataset's images; or take them from an uploaded file."""

    dataset_id: str
    generator_id: str
    config: InversionConfig = InversionConfig()
    latents_upload_id: str | None = None


class LabelGeneratorConfig(Params):
    """How the ensemble of pixel MLPs is trained.

    Attributes:
        members: MLPs in the ensemble.
        hidden: widths of the two hidden layers.
        batch: pixels per step and member.
        max_steps: steps at most.
        learning_rate: Adam's.
        calibration_samples: generated images whose scores fix the uncertainty quantiles.
        psi: truncation that the calibration holds for.
    """

    mode: Literal["default", "paper"] = "default"
    members: int = Field(default=10, ge=1, le=64)
    hidden: tuple[int, int] = (256, 32)
    batch: int = Field(default=2048, ge=16, le=65_536)
    max_steps: int = Field(default=2000, ge=1, le=10_000_000)
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    calibration_samples: int = Field(default=1000, ge=100, le=100_000)
    psi: float = Field(default=1.0, ge=0, le=2)
    seed: Seed = 0


class TrainParams(Params):
    """Train a label generator on an inversion."""

    inversion_id: str
    config: LabelGeneratorConfig = LabelGeneratorConfig()


class UncertaintyRule(Params):
    """Which generated samples are left out: the `drop` share with the highest uncertainty."""

    drop: float = Field(default=0.1, ge=0, le=0.95)


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


class Recipe(Params):
    """How the downstream network is trained: the same for real and generated images."""

    steps: int = Field(default=1500, ge=1, le=1_000_000)
    batch: int = Field(default=32, ge=1, le=1024)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    width: int = Field(default=24, ge=4, le=256)
    flip_pairs: tuple[tuple[int, int], ...] = ()
    seed: Seed = 0


class EvaluationParams(Params):
    """Train the downstream network on one source, test it on real labelled images.

    Exactly one of `generation_id` and `dataset_id` names what it is trained on.
    """

    generation_id: str | None = None
    dataset_id: str | None = None
    validation_dataset_id: str
    test_dataset_id: str
    recipe: Recipe = Recipe()

"""What can be chosen about the method: one frozen model per step. Pure: no torch.

Defaults are those of the default mode. A config in mode `paper` takes the authors' settings for
whatever it leaves open, so what is stored with a result says what was done.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Mode = Literal["default", "paper"]
Start = Literal["encoder", "samples", "best_of", "mean"]

PAPER_INVERSION: Mapping[str, Any] = MappingProxyType(
    {
        "steps": 500,
        "distance": "lpips",
        "distance_weight": 10.0,
        "mse_weight": 1.0,
        "space": "plain",
        "joint_share": 0.0,
        "latent_weight": 1.0,
        "learning_rate": 0.1,
        "patience": 0,
        "precision": "float32",
    }
)
PAPER_LABEL_GENERATOR: Mapping[str, Any] = MappingProxyType(
    {
        "members": 10,
        "hidden": (256, 32),
        "batch": 64,
        "learning_rate": 1e-3,
        "max_steps": 10_000_000,
        "psi": 0.7,
    }
)


class Config(BaseModel):
    """The base of all: frozen, and an unknown field is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


FROM_AFAR: Mapping[str, float] = MappingProxyType({"joint_share": 0.5, "learning_rate": 0.2})
FROM_A_GUESS: Mapping[str, float] = MappingProxyType({"joint_share": 0.0, "learning_rate": 0.1})
"""What a search does where nothing is said. A guess of an encoder is near: it needs no steps in
which layers stay together, and smaller ones.
"""


def _completed(given: Any, authors: Mapping[str, Any]) -> Any:
    """What was given, and the authors' settings for the rest where their mode is asked for."""
    if isinstance(given, dict) and given.get("mode") == "paper":
        return {**authors, **given}
    return given


class InversionConfig(Config):
    """How latents are found (`models.inversion`).

    Attributes:
        mode: `paper` keeps the last iterate, as the authors' code does; `default` the best.
        steps: length of the schedule. The rate of the last one is 0, so one fewer is executed;
            0 or 1 keep the start.
        start: what the search begins with (`models.starts`): the guess of an `encoder`; that of a
            linear one fitted on mapped `samples`; the `best_of` those samples; the `mean` code.
            None is an encoder's guess where there is one, and else the linear one's.
        compare_starts: whether the report compares all ways to a start, whatever it costs; those
            that need no samples beyond the start's own are always compared.
        starts: how many samples are mapped.
        restyle_iterations: how often a ReStyle encoder looks, where one gives the start.
        distance: `lpips` (needs the ImageNet trunk) or `perceptual` (seeded random convolutions).
        space: where the search moves (`models.latent_spaces`): `whitened`, in units of the spread
            of the generator's own codes, or `plain`, W as it is.
        joint_share: of the steps, the first ones, that move all layers together; None is none
            of them from an encoder's guess, and half of them from elsewhere.
        distance_weight, mse_weight, latent_weight: of the loss terms, images in [0, 1].
        noise_maps: whether the search moves the generator's noise as well, to take up what codes
            need not (Karras et al. 2020, appendix D); it is forgotten afterwards, and figures are
            those of the codes alone.
        noise_weight: of the mean square of how far it moves.
        learning_rate: Adam's, at the plateau of the schedule, in units of `space`; None is 0.1 from
            an encoder's guess, and 0.2 from elsewhere.
        patience: after so many steps in which an image hardly got better it goes to the next stage
            of its schedule, and so ends earlier; 0 is never. Paper mode has no such thing.
        precision: `mixed` computes the steps in bfloat16 on CUDA; elsewhere it is float32.
        seed: of the starts and of random convolutions.
    """

    mode: Mode = "default"
    steps: int = Field(default=300, ge=0, le=10_000)
    start: Start | None = None
    compare_starts: bool = False
    starts: int = Field(default=1000, ge=1, le=100_000)
    restyle_iterations: int = Field(default=5, ge=1, le=100)
    distance: Literal["lpips", "perceptual"] = "lpips"
    distance_weight: float = Field(default=10.0, ge=0, le=1000)
    mse_weight: float = Field(default=1.0, ge=0, le=1000)
    space: Literal["whitened", "plain"] = "whitened"
    joint_share: float | None = Field(default=None, ge=0, le=1)
    latent_weight: float = Field(default=0.1, ge=0, le=1000)
    noise_maps: bool = False
    noise_weight: float = Field(default=1.0, ge=0, le=1000)
    learning_rate: float | None = Field(default=None, gt=0, le=10)
    patience: int = Field(default=0, ge=0, le=10_000)
    precision: Literal["float32", "mixed"] = "float32"
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, given: Any) -> Any:
        return _completed(given, PAPER_INVERSION)

    @model_validator(mode="after")
    def _the_authors_never_stop_early(self) -> "InversionConfig":
        if self.mode == "paper" and self.patience:
            raise ValueError("paper mode takes every step: patience must be 0")
        return self

    def from_start(self, start: Start) -> "InversionConfig":
        """The same for a search from that start, with nothing left open."""
        usual = FROM_A_GUESS if start == "encoder" else FROM_AFAR
        still_open = {name: usual[name] for name in usual if getattr(self, name) is None}
        return self.model_copy(update={"start": start, **still_open})


class EncoderTrainingConfig(Config):
    """How a ReStyle encoder is trained on a frozen generator (`models.encoders.training`).

    Weights are of losses of images in [-1, 1] and of codes in whitened units, so one set of them
    suits every generator.

    Attributes:
        backbone: `ir-se50` and `resnet34` as in the papers; `small` for images of 64 pixels or so.
        steps, batch: of the training; every step makes `restyle_iterations` passes.
        learning_rate: the optimiser's, at the plateau of its schedule.
        restyle_iterations: passes, each from the result of the one before.
        distance: `lpips` (needs the ImageNet trunk) or `perceptual` (seeded random convolutions).
        l2_weight, distance_weight: of the images' terms.
        latent_weight: of the mean square error of codes, on samples, whose codes are known.
        w_norm_weight: of the mean square distance from the mean code.
        latent_share: of the steps, the first ones, that learn from samples' codes alone: no
            gradient goes through the generator, and a pass costs a third.
        real_share: of a batch, where unlabelled images are given; not in those first steps.
        progressive: e4e's way: layers part from the first one after another.
        delta_weight: of how far they part, where `progressive`.
        precision: what the generator computes in while the encoder learns.
        validation_samples: of the generator, not learnt from, that the curve is measured on.
        snapshot_every: steps from one point of the curve, and snapshot, to the next.
        seed: of weights, batches and random convolutions.
    """

    backbone: Literal["ir-se50", "resnet34", "small"] = "resnet34"
    steps: int = Field(default=100_000, ge=1, le=10_000_000)
    batch: int = Field(default=8, ge=1, le=1024)
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    restyle_iterations: int = Field(default=3, ge=1, le=10)
    distance: Literal["lpips", "perceptual"] = "lpips"
    l2_weight: float = Field(default=1.0, ge=0, le=1000)
    distance_weight: float = Field(default=0.8, ge=0, le=1000)
    latent_weight: float = Field(default=1.0, ge=0, le=1000)
    w_norm_weight: float = Field(default=0.0, ge=0, le=1000)
    latent_share: float = Field(default=0.0, ge=0, le=1)
    real_share: float = Field(default=0.5, ge=0, le=1)
    progressive: bool = False
    delta_weight: float = Field(default=2e-4, ge=0, le=1000)
    precision: Literal["float32", "bfloat16"] = "float32"
    validation_samples: int = Field(default=64, ge=1, le=10_000)
    snapshot_every: int = Field(default=1000, ge=1, le=1_000_000)
    seed: Seed = 0


class LabelGeneratorConfig(Config):
    """How the ensemble of pixel MLPs is trained (`models.label_generator_training`).

    Attributes:
        mode: `paper` for raw features, the authors' stop rule, the last weights, a hard vote and
            specks removed from the masks.
        members: MLPs in the ensemble.
        hidden: widths of the two hidden layers.
        batch: pixels per step and member.
        max_steps: steps; in paper mode the most there can be. None is as many as look 1.5 times at
            each labelled pixel, but at least 400 (3000 for keypoints) and at most 3000.
        learning_rate: Adam's; in default mode it falls to 0 along a cosine.
        sampling: `uniform` draws each labelled pixel as often as any other; `balanced`, for masks
            alone, each class as often as any other, so that rare ones are learnt sooner and
            predicted more often than they occur.
        patience: of the 20 looks at held-out pixels; after so many in which their loss hardly fell
            the training goes to the last quarter of its schedule. 0 is never. Paper mode has a
            stop rule of its own, and draws uniformly.
        calibration_samples: generated images whose scores fix the uncertainty quantiles.
        psi: truncation that the calibration holds for.
        seed: of weights, orders of pixels and calibration.
    """

    mode: Mode = "default"
    members: int = Field(default=10, ge=1, le=64)
    hidden: tuple[int, int] = (32, 16)
    batch: int = Field(default=256, ge=16, le=65_536)
    max_steps: int | None = Field(default=None, ge=1, le=10_000_000)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    sampling: Literal["uniform", "balanced"] = "uniform"
    patience: int = Field(default=0, ge=0, le=20)
    calibration_samples: int = Field(default=1000, ge=100, le=100_000)
    psi: float = Field(default=1.0, ge=0, le=2)
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, given: Any) -> Any:
        return _completed(given, PAPER_LABEL_GENERATOR)

    @model_validator(mode="after")
    def _the_authors_have_one_way(self) -> "LabelGeneratorConfig":
        if self.mode == "paper" and self.patience:
            raise ValueError("paper mode has a stop rule of its own: patience must be 0")
        if self.mode == "paper" and self.sampling != "uniform":
            raise ValueError("paper mode shuffles all pixels: sampling must be uniform")
        return self


class Recipe(Config):
    """How the downstream network is trained (`models.downstream`), on real or generated images.

    Attributes:
        steps, batch: of the training.
        learning_rate: AdamW's at its height; 5 % warm-up, then a cosine to 0.
        width: channels of the network's finest layer.
        longest_side: larger pictures are reduced to it, in pixels.
        flip: whether mirrored pictures are as good as the given ones.
        flip_pairs: ids of classes that change places in a mirror; keypoints have theirs in their
            `KeypointsSpec`.
        settled_share: of the steps, the last ones, whose pictures stay in place (`augmentation`);
            None suits the kind of label and the number of pictures (`models.downstream`).
        seed: of initial weights, order and augmentation.
    """

    steps: int = Field(default=3000, ge=1, le=1_000_000)
    batch: int = Field(default=8, ge=1, le=1024)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    width: int = Field(default=16, ge=4, le=256)
    longest_side: int = Field(default=256, ge=16, le=2048)
    flip: bool = True
    flip_pairs: tuple[tuple[int, int], ...] = ()
    settled_share: float | None = Field(default=None, ge=0, le=1)
    seed: Seed = 0

"""Trains a ReStyle encoder on a frozen generator (Alaluf et al., ICCV 2021, section 3).

It learns from samples, whose codes are known, and from unlabelled images if there are any. Every
step makes several passes over its batch, each from the detached result of the one before, and
sums their gradients. Step s follows from the seed and s alone: a training that was killed goes on
from its last snapshot to the same weights. What it may learn from is in `training_data`, what it
lowers in `training_losses`. Knows no files.
"""

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.configs import EncoderTrainingConfig
from models.encoders.encoder import Encoder, build_encoder, own_tensors
from models.encoders.restyle import fitted, framed
from models.encoders.training_curve import Examination, Point
from models.encoders.training_data import Batches, checked, drawn, dtype_of
from models.encoders.training_losses import Goal, code_loss, image_loss, parted_layers
from models.encoders.training_networks import in_w, learning_on, untrained
from models.encoders.training_optimizer import MuonAndAdam
from models.latent_search import learning_rate
from models.latent_spaces import whitened
from models.perceptual import Distance
from models.progress import Report
from models.snapshots import Keeper, fingerprint
from models.stylegan2.networks import Generator

SNAPSHOT = "encoder-training"
"""The name that a training keeps its state under."""
FARTHEST = 10.0
"""Whitened units from the mean that a pass may draw at; no sample's codes are there. A pass that
overshoots would show the next a picture like none, and they would diverge together."""


def train_encoder(
    generator: Generator,
    distance: Distance,
    config: EncoderTrainingConfig,
    report: Report,
    reals: Tensor | None = None,
    keeper: Keeper | None = None,
    start: Encoder | None = None,
) -> tuple[Encoder, dict[str, Any]]:
    """An encoder for `generator`, the best of its training.

    Args:
        generator: frozen, in eval mode, on the device to compute on.
        distance: how pictures are compared, on the same device.
        config: how.
        report: told phase `training` (steps).
        reals: unlabelled images like the generator's, [N, 3, H, W] of its image shape: uint8, or
            floats in [-1, 1]. They may stay on the CPU.
        keeper: where snapshots are kept, and where one of the same training goes on from.
        start: a ReStyle encoder to begin from, of a generator whose codes mean much the same; then
            the settings decide how it learns, and nothing of its shape.

    Returns:
        the encoder on the generator's device in eval mode, without a generator of its own; and
        what happened, for JSON: `config`, `distance`, `parameters`, `reals`, `seconds`, the
        `mean` code's figures, the `curve` and its point `kept`, the one of least distance.

    Raises:
        ValueError: `reals` or `start` do not fit, images are not in colour or too small, the
            snapshot is of another training, or the learning rate made it diverge.
    """
    learner = Learner(generator, distance, config, checked(reals, generator), start)
    if keeper is not None and (state := keeper.load(SNAPSHOT)) is not None:
        learner.restore(state)
    while learner.step < config.steps:
        learner.learn()
        report("training", learner.step, config.steps, "steps")
        if learner.step % config.snapshot_every == 0 or learner.step == config.steps:
            learner.examine()
            if keeper is not None:
                keeper.save(SNAPSHOT, learner.state())
    return learner.result(), learner.record()


class Learner:
    """A training at one step of it.

    Attributes:
        step: steps done.
        encoder: puts out whitened codes while it learns.
        curve: a point for each snapshot.
        best: the tensors, in W, of the encoder at the best point.
    """

    def __init__(
        self,
        generator: Generator,
        distance: Distance,
        config: EncoderTrainingConfig,
        reals: Tensor | None,
        start: Encoder | None = None,
    ) -> None:
        self._generator, self._distance, self._config = generator, distance, config
        self._space = whitened(generator, config.seed)
        self._mean = self._space.of(generator.w_avg)
        self._batches = Batches(generator, config, reals)
        self._examination = Examination(generator, distance, config, self._space)
        if start is None:
            self.encoder = untrained(generator, config).train()
        else:
            self.encoder = learning_on(start, generator, self._space).train()
        mean = generator.w_avg.expand(1, generator.num_ws, -1)
        self._mean_image = framed(self.encoder, drawn(generator, mean))
        self._optimiser = MuonAndAdam(self.encoder)
        parts = [*generator.state_dict().values(), *([] if reals is None else [reals])]
        parts += [] if start is None else own_tensors(start).values()
        self._fingerprint = fingerprint([config.model_dump_json()], parts)
        self._seconds, self._began = 0.0, time.perf_counter()
        self.step = 0
        self.curve: list[Point] = []
        self.best: dict[str, Tensor] = {}

    def learn(self) -> None:
        """One step: all passes over its batch."""
        config = self._config
        from_codes = self.step < round(config.latent_share * config.steps)
        goal = self._goal(from_codes)
        u = self._mean.expand(len(goal.images), self._generator.num_ws, -1)
        images = self._mean_image.expand_as(goal.images)
        self._optimiser.zero_grad()
        for index in range(config.restyle_iterations):
            u = u.detach() + self._difference(goal.images, images.detach())
            loss = code_loss(u, goal, config)
            u = self._bounded(u)
            if not from_codes:
                images = self._drawn(u)
                loss = loss + image_loss(images, goal, self._distance, config)
            elif index + 1 < config.restyle_iterations:
                images = self._drawn(u.detach())
            loss.backward(inputs=list(self.encoder.parameters()))  # type: ignore[no-untyped-call]
        self.step += 1
        self._optimiser.step(learning_rate(self.step, config.steps + 1, config.learning_rate))

    def _bounded(self, u: Tensor) -> Tensor:
        """Codes no farther from the mean than any sample's."""
        return self._mean + (u - self._mean).clamp(-FARTHEST, FARTHEST)

    def _goal(self, from_codes: bool) -> Goal:
        """What this step learns from."""
        batch = self._batches.at(self.step, samples_only=from_codes)
        seen = framed(self.encoder, batch.images)
        targets = [] if from_codes else self._distance.targets(seen)
        return Goal(seen, targets, self._space.of(batch.ws), self._mean)

    def _difference(self, seen: Tensor, images: Tensor) -> Tensor:
        """What the encoder adds to the codes of `images`: [N, num_ws, w_dim], whitened."""
        parted = parted_layers(self.step, self._config, self._generator.num_ws)
        codes = self.encoder(torch.cat([seen, images], dim=1), parted)
        return fitted(codes, self._generator.num_ws)

    def _drawn(self, u: Tensor) -> Tensor:
        """Pictures of codes u, as the encoder sees them."""
        dtype = dtype_of(self._config.precision)
        return framed(self.encoder, self._generator.synthesize(self._space.to_w(u), dtype=dtype))

    def examine(self) -> None:
        """A new point of the curve; its encoder is kept if it is the best so far."""
        candidate = in_w(self.encoder, self._space, self._generator.w_avg)
        point = self._examination.of(candidate, self.step)
        if not math.isfinite(point.distance):
            rate = self._config.learning_rate
            raise ValueError(f"diverged by step {self.step}: learning_rate {rate} is too high")
        if not self.curve or point.distance < self._kept().distance:
            self.best = own_tensors(candidate)
        self.curve.append(point)

    def _kept(self) -> Point:
        """The point of the best encoder, the first of equals."""
        return min(self.curve, key=lambda point: point.distance)

    def result(self) -> Encoder:
        """The best encoder, in W."""
        return build_encoder(self.encoder.config, self.best, "the training")

    def record(self) -> dict[str, Any]:
        """What happened."""
        reals = self._batches.reals
        return {
            "config": self._config.model_dump(mode="json"),
            "distance": self._distance.name,
            "parameters": sum(p.numel() for p in self.encoder.parameters()),
            "reals": 0 if reals is None else len(reals),
            "seconds": self._spent(),
            "mean": dataclasses.asdict(self._examination.of_mean()),
            "curve": [dataclasses.asdict(point) for point in self.curve],
            "kept": dataclasses.asdict(self._kept()),
        }

    def _spent(self) -> float:
        return self._seconds + time.perf_counter() - self._began

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs."""
        curve = [dataclasses.astuple(point) for point in self.curve]
        return {
            "fingerprint": self._fingerprint,
            "step": torch.tensor(self.step),
            "seconds": torch.tensor(self._spent(), dtype=torch.float64),
            "curve": torch.tensor(curve, dtype=torch.float64),
            **{f"best.{key}": tensor for key, tensor in self.best.items()},
            **{f"encoder.{key}": tensor for key, tensor in own_tensors(self.encoder).items()},
            **{f"optimiser.{key}": t for key, t in self._optimiser.state().items()},
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from `state`.

        Raises:
            ValueError: it is of another training.
        """
        if not torch.equal(state["fingerprint"], self._fingerprint):
            raise ValueError("the snapshot is of another training: other settings or generator")
        self.step = int(state["step"])
        self._seconds = float(state["seconds"])
        self.curve = [Point(int(row[0]), *row[1:]) for row in state["curve"].tolist()]
        device = self._generator.w_avg.device
        self.best = {key: tensor.to(device) for key, tensor in _below("best", state).items()}
        self.encoder.load_state_dict(_below("encoder", state))
        self._optimiser.restore(_below("optimiser", state))


def _below(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `name.`, without it."""
    return {key.partition(".")[2]: t for key, t in state.items() if key.startswith(f"{name}.")}

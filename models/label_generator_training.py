"""Training of a label generator: all members at once, in one batched network (HandsOff, 3.2).

Members share nothing but the data: each has its own initial weights and its own order of pixels,
and may have pixels of its own (`train_apart`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.configs import LabelGeneratorConfig
from models.errors import TrainingImpossible
from models.heads.base import Head, Size, Vote, labelled
from models.label_generator import LabelGenerator, Layers
from models.labels import LabelSpec
from models.lessons import Lesson, Pixels, lesson_of
from models.pixel_mlps import PixelMLPs
from models.progress import Report
from models.seeding import philox
from models.stylegan2.networks import Generator

HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 8192
"""Labelled pixels kept back to choose the best weights by, in default mode."""
CHECKS = 20
"""How often the held-out pixels are looked at."""

PAPER_EPOCHS = 100
PAPER_EPOCHS_BEFORE_STOPPING = 4
PAPER_PATIENCE = 50
"""From the fifth epoch on, a member stops after more mini-batches than this without a new best."""


@dataclass(frozen=True)
class Trained:
    """A trained ensemble, folded, and how its training went."""

    layers: Layers
    record: dict[str, Any]


def train_label_generator(
    generator: Generator,
    latents: Tensor,
    labels: Sequence[NDArray[Any]],
    spec: LabelSpec,
    generator_sha256: str,
    config: LabelGeneratorConfig,
    report: Report,
    image_sizes: Sequence[Size] | None = None,
) -> tuple[LabelGenerator, dict[str, Any]]:
    """A label generator from latents and the labels of the images they stand for.

    Args:
        generator: on the device to compute on.
        latents: float32 [N, num_ws, w_dim].
        labels: of the N images, arrays as `spec` says; masks and depth maps of any size.
        spec: what the labels mean.
        generator_sha256: of the generator's file; kept with the result.
        config: how.
        report: told phases `synthesising` (images) and `training` (steps).
        image_sizes: (h, w) of each labelled image, in whose pixels its keypoints are; if left
            out, that of the generator's labels.

    Returns:
        the label generator, and a record of its training.

    Raises:
        TrainingImpossible: there are too few labelled pixels.
    """
    lesson = lesson_of(generator, latents, labels, spec, config.mode, report, image_sizes)
    return train_on(lesson, generator_sha256, config, report)


def train_on(
    lesson: Lesson, generator_sha256: str, config: LabelGeneratorConfig, report: Report
) -> tuple[LabelGenerator, dict[str, Any]]:
    """The same from a lesson that was made for the config's mode, and can be used again."""
    trained = train_ensemble(lesson.pixels, lesson.head, config, report)
    vote = Vote.HARD if config.mode == "paper" else Vote.SOFT
    facts = (lesson.spec, lesson.size, vote, lesson.shapes, generator_sha256, lesson.head.learnt)
    return LabelGenerator(trained.layers, *facts), trained.record


def train_ensemble(
    pixels: Pixels, head: Head, config: LabelGeneratorConfig, report: Report
) -> Trained:
    """Train M members on the labelled pixels.

    Args:
        pixels: on the device to compute on; its features are standardised in place unless the
            mode is `paper`.
        head: what is learnt.
        config: how.
        report: told phase `training` (steps).

    Raises:
        TrainingImpossible: too few labelled pixels.
    """
    began = time.perf_counter()
    pool = labelled(pixels.targets).nonzero().squeeze(1)
    if len(pool) < 2 * config.batch:
        raise TrainingImpossible(
            f"{len(pool)} labelled pixels are too few for batches of {config.batch}: "
            "label more images or ask for a smaller batch"
        )
    train = _train_as_the_authors if config.mode == "paper" else _train_by_default
    layers, record = train(pixels, pool, head, config, report)
    return Trained(layers, {**record, "seconds": time.perf_counter() - began})


def train_apart(
    pixels: Pixels,
    pools: Sequence[Tensor],
    head: Head,
    config: LabelGeneratorConfig,
    report: Report,
) -> PixelMLPs:
    """One member for each pool of pixels, which learns from no other; the last weights.

    Args:
        pixels: on the device to compute on, with standardised features.
        pools: int64 [P] each, labelled pixels, one at least.
        head: what is learnt.
        config: how; `members` is the number of pools.
        report: told phase `checking` (steps).
    """
    assert len(pools) == config.members
    network = _network(pixels, head, config)
    every = max(1, config.max_steps // CHECKS)
    for step in _descent(network, pixels, pools, head, config):
        if step % every == 0 or step == config.max_steps:
            report("checking", step, config.max_steps, "steps")
    return network.eval()


def _train_by_default(
    pixels: Pixels, pool: Tensor, head: Head, config: LabelGeneratorConfig, report: Report
) -> tuple[Layers, dict[str, Any]]:
    """Standardised features, cosine rate, and the weights that do best on held-out pixels."""
    pixels = pixels.standardised()
    assert pixels.scaling is not None
    held, pool = _hold_out(pool, config)
    network = _network(pixels, head, config)
    judge = _Judge(*pixels.read(held), head)
    every = max(1, config.max_steps // CHECKS)
    for step in _descent(network, pixels, [pool] * config.members, head, config):
        if step % every == 0 or step == config.max_steps:
            judge.look(network, step)
            report("training", step, config.max_steps, "steps")
    network.load_state_dict(judge.best)
    record = {"steps": config.max_steps, **judge.record(network)}
    return network.folded(*pixels.scaling), record


def _descent(
    network: PixelMLPs,
    pixels: Pixels,
    pools: Sequence[Tensor],
    head: Head,
    config: LabelGeneratorConfig,
) -> Iterator[int]:
    """All members go down, each on its own pool, at a rate along a cosine; after each step."""
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, config.max_steps)
    for step, chosen in enumerate(_draws(pools, config), start=1):
        _step(network, adam, pixels, head, chosen)
        rate.step()
        yield step


def _train_as_the_authors(
    pixels: Pixels, pool: Tensor, head: Head, config: LabelGeneratorConfig, report: Report
) -> tuple[Layers, dict[str, Any]]:
    """Raw features, epochs of shuffled pixels, the authors' stop rule, the last weights.

    Deviation: an epoch's incomplete last batch is left out; it could be a single pixel, for
    which BatchNorm is not defined.
    """
    network = _network(pixels, head, config)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    rule = StopRule(config.members, pool.device)
    per_epoch = len(pool) // config.batch
    most = min(config.max_steps, PAPER_EPOCHS * per_epoch)
    final = _copied(network)
    for step, chosen in enumerate(_epochs(pool, config, most), start=1):
        losses = _step(network, adam, pixels, head, chosen)
        final = _chosen(~rule.stopped, _copied(network), final)
        if step > PAPER_EPOCHS_BEFORE_STOPPING * per_epoch:
            rule.look(losses, step)
        if step % CHECKS == 0:
            report("training", step, most, "steps")
        if rule.all_stopped:
            break
    network.load_state_dict(final)
    channels = pixels.table.channels
    unchanged = (pool.new_zeros(channels).float(), pool.new_ones(channels).float())
    return network.folded(*unchanged), {"steps": step, "stopped_at": rule.steps}


class StopRule:
    """The authors' early stop, for M members at once.

    After every mini-batch: a loss below the lowest so far is the new lowest; a member stops after
    more than `PAPER_PATIENCE` mini-batches in a row without one.
    """

    def __init__(self, members: int, device: torch.device) -> None:
        self.lowest = torch.full((members,), torch.inf, device=device)
        self.waited = torch.zeros(members, dtype=torch.int64, device=device)
        self.stopped = torch.zeros(members, dtype=torch.bool, device=device)
        self.steps: list[int | None] = [None] * members

    @property
    def all_stopped(self) -> bool:
        """Whether no member goes on."""
        return None not in self.steps

    def look(self, losses: Tensor, step: int) -> None:
        """Take in the mini-batch losses [M] of `step`."""
        better = losses < self.lowest
        self.lowest = torch.minimum(self.lowest, losses)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.stopped = self.stopped | (self.waited > PAPER_PATIENCE)
        for member in self.stopped.nonzero().flatten().tolist():
            self.steps[member] = self.steps[member] or step


class _Judge:
    """Keeps, for each member, the weights that did best on held-out pixels."""

    def __init__(self, values: Tensor, targets: Tensor, head: Head) -> None:
        self._values, self._targets, self._head = values, targets, head
        self._lowest: Tensor | None = None
        self.best: dict[str, Tensor] = {}
        self.steps: list[int] = []

    @torch.no_grad()
    def look(self, network: PixelMLPs, step: int) -> None:
        """Compare the network as it is now with the best so far."""
        outputs = self.outputs(network)
        losses = self._head.loss(outputs, self._targets.expand(len(outputs), *self._targets.shape))
        if self._lowest is None:
            self._lowest, self.best = losses, _copied(network)
            self.steps = [step] * len(losses)
            return
        better = losses < self._lowest
        self._lowest = torch.minimum(losses, self._lowest)
        self.best = _chosen(better, _copied(network), self.best)
        now = better.tolist()
        self.steps = [step if new else old for new, old in zip(now, self.steps, strict=True)]

    @torch.no_grad()
    def outputs(self, network: PixelMLPs) -> Tensor:
        """What the members say of the held-out pixels: [M, P, K]."""
        network.eval()
        members = network.weights[0].shape[0]
        outputs: Tensor = network(self._values.expand(members, -1, -1))
        network.train()
        return outputs

    def record(self, network: PixelMLPs) -> dict[str, Any]:
        """How the chosen weights, by now in `network`, do."""
        assert self._lowest is not None
        return {
            "kept_at": self.steps,
            "held_out_pixels": len(self._targets),
            "held_out_loss": float(self._lowest.mean()),
            "held_out_agreement": self._head.agreement(self.outputs(network), self._targets),
        }


def _network(pixels: Pixels, head: Head, config: LabelGeneratorConfig) -> PixelMLPs:
    """Untrained members on the device of the pixels."""
    widths = (pixels.table.channels, *config.hidden, head.outputs)
    return PixelMLPs(widths, config.members, config.seed).to(pixels.targets.device)


def _step(
    network: PixelMLPs, adam: torch.optim.Adam, pixels: Pixels, head: Head, chosen: Tensor
) -> Tensor:
    """One step of all members on their pixels `chosen` int64 [M, B]; their losses [M]."""
    values, targets = pixels.read(chosen)
    losses = head.loss(network(values), targets)
    adam.zero_grad()
    losses.sum().backward()  # type: ignore[no-untyped-call]
    adam.step()
    return losses.detach()


def _hold_out(pool: Tensor, config: LabelGeneratorConfig) -> tuple[Tensor, Tensor]:
    """Some pixels of the pool, the same for all members, and the rest."""
    count = max(1, min(HELD_OUT_MOST, int(HELD_OUT_SHARE * len(pool))))
    order = philox(config.seed, "held-out").permutation(len(pool))
    held, rest = (torch.from_numpy(part).to(pool.device) for part in np.split(order, [count]))
    return pool[held], pool[rest.sort().values]


def _draws(pools: Sequence[Tensor], config: LabelGeneratorConfig) -> Iterator[Tensor]:
    """For each step, B pixels for each member, drawn from its pool with replacement: [M, B]."""
    streams = [philox(config.seed, "order", m) for m in range(config.members)]
    for _ in range(config.max_steps):
        drawn = [
            pool[torch.from_numpy(stream.integers(len(pool), size=config.batch)).to(pool.device)]
            for pool, stream in zip(pools, streams, strict=True)
        ]
        yield torch.stack(drawn)


def _epochs(pool: Tensor, config: LabelGeneratorConfig, most: int) -> Iterator[Tensor]:
    """For at most `most` steps, epochs of shuffled pixels, B for each member: int64 [M, B]."""
    streams = [philox(config.seed, "order", m) for m in range(config.members)]
    per_epoch = len(pool) // config.batch
    for step in range(most):
        place = step % per_epoch * config.batch
        if place == 0:
            orders = np.stack([s.permutation(len(pool)).astype(np.int32) for s in streams])
        drawn = orders[:, place : place + config.batch].astype(np.int64)
        yield pool[torch.from_numpy(drawn).to(pool.device)]


def _copied(network: PixelMLPs) -> dict[str, Tensor]:
    """All of a network's numbers, which stay when it goes on."""
    return {key: value.clone() for key, value in network.state_dict().items()}


def _chosen(where: Tensor, yes: dict[str, Tensor], no: dict[str, Tensor]) -> dict[str, Tensor]:
    """Member by member: `yes` for those that are true in `where` [M], else `no`."""
    return {key: torch.where(where[:, None, None], yes[key], no[key]) for key in yes}

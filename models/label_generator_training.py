"""Training of a label generator: all members at once, in one batched network (HandsOff, 3.2).

Members share nothing but the data: each has its own initial weights and its own order of pixels,
and may have pixels of its own (`train_apart`).
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from models.configs import LabelGeneratorConfig
from models.errors import TrainingImpossible
from models.fused_layers import Layers
from models.heads.base import Head, Size, Vote, labelled
from models.held_out import Judge, chosen, copied
from models.label_generator import LabelGenerator
from models.labels import LabelSpec
from models.lessons import Lesson, Pixels, lesson_of
from models.pixel_mlps import PixelMLPs
from models.pixel_orders import Pool, Source, draws, epochs, hold_out
from models.progress import Report
from models.stylegan2.networks import Generator

CHECKS = 20
"""How often the held-out pixels are looked at, where the schedule is run through."""
COOLING = 0.75
"""Of the schedule, where its last part begins: there a training on a plateau jumps to."""

LOOKS, MOST_STEPS = 1.5, 3000
"""How often each labelled pixel is looked at, where nothing is said, and where that ends."""

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
    scratch: Path | None = None,
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
        scratch: a folder for features that no memory has room for (`models.lessons`).

    Returns:
        the label generator, and a record of its training.

    Raises:
        TrainingImpossible: there are too few labelled pixels.
    """
    lesson = lesson_of(generator, latents, labels, spec, config.mode, report, image_sizes, scratch)
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
        TrainingImpossible: too few labelled pixels, or no classes to be balanced.
    """
    began = time.perf_counter()
    if config.sampling == "balanced" and pixels.targets.is_floating_point():
        raise TrainingImpossible(
            "balanced sampling needs classes, and these labels have none: ask for uniform sampling"
        )
    pool = labelled(pixels.targets).nonzero().squeeze(1)
    if len(pool) < 2 * config.batch:
        raise TrainingImpossible(
            f"{len(pool)} labelled pixels are too few for batches of {config.batch}: "
            "label more images or ask for a smaller batch"
        )
    train = _train_as_the_authors if config.mode == "paper" else _train_by_default
    layers, record = train(pixels, pool, head, config, report)
    return Trained(layers, {**record, "seconds": time.perf_counter() - began})


def decided(config: LabelGeneratorConfig, head: Head, pixels: int) -> LabelGeneratorConfig:
    """The settings of a default training on so many labelled pixels, with nothing left open."""
    if config.max_steps is not None:
        return config
    steps = max(head.fewest_steps, min(round(LOOKS * pixels / config.batch), MOST_STEPS))
    return config.model_copy(update={"max_steps": steps})


def train_apart(
    pixels: Pixels,
    pools: Sequence[Pool],
    head: Head,
    config: LabelGeneratorConfig,
    report: Report,
) -> PixelMLPs:
    """One member for each pool of pixels, which learns from no other; the last weights.

    Args:
        pixels: with standardised features.
        pools: labelled pixels, one at least.
        head: what is learnt.
        config: how; `members` is the number of pools.
        report: told phase `checking` (steps).
    """
    assert len(pools) == config.members
    network = _network(pixels, head, config)
    descent = _Descent(network, pixels, head, config)
    for step in descent.along([Source.uniform(pool, config.batch) for pool in pools]):
        if descent.to_look:
            report("checking", step, descent.steps, "steps")
    return network.eval()


def _train_by_default(
    pixels: Pixels, pool: Tensor, head: Head, config: LabelGeneratorConfig, report: Report
) -> tuple[Layers, dict[str, Any]]:
    """Standardised features, cosine rate, and the weights that do best on held-out pixels."""
    pixels = pixels.standardised()
    assert pixels.scaling is not None
    config = decided(config, head, len(pool))
    held, pool = hold_out(pool, config)
    network = _network(pixels, head, config)
    judge, descent = Judge(pixels, held, head), _Descent(network, pixels, head, config)
    for step in descent.along([_source(pool, pixels, config)] * config.members):
        if descent.to_look:
            judge.look(network, step)
            report("training", step, descent.steps, "steps")
            if config.patience and judge.flat(config.patience):
                descent.cool()
    network.load_state_dict(judge.best)
    record = {"steps": descent.taken, **judge.record(network)}
    return network.folded(*pixels.scaling), record


def _source(pool: Tensor, pixels: Pixels, config: LabelGeneratorConfig) -> Source:
    """What all members draw from."""
    if config.sampling == "balanced":
        return Source.balanced(pool, pixels.targets, config.batch)
    return Source.uniform(pool, config.batch)


class _Descent:
    """All members go down at a rate along a cosine, which falls to 0.

    Attributes:
        steps: of the whole schedule.
        step: of the schedule, that is done.
        taken: steps; fewer than `step` if some were jumped.
    """

    def __init__(
        self, network: PixelMLPs, pixels: Pixels, head: Head, config: LabelGeneratorConfig
    ) -> None:
        self._network, self._pixels, self._head, self._config = network, pixels, head, config
        assert config.max_steps is not None, "nothing is open any more"
        self.steps = config.max_steps
        self._adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        self._rate = torch.optim.lr_scheduler.CosineAnnealingLR(self._adam, self.steps)
        self.step = self.taken = 0

    @property
    def to_look(self) -> bool:
        """Whether this is one of the steps after which to look how it goes."""
        return self.step % max(1, self.steps // CHECKS) == 0 or self.step == self.steps

    def along(self, sources: Sequence[Source]) -> Iterator[int]:
        """Each member on pixels from its own source; after each step, that step."""
        orders = draws(sources, self._config.seed, self._pixels.targets.device)
        while self.step < self.steps:
            _step(self._network, self._adam, self._pixels, self._head, next(orders))
            self._rate.step()
            self.step += 1
            self.taken += 1
            yield self.step

    def cool(self) -> None:
        """Go to the last part of the schedule, unless it has begun."""
        place = math.ceil(COOLING * self.steps)
        if self.step < place:
            self.step = self._rate.last_epoch = place
            (group,) = self._adam.param_groups
            group["lr"] = (
                self._config.learning_rate * (1 + math.cos(math.pi * place / self.steps)) / 2
            )


def _train_as_the_authors(
    pixels: Pixels, pool: Tensor, head: Head, config: LabelGeneratorConfig, report: Report
) -> tuple[Layers, dict[str, Any]]:
    """Raw features, epochs of shuffled pixels, the authors' stop rule, the last weights.

    Deviation: an epoch's incomplete last batch is left out; it could be a single pixel, for
    which BatchNorm is not defined.
    """
    network = _network(pixels, head, config)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    rule = StopRule(config.members, pool.device)
    per_epoch = len(pool) // config.batch
    most = PAPER_EPOCHS * per_epoch
    most = most if config.max_steps is None else min(config.max_steps, most)
    final = copied(network)
    for step, drawn in enumerate(epochs(pool, config, most), start=1):
        losses = _step(network, adam, pixels, head, drawn)
        if step > PAPER_EPOCHS_BEFORE_STOPPING * per_epoch:
            stopping = rule.look(losses, step)
            if stopping.any():
                final = chosen(stopping, copied(network), final)
        if step % CHECKS == 0:
            report("training", step, most, "steps")
        if rule.all_stopped:
            break
    network.load_state_dict(chosen(rule.stopped, final, copied(network)))
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

    def look(self, losses: Tensor, step: int) -> Tensor:
        """Take in the mini-batch losses [M] of `step`; which members stop here, bool [M]."""
        better = losses < self.lowest
        self.lowest = torch.minimum(self.lowest, losses)
        self.waited = torch.where(better, 0, self.waited + 1)
        stopping = ~self.stopped & (self.waited > PAPER_PATIENCE)
        self.stopped = self.stopped | stopping
        for member in stopping.nonzero().flatten().tolist():
            self.steps[member] = step
        return stopping


def _network(pixels: Pixels, head: Head, config: LabelGeneratorConfig) -> PixelMLPs:
    """Untrained members on the device of the pixels."""
    widths = (pixels.table.channels, *config.hidden, head.outputs)
    return PixelMLPs(widths, config.members, config.seed).to(pixels.targets.device)


def _step(
    network: PixelMLPs, adam: torch.optim.Adam, pixels: Pixels, head: Head, drawn: Tensor
) -> Tensor:
    """One step of all members on their pixels `drawn` int64 [M, B]; their losses [M]."""
    values, targets = pixels.read(drawn)
    losses = head.loss(network(values), targets)
    adam.zero_grad()
    losses.sum().backward()  # type: ignore[no-untyped-call]
    adam.step()
    return losses.detach()

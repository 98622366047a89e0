"""Training of a label generator: all members at once, in one batched network (HandsOff, 3.2).

Members share nothing but the data: each has its own initial weights and its own order of pixels.
Features stay at their native resolution, in half precision; a step reads the few neighbours
of its pixels and no more.
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
from models.heads import head_of
from models.heads.base import Head, Size, Vote, labelled
from models.hypercolumns import FeatureTable, at_pixels
from models.label_generator import LabelGenerator, Layers, label_size
from models.labels import LabelSpec
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


@dataclass(frozen=True)
class Pixels:
    """What is learnt from: cached features and the targets of all pixels of N images.

    Attributes:
        table: features of the N images.
        targets: of all pixels, as the head gives them: int64 [N * H * W], or float32
            [N * H * W, K].
    """

    table: FeatureTable
    targets: Tensor

    def read(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Hypercolumns float32 [*shape, C] and targets of the pixels `chosen` int64 [*shape]."""
        values = at_pixels(self.table, chosen.reshape(-1))
        return values.view(*chosen.shape, -1), self.targets[chosen]


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
    size = label_size(generator.image_shape[1:])
    head = head_of(spec).fitted(labels)
    if config.mode == "paper":
        labels = [head.cleaned(label, size) for label in labels]
    table, shapes = _cached_features(generator, latents, size, report)
    sizes = image_sizes or [size] * len(labels)
    pairs = zip(labels, sizes, strict=True)
    targets = torch.cat([head.targets(label, size, image) for label, image in pairs])
    pixels = Pixels(table, targets.to(generator.w_avg.device))
    trained = train_ensemble(pixels, head, config, report)
    vote = Vote.HARD if config.mode == "paper" else Vote.SOFT
    facts = (spec, size, vote, shapes, generator_sha256, head.learnt)
    return LabelGenerator(trained.layers, *facts), trained.record


def _cached_features(
    generator: Generator, latents: Tensor, size: tuple[int, int], report: Report
) -> tuple[FeatureTable, tuple[tuple[int, int, int], ...]]:
    """Feature maps of all images in half precision, and the shapes they came in."""
    parts = []
    for done, ws in enumerate(torch.split(latents, 1), start=1):
        with torch.no_grad():
            _, features = generator.synthesize_with_features(ws.to(generator.w_avg.device))
        parts.append(FeatureTable.build(features, size, torch.float16))
        report("synthesising", done, len(latents), "images")
    return FeatureTable.join(parts), tuple((f.shape[1], f.shape[2], f.shape[3]) for f in features)


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


def _train_by_default(
    pixels: Pixels, pool: Tensor, head: Head, config: LabelGeneratorConfig, report: Report
) -> tuple[Layers, dict[str, Any]]:
    """Standardised features, cosine rate, and the weights that do best on held-out pixels."""
    mean, deviation = pixels.table.standardise()
    held, pool = _hold_out(pool, config)
    network = _network(pixels, head, config)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, config.max_steps)
    judge = _Judge(*pixels.read(held), head)
    every = max(1, config.max_steps // CHECKS)
    for step, chosen in enumerate(_draws(pool, config), start=1):
        _step(network, adam, pixels, head, chosen)
        rate.step()
        if step % every == 0 or step == config.max_steps:
            judge.look(network, step)
            report("training", step, config.max_steps, "steps")
    network.load_state_dict(judge.best)
    record = {"steps": config.max_steps, **judge.record(network)}
    return network.folded(mean, deviation), record


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


def _draws(pool: Tensor, config: LabelGeneratorConfig) -> Iterator[Tensor]:
    """For each step, B pixels for each member, drawn with replacement: int64 [M, B]."""
    streams = [philox(config.seed, "order", m) for m in range(config.members)]
    for _ in range(config.max_steps):
        drawn = np.stack([s.integers(len(pool), size=config.batch) for s in streams])
        yield pool[torch.from_numpy(drawn).to(pool.device)]


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

"""The course of an inversion: starts, then steps in batches, kept now and then, then a judgement.

All images have one common state, so who is searched beside whom may change at any step: when
images are finished, when memory runs out, when a run goes on where another one was killed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from models.configs import InversionConfig
from models.data.images import Pixels
from models.encoders.encoder import own_tensors
from models.inversion_batches import Batches, fitting
from models.inversion_starts import Starts
from models.inversion_targets import Wanted
from models.latent_search import Objective, Search, autocast, kept, stepped
from models.latent_spaces import Plain, Space, whitened
from models.noise_maps import length
from models.perceptual import Distance
from models.pixels import as_pixels
from models.progress import Report
from models.snapshots import Keeper, fingerprint
from models.stylegan2.networks import Generator

SNAPSHOT_EVERY = 25
"""Steps after which a search that is killed, or runs out of memory, goes on."""

_NAME = "inversion"
"""Of the snapshot."""
_DISTANCE_OF = "distance_of_"
_MADE_FOR = "made_for"
_SECONDS = "seconds"


@dataclass(frozen=True)
class Problem:
    """All that an inversion depends on but its starts.

    Attributes:
        generator, distance: on the device to compute on.
        images: float32 [N, 3, H, W] in [-1, 1], on any device.
        config: how.
        masks: bool [N, 1, H, W], where the images have content; None for everywhere.
    """

    generator: Generator
    distance: Distance
    images: Tensor
    config: InversionConfig
    masks: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.generator.w_avg.device

    def space(self) -> Space:
        """Where the search moves."""
        wanted = self.config.space == "whitened"
        return whitened(self.generator, self.config.seed) if wanted else Plain()

    def objective(self, some: Sequence[int]) -> Objective:
        """What is wanted of some images, in full precision."""
        images = self.images[list(some)].to(self.device)
        masks = None if self.masks is None else self.masks[list(some)].to(self.device)
        return Objective(self.generator, Wanted.of(images, self.distance, masks), self.config)

    def objective_of_steps(self, some: Sequence[int]) -> Objective:
        """The same in the precision of the steps."""
        with autocast(self.device, self.config):
            return self.objective(some)

    def fitting(self) -> int:
        """How many of the images there is memory for at once."""
        ws = self.generator.w_avg.repeat(1, self.generator.num_ws, 1).requires_grad_()

        def step() -> None:
            objective = self.objective_of_steps([0])
            with autocast(self.device, self.config):
                fidelity = objective.fidelity(objective.terms(ws))
            torch.autograd.grad(fidelity.sum(), ws)

        return min(fitting(step, self.device), len(self.images))

    def made_for(self, starts: Starts) -> Tensor:
        """A fingerprint of it and of what gives the starts: uint8 [32]."""
        words = [field.name for field in fields(Search)]
        words += [self.config.model_dump_json(), self.distance.name, self.distance.backbone]
        words += starts.tried
        tensors = [self.images, *self.generator.state_dict().values()]
        tensors += [] if self.masks is None else [self.masks]
        tensors += [] if starts.encoder is None else own_tensors(starts.encoder).values()
        return fingerprint(words, tensors)


@dataclass
class Run:
    """An inversion under way.

    Attributes:
        problem: what is to be found.
        batches: how many images at once.
        search: where the searches stand.
        start_distances: float32 [N] by the name of a way to a start, on the CPU.
        seconds: float64 [N] on the CPU, what each image's steps took: its share of its batches.
    """

    problem: Problem
    batches: Batches
    search: Search
    start_distances: dict[str, Tensor]
    seconds: Tensor

    @classmethod
    def begin(cls, problem: Problem, starts: Starts, batches: Batches) -> "Run":
        """A run with its starts."""

        @torch.no_grad()
        def found(some: Sequence[int]) -> tuple[Search, dict[str, Tensor]]:
            objective = problem.objective(some)
            codes = {name: starts.find(name, objective.wanted) for name in starts.tried}
            terms = {name: objective.terms(ws) for name, ws in codes.items()}
            fidelity = objective.fidelity(terms[starts.chosen])
            noise = length(problem.generator) if problem.config.noise_maps else 0
            search = Search.begin(codes[starts.chosen], fidelity, noise)
            return search, {name: of.distance.cpu() for name, of in terms.items()}

        parts = batches.each(len(problem.images), found)
        distances = {name: torch.cat([d[name] for _, d in parts]) for name in parts[0][1]}
        search = Search.joined([search for search, _ in parts])
        return cls(problem, batches, search, distances, torch.zeros(len(problem.images)).double())

    def go(self, keep: "Snapshots", report: Report) -> None:
        """Search on until all images are finished; reports phase `optimising`."""
        space = self.problem.space()
        while left := self.search.unfinished(self.problem.config):
            part = left[: self.batches.size]
            self.batches.fits(lambda some: self._go_on(some, space, keep, report), part)

    def _go_on(self, part: Sequence[int], space: Space, keep: "Snapshots", report: Report) -> None:
        """Search on for some images until one of them, or more, is finished."""
        config = self.problem.config
        began = time.perf_counter()
        objective = self.problem.objective_of_steps(part)
        some, steps = self.search.at(part), 0
        while len(some.unfinished(config)) == len(part):
            some, steps = stepped(objective, space, some), steps + 1
            if steps % SNAPSHOT_EVERY == 0:
                began = self._arrived(part, some, keep, began)
            self._tell(part, some, report)
        self._arrived(part, some, keep, began)

    def _arrived(self, part: Sequence[int], some: Search, keep: "Snapshots", began: float) -> float:
        """Take over where some searches stand, and keep it. Returns the time, in seconds."""
        self.search = self.search.put(part, some)
        some.fidelity.cpu()  # Waits for the device: only now are the steps done.
        now = time.perf_counter()
        self.seconds[list(part)] += (now - began) / len(part)
        keep.save(self)
        return now

    def _tell(self, part: Sequence[int], some: Search, report: Report) -> None:
        """How far the images are on average."""
        step = self.search.step.clone()
        step[list(part)] = some.step
        report("optimising", int(step.sum()) // len(step), self.problem.config.steps, "steps")

    def found(self) -> tuple[Tensor, "Judgement"]:
        """What was found, in full precision: codes [N, num_ws, w_dim] on the CPU, and its worth."""
        space = self.problem.space()

        def codes(some: Sequence[int]) -> Tensor:
            return kept(self.problem.objective(some), space, self.search.at(some))

        latents = torch.cat(self.batches.each(len(self.problem.images), codes))
        return latents.cpu(), judged(self.problem, latents, self.batches)


@dataclass(frozen=True)
class Judgement:
    """What the images of some codes are like. All on the CPU.

    Attributes:
        distance: float32 [N], to the wanted images.
        mse: float32 [N], to the wanted images, over what is content, in [0, 1].
        pixels: uint8 [N, H, W, 3], the images.
    """

    distance: Tensor
    mse: Tensor
    pixels: Pixels

    @property
    def psnr(self) -> Tensor:
        """float32 [N], dB: -10 log10 of the mean square error."""
        return -10 * self.mse.clamp(min=1e-12).log10()


@torch.no_grad()
def judged(problem: Problem, latents: Tensor, batches: Batches) -> Judgement:
    """What the images of codes float32 [N, num_ws, w_dim] are like."""
    size = (problem.images.shape[2], problem.images.shape[3])

    def one(some: Sequence[int]) -> Judgement:
        found = problem.objective(some).terms(latents[list(some)].to(problem.device))
        return Judgement(found.distance.cpu(), found.mse.cpu(), as_pixels(found.images, size))

    parts = batches.each(len(problem.images), one)
    distance, mse = (torch.cat([getattr(p, name) for p in parts]) for name in ("distance", "mse"))
    return Judgement(distance, mse, np.concatenate([part.pixels for part in parts]))


@dataclass(frozen=True)
class Snapshots:
    """Keeps a run, if there is a keeper, together with what it was made for.

    Attributes:
        keeper: where to.
        made_for: uint8 [32], of `Problem.made_for`.
    """

    keeper: Keeper | None
    made_for: Tensor | None

    @classmethod
    def of(cls, keeper: Keeper | None, problem: Problem, starts: Starts) -> "Snapshots":
        """Snapshots of runs of one problem. Without a keeper none are made or found."""
        return cls(keeper, None if keeper is None else problem.made_for(starts))

    def load(self, problem: Problem, batches: Batches) -> Run | None:
        """The run that was kept for the same problem and starts."""
        state = None if self.keeper is None else self.keeper.load(_NAME)
        if state is None or self.made_for is None or _MADE_FOR not in state:
            return None
        if not torch.equal(state[_MADE_FOR], self.made_for):
            return None
        names = [name for name in state if name.startswith(_DISTANCE_OF)]
        distances = {name.removeprefix(_DISTANCE_OF): state[name] for name in names}
        search = Search.of(state, problem.device)
        return Run(problem, batches, search, distances, state[_SECONDS])

    def save(self, run: Run) -> None:
        """Keep where a run stands."""
        if self.keeper is None or self.made_for is None:
            return
        state = {name: tensor.cpu() for name, tensor in run.search.tensors().items()}
        state |= {_DISTANCE_OF + name: d for name, d in run.start_distances.items()}
        self.keeper.save(_NAME, {**state, _SECONDS: run.seconds, _MADE_FOR: self.made_for})

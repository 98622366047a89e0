"""GAN inversion: latents in W+ whose images are the given ones (HandsOff, section 3.1).

For each image the best of many mapped samples is the start; Adam then lowers

    L(ws) = a * distance(G(ws), x) + b * MSE(G(ws), x) + c * MSE(ws, ws_start)

with images in [0, 1] for the second term and means in all of them. Noise stays at the
generator's constants. Losses are per image, so optimising images together or alone is the same.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.configs import InversionConfig
from models.errors import InvalidImage
from models.latents import mapped
from models.perceptual import Distance, pairwise
from models.progress import Report, silent
from models.seeding import philox
from models.stylegan2.networks import Generator

LARGEST = 512
"""Losses are computed at this many rows at most, as the authors do."""

RATIO_TOLERANCE = 0.02
"""How much a picture's height : width may differ from the generator's; it is then stretched."""

_PIXELS_AT_ONCE = 2**18
"""Pictures optimised together hold about this many pixels: 64 of 64 x 64, one of 512 x 512."""

_SAMPLES_AT_ONCE = 32


@dataclass(frozen=True)
class Inversion:
    """Latents of N images and how good they are.

    Attributes:
        latents: float32 [N, num_ws, w_dim], on the CPU.
        reconstructions: float32 [N, 3, H, W] in [-1, 1], on the CPU.
        distance_start, distance: float32 [N], of the starts and of the latents.
        mse: float32 [N], images in [0, 1].
        seconds: for all of it.
    """

    latents: Tensor
    reconstructions: Tensor
    distance_start: Tensor
    distance: Tensor
    mse: Tensor
    seconds: float

    @property
    def psnr(self) -> Tensor:
        """float32 [N], dB: -10 log10 of the mean square error."""
        return -10 * self.mse.clamp(min=1e-12).log10()


def invert(
    generator: Generator,
    images: Tensor,
    distance: Distance,
    config: InversionConfig,
    report: Report,
) -> Inversion:
    """Latents for `images`.

    Args:
        generator: on the device to compute on.
        images: float32 [N, 3, H, W] in [-1, 1], of the generator's image shape.
        distance: on the same device.
        config: how.
        report: told phases `searching` (samples) and `optimising` (steps).

    Raises:
        ValueError: the images' shape is not the generator's.
    """
    if images.ndim != 4 or images.shape[1:] != generator.image_shape or not len(images):
        wanted = list(generator.image_shape)
        raise ValueError(f"images must be [N, {wanted}], N > 0, got {list(images.shape)}")
    began = time.perf_counter()
    device = generator.w_avg.device
    chunk = max(1, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
    chunks = [part.to(device) for part in torch.split(images, chunk)]
    targets = [distance.targets(at_loss_size(part)) for part in chunks]
    starts = best_starts(generator, torch.cat(targets), distance, config, report)
    found = []
    for index, (part, target, start) in enumerate(
        zip(chunks, targets, torch.split(starts, chunk), strict=True)
    ):
        problem = _Problem(generator, part, target, start, distance, config)
        before, total = index * config.steps, len(chunks) * config.steps
        tell = partial(_tell, report, before, total)
        found.append(_optimise(problem, tell))
    return _joined(found, began)


def _tell(report: Report, before: int, total: int, step: int) -> None:
    report("optimising", before + step, total, "steps")


def measured(
    generator: Generator, images: Tensor, latents: Tensor, distance: Distance
) -> Inversion:
    """Latents that were found elsewhere, and how good they are; arguments as in `invert`."""
    began = time.perf_counter()
    device = generator.w_avg.device
    found = []
    for part, ws in zip(torch.split(images, 1), torch.split(latents, 1), strict=True):
        target = distance.targets(at_loss_size(part.to(device)))
        problem = _Problem(
            generator, part.to(device), target, ws.to(device), distance, InversionConfig(steps=0)
        )
        found.append(_optimise(problem, partial(_tell, silent, 0, 0)))
    return _joined(found, began)


def prepared(images: Sequence[np.ndarray], names: Sequence[str], size: tuple[int, int]) -> Tensor:
    """Pictures as the targets of an inversion.

    Args:
        images: uint8 [h, w, 3], of any size but of the generator's shape.
        names: what errors call them.
        size: (H, W) of the generator's images.

    Returns:
        float32 [N, 3, H, W] in [-1, 1].

    Raises:
        InvalidImage: a picture's sides have another ratio than the generator's.
    """
    return torch.stack(
        [_prepared(image, name, size) for image, name in zip(images, names, strict=True)]
    )


def _prepared(image: np.ndarray, name: str, size: tuple[int, int]) -> Tensor:
    height, width = image.shape[:2]
    if abs(height * size[1] / (width * size[0]) - 1) > RATIO_TOLERANCE:
        raise InvalidImage(
            name,
            f"has {height} x {width} pixels (height x width), but the generator draws "
            f"{size[0]} x {size[1]}; crop or pad it to that shape, framed like its images",
        )
    picture = Image.fromarray(image)
    if (height, width) != size:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def best_starts(
    generator: Generator,
    targets: Tensor,
    distance: Distance,
    config: InversionConfig,
    report: Report,
) -> Tensor:
    """For each embedded target [T, D], the nearest of `config.starts` mapped samples.

    Returns:
        float32 [T, num_ws, w_dim].
    """
    nearest = targets.new_full((len(targets),), math.inf)
    best = generator.w_avg.expand(len(targets), generator.num_ws, -1)
    done = 0
    for streams in _batches(config):
        with torch.no_grad():
            ws = mapped(generator, streams)
            images = at_loss_size(generator.synthesize(ws))
            lowest, which = pairwise(distance, images, targets).min(dim=0)  # [T] each
        closer = lowest < nearest
        best = torch.where(closer[:, None, None], ws[which], best)
        nearest = torch.minimum(nearest, lowest)
        done += len(streams)
        report("searching", done, config.starts, "samples")
    return best


def learning_rate(step: int, steps: int, plateau: float) -> float:
    """The authors' schedule at t = step / steps: warm-up over 5 %, cosine to 0 over the last 25 %.

    plateau * min(1, t / 0.05) * (0.5 - 0.5 cos(pi min(1, (1 - t) / 0.25)))
    """
    t = step / steps
    return plateau * min(1, t / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / 0.25)))


def at_loss_size(images: Tensor) -> Tensor:
    """[N, 3, H, W] reduced, if need be, to `LARGEST` rows (bilinear: from 1024 a 2 x 2 mean)."""
    height, width = images.shape[2:]
    if height <= LARGEST:
        return images
    size = (LARGEST, round(width * LARGEST / height))
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class _Terms:
    """The parts of the loss, float32 [N] each, and the images they belong to."""

    distance: Tensor
    mse: Tensor
    latent: Tensor
    images: Tensor


@dataclass(frozen=True)
class _Problem:
    """Images [N, 3, H, W] to find latents for, from `start` on."""

    generator: Generator
    images: Tensor
    target: Tensor
    start: Tensor
    distance: Distance
    config: InversionConfig

    def terms(self, ws: Tensor) -> _Terms:
        """The loss terms at ws [N, num_ws, w_dim]."""
        images = self.generator.synthesize(ws)
        drawn, wanted = at_loss_size(images), at_loss_size(self.images)
        return _Terms(
            distance=self.distance(drawn, self.target),
            mse=((drawn - wanted) / 2).square().mean(dim=(1, 2, 3)),
            latent=(ws - self.start).square().mean(dim=(1, 2)),
            images=images,
        )

    def fidelity(self, terms: _Terms) -> Tensor:
        """What decides which iterate is best: the loss without the latent term, [N]."""
        return self.config.distance_weight * terms.distance + self.config.mse_weight * terms.mse


def _optimise(problem: _Problem, tell: Callable[[int], None]) -> Inversion:
    """Adam on one chunk; every N-long result stays on the device until the end."""
    config = problem.config
    ws = problem.start.clone().requires_grad_(True)
    adam = torch.optim.Adam([ws])
    best, lowest = problem.start, problem.start.new_full((len(ws),), math.inf)
    for step in range(1, config.steps):
        terms = problem.terms(ws)
        fidelity = problem.fidelity(terms)
        # torch.where makes a new tensor: what is kept cannot move with the optimiser's.
        best = torch.where((fidelity < lowest)[:, None, None], ws.detach(), best)
        lowest = torch.minimum(lowest, fidelity.detach())
        loss = (fidelity + config.latent_weight * terms.latent).sum()
        adam.param_groups[0]["lr"] = learning_rate(step, config.steps, config.learning_rate)
        (ws.grad,) = torch.autograd.grad(loss, ws)
        adam.step()
        tell(step)
    return _result(problem, best, lowest, ws.detach())


@torch.no_grad()
def _result(problem: _Problem, best: Tensor, lowest: Tensor, last: Tensor) -> Inversion:
    """The result: the last iterate, or the best one where that is better and wanted."""
    terms = problem.terms(last)
    if problem.config.mode == "default":
        last = torch.where((problem.fidelity(terms) <= lowest)[:, None, None], last, best)
        terms = problem.terms(last)
    return Inversion(
        latents=last.cpu(),
        reconstructions=terms.images.clamp(-1, 1).cpu(),
        distance_start=problem.terms(problem.start).distance.cpu(),
        distance=terms.distance.cpu(),
        mse=terms.mse.cpu(),
        seconds=0.0,
    )


def _joined(parts: list[Inversion], began: float) -> Inversion:
    return Inversion(
        latents=torch.cat([p.latents for p in parts]),
        reconstructions=torch.cat([p.reconstructions for p in parts]),
        distance_start=torch.cat([p.distance_start for p in parts]),
        distance=torch.cat([p.distance for p in parts]),
        mse=torch.cat([p.mse for p in parts]),
        seconds=time.perf_counter() - began,
    )


def _batches(config: InversionConfig) -> Iterator[list[np.random.Generator]]:
    """The streams of samples 0, 1, … `config.starts` - 1, some at a time."""
    for first in range(0, config.starts, _SAMPLES_AT_ONCE):
        stop = min(first + _SAMPLES_AT_ONCE, config.starts)
        yield [philox(config.seed, "start", index) for index in range(first, stop)]

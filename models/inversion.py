"""GAN inversion: latents in W+ whose images are the given ones (HandsOff, section 3.1).

From a start of each image (`models.inversion_starts`) `models.latent_search` goes on. Noise stays
at the generator's constants. Losses are per image, so optimising images together or alone is the
same; as many are optimised together as there is memory for.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.configs import InversionConfig
from models.encoders.encoder import Encoder
from models.errors import InvalidImage
from models.inversion_batches import Batches
from models.inversion_run import Judgement, Problem, Run, Snapshots, judged
from models.inversion_starts import Starts
from models.inversion_targets import checked_masks, filled
from models.perceptual import Distance
from models.progress import Report
from models.snapshots import Keeper
from models.stylegan2.networks import Generator

RATIO_TOLERANCE = 0.02
"""How much a picture's height : width may differ from the generator's; it is then stretched."""


@dataclass(frozen=True)
class Inversion:
    """Latents of N images and how good they are.

    Attributes:
        latents: float32 [N, num_ws, w_dim], on the CPU.
        before: the starts; the latents themselves, if they were not searched for.
        after: the latents.
        iterations: int64 [N], steps taken.
        image_seconds: float64 [N], each image's share of the time of its steps, also of those
            that an earlier attempt took.
        seconds: for all of it, in this attempt.
        config: how they were found, with nothing left open; None if they were not searched for.
        start_distances: float32 [N] by the name of each way to a start that was tried.
        notes: what the user should know about how they were found.
    """

    latents: Tensor
    before: Judgement
    after: Judgement
    iterations: Tensor
    image_seconds: Tensor
    seconds: float
    config: InversionConfig | None = None
    start_distances: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def invert(
    generator: Generator,
    images: Tensor,
    distance: Distance,
    config: InversionConfig,
    report: Report,
    encoder: Encoder | None = None,
    *,
    masks: Tensor | None = None,
    keeper: Keeper | None = None,
) -> Inversion:
    """Latents for `images`.

    Args:
        generator: on the device to compute on.
        images: float32 [N, 3, H, W] in [-1, 1], of the generator's image shape.
        distance: on the same device.
        config: how.
        report: told phases `searching` (samples, where a start needs them) and `optimising`
            (steps, on average over the images).
        encoder: on the same device; `config.start` says whether its guesses are the starts.
        masks: bool or float [N, H, W], True or above 0.5 where the images have content; nothing
            else of them counts. None for everywhere.
        keeper: where the search is kept; one of the same things that was killed goes on from there.

    Raises:
        ValueError: the images' or masks' shape is not the generator's, a mask is empty, the
            encoder's codes do not fit, or the wanted start needs an encoder.
    """
    if images.ndim != 4 or images.shape[1:] != generator.image_shape or not len(images):
        wanted = list(generator.image_shape)
        raise ValueError(f"images must be [N, {wanted}], N > 0, got {list(images.shape)}")
    began = time.perf_counter()
    if masks is not None:
        masks = checked_masks(masks, images)
        images = filled(generator, images, masks)
    starts = Starts(generator, distance, config, report, encoder)
    config = config.from_start(starts.chosen)
    problem = Problem(generator, distance, images, config, masks)
    batches = Batches(problem.fitting())
    snapshots = Snapshots.of(keeper, problem, starts)
    run = snapshots.load(problem, batches) or Run.begin(problem, starts, batches)
    run.go(snapshots, report)
    latents, after = run.found()
    return Inversion(
        latents=latents,
        before=judged(problem, run.search.start, batches),
        after=after,
        iterations=run.search.taken,
        image_seconds=run.seconds,
        seconds=time.perf_counter() - began,
        config=config,
        start_distances=run.start_distances,
        notes=(*batches.notes, *_said(problem)),
    )


def _said(problem: Problem) -> list[str]:
    """What was asked for and not done."""
    if problem.config.precision == "mixed" and problem.device.type != "cuda":
        return ["mixed precision needs CUDA: computed in float32"]
    return []


def measured(
    generator: Generator, images: Tensor, latents: Tensor, distance: Distance
) -> Inversion:
    """Latents that were found elsewhere, and how good they are; arguments as in `invert`."""
    began = time.perf_counter()
    problem = Problem(generator, distance, images, InversionConfig())
    batches = Batches(1)
    found = judged(problem, latents, batches)
    return Inversion(
        latents=latents.cpu(),
        before=found,
        after=found,
        iterations=torch.zeros(len(images), dtype=torch.int64),
        image_seconds=torch.zeros(len(images), dtype=torch.float64),
        seconds=time.perf_counter() - began,
    )


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

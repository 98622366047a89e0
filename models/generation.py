"""Endless labelled images: which latents a shard draws, which of them it keeps, and its bytes.

Candidate k of shard s takes its latent from `philox(seed, s, k)`. It is always computed as slot
k mod B of batch k div B, for floating point repeats only for equal batches. Candidates whose
score is above the threshold are dropped, and drawing goes on until the shard is full: exactly
the wanted number, each shard independent of all others (HandsOff 3.3 drops after the fact).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from models.class_mix import Shares, shares_of
from models.data.images import ImageFormat, encode_image, encode_png
from models.data.manifest import SampleInfo
from models.data.shards import ShardSample, sample_bytes
from models.data.summary import pixel_shares
from models.errors import UncertaintyRuleTooStrict
from models.label_generator import LabelGenerator
from models.latents import drawn_codes
from models.progress import Report
from models.seeding import philox
from models.stylegan2.networks import Generator

MOST_CANDIDATES = 20
"""A shard may need this many candidates per sample before it gives up."""
FEWEST_CANDIDATES = 1000
"""But no shard gives up before it has tried as many: a small one may just be unlucky."""

_PIXELS_AT_ONCE = {"cpu": 2**16, "cuda": 2**22}
_ENCODED_TO_MEASURE = 64


class Plan(BaseModel):
    """Everything that decides the bytes of a generation's shards, beside the two networks.

    Attributes:
        count: samples in all.
        shard_size: samples a shard; the last may hold fewer.
        batch: candidates computed together.
        threads: of PyTorch on a CPU.
        device: its kind, `cpu` or `cuda`.
        precision: what is computed in.
        psi: truncation; 1 is none.
        seed: of all latents.
        threshold: candidates with a higher score are dropped; None keeps all.
        class_shares: how often each class of a conditional generator is drawn; empty for all
            equally often, and where there are none.
        image_format: of the images.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    count: int
    shard_size: int
    batch: int
    threads: int
    device: str
    precision: str = "float32"
    psi: float
    seed: int
    threshold: float | None
    class_shares: Shares = ()
    image_format: ImageFormat = "png"

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.count // self.shard_size)

    def samples_of(self, shard: int) -> int:
        """How many samples a shard holds."""
        return min(self.shard_size, self.count - shard * self.shard_size)


@dataclass(frozen=True)
class Drawn:
    """N labelled images, on the CPU.

    Attributes:
        images: uint8 [N, H, W, 3].
        masks: uint8 [N, H, W].
        uncertainty: float32 [N, H, W].
        scores: float32 [N].
        classes: of the generator, one per image; None where it knows none.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    uncertainty: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Calibration:
    """How a label generator's scores are distributed, and what a sample costs.

    Attributes:
        psi: the truncation it holds for.
        class_shares: the mix of a conditional generator's classes that it holds for; else empty.
        samples: how many images were drawn.
        quantiles: 101 of them: the score at share i / 100.
        images_per_second: synthesis, labels and encoding together.
        bytes_per_sample: in a shard, with PNG images.
    """

    psi: float
    class_shares: Shares
    samples: int
    quantiles: list[float]
    images_per_second: float
    bytes_per_sample: float


def threshold(quantiles: Sequence[float], drop: float) -> float | None:
    """The score above which the share `drop` in [0, 1) of all images lies; None for 0.

    Args:
        quantiles: of the scores, at equal steps from share 0 to share 1.
        drop: the share that is too uncertain.
    """
    if drop == 0:
        return None
    return float(np.interp(1 - drop, np.linspace(0, 1, len(quantiles)), quantiles))


def batch_size(device: torch.device, image_size: Sequence[int]) -> int:
    """How many images (H, W) are computed together: as many as fit the cache or the GPU."""
    return max(1, min(64, _PIXELS_AT_ONCE[device.type] // (image_size[0] * image_size[1])))


@torch.no_grad()
def draw(
    generator: Generator,
    label_generator: LabelGenerator,
    streams: Sequence[np.random.Generator],
    psi: float,
    shares: Shares = (),
) -> Drawn:
    """One labelled image per random stream, all computed as one batch; see `drawn_codes`."""
    codes = drawn_codes(generator, streams, psi, shares)
    return replace(render(generator, label_generator, codes.ws), classes=codes.classes)


@torch.no_grad()
def render(generator: Generator, label_generator: LabelGenerator, ws: Tensor) -> Drawn:
    """Images of style codes ws [N, num_ws, w_dim], with labels, at the labels' size."""
    images, features = generator.synthesize_with_features(ws)
    labels = label_generator.predict(features)
    return Drawn(
        images=as_pixels(images, label_generator.size),
        masks=labels.masks.cpu().numpy(),
        uncertainty=labels.uncertainty.cpu().numpy(),
        scores=labels.scores.cpu().numpy(),
    )


def as_pixels(images: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """float32 [N, 3, h, w] in [-1, 1] -> uint8 [N, H, W, 3]: v * 127.5 + 128, cut off, clipped."""
    if tuple(images.shape[2:]) != size:
        images = F.interpolate(images, size, mode="bilinear", align_corners=False)
    scaled = (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def calibrate(
    generator: Generator,
    label_generator: LabelGenerator,
    psi: float,
    samples: int,
    seed: int,
    report: Report,
    shares: Shares = (),
) -> Calibration:
    """Draw `samples` images (rounded up to whole batches) and look at their scores.

    Classes are drawn by their `shares`, all equally often where none are given.
    """
    shares = shares or shares_of(None, generator.label_dim)
    batch = batch_size(generator.w_avg.device, generator.image_shape[1:])
    scores: list[float] = []
    sizes: list[int] = []
    drawing = encoding = 0.0
    while len(scores) < samples:
        streams = [philox(seed, "calibration", len(scores) + i) for i in range(batch)]
        began = time.perf_counter()
        drawn = draw(generator, label_generator, streams, psi, shares)
        drawing += time.perf_counter() - began
        if len(sizes) < _ENCODED_TO_MEASURE:
            began = time.perf_counter()
            sizes += _encoded_sizes(drawn, label_generator, psi)
            encoding += time.perf_counter() - began
        scores += drawn.scores.tolist()
        report("calibrating", len(scores), samples, "images")
    return Calibration(
        psi=psi,
        class_shares=shares,
        samples=len(scores),
        quantiles=np.quantile(np.array(scores, dtype=np.float64), np.linspace(0, 1, 101)).tolist(),
        images_per_second=1 / (drawing / len(scores) + encoding / len(sizes)),
        bytes_per_sample=sum(sizes) / len(sizes),
    )


def _encoded_sizes(drawn: Drawn, label_generator: LabelGenerator, psi: float) -> list[int]:
    """Bytes that each of some images would take in a shard."""
    trial = Plan(
        count=1, shard_size=1, batch=1, threads=1, device="cpu", psi=psi, seed=0, threshold=None
    )
    pairs = (_sample(trial, label_generator, 0, i, i, drawn, i) for i in range(len(drawn.scores)))
    return [len(sample_bytes(sample)) for sample, _ in pairs]


def fill_shard(
    generator: Generator,
    label_generator: LabelGenerator,
    plan: Plan,
    shard: int,
    report: Report,
) -> Iterator[tuple[ShardSample, SampleInfo]]:
    """The samples of a shard, one by one, in order.

    How many candidates were drawn is the last sample's `candidate` + 1.

    Raises:
        UncertaintyRuleTooStrict: the shard is not full after `MOST_CANDIDATES` times its size.
    """
    wanted = plan.samples_of(shard)
    most = max(FEWEST_CANDIDATES, MOST_CANDIDATES * wanted)
    slot = 0
    for first in range(0, most, plan.batch):
        streams = [philox(plan.seed, shard, first + i) for i in range(plan.batch)]
        drawn = draw(generator, label_generator, streams, plan.psi, plan.class_shares)
        for place, score in enumerate(drawn.scores.tolist()):
            if plan.threshold is not None and score > plan.threshold:
                continue
            index = shard * plan.shard_size + slot
            yield _sample(plan, label_generator, shard, index, first + place, drawn, place)
            slot += 1
            if slot == wanted:
                return
        report("drawing", slot, wanted, "samples")
    raise UncertaintyRuleTooStrict(
        f"shard {shard} found {slot} of {wanted} samples among {most} "
        f"candidates with a score of at most {plan.threshold}: drop a smaller share, "
        "or use the truncation psi that the label generator was calibrated for"
    )


def _sample(
    plan: Plan,
    label_generator: LabelGenerator,
    shard: int,
    index: int,
    candidate: int,
    drawn: Drawn,
    place: int,
) -> tuple[ShardSample, SampleInfo]:
    """One drawn image as a shard keeps it."""
    image, mask = drawn.images[place], drawn.masks[place]
    info = SampleInfo(
        index=index,
        seed=plan.seed,
        shard=shard,
        candidate=candidate,
        score=float(drawn.scores[place]),
        psi=plan.psi,
        label=None if drawn.classes is None else drawn.classes[place],
        height=mask.shape[0],
        width=mask.shape[1],
        class_pixel_share=pixel_shares(mask, label_generator.spec),
    )
    members = {
        plan.image_format: encode_image(image, plan.image_format),
        "mask.png": encode_png(mask),
        "json": info.to_json(),
    }
    return ShardSample(f"{index:09d}", members), info

"""Endless labelled images: which latents a shard draws, which of them it keeps, and its bytes.

Candidate k of shard s takes its latent from `philox(seed, s, k)`. It is always computed as slot
k mod B of batch k div B, for floating point repeats only for equal batches. Candidates whose
score is above the threshold are dropped, and drawing goes on until the shard is full: exactly
the wanted number, each shard independent of all others (HandsOff 3.3 drops after the fact).

Several label generators of one generator, each of another kind, label the same images; a
candidate must pass the threshold of each.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from models.class_mix import Shares, shares_of
from models.data.images import ImageFormat, encode_image
from models.data.kinds import kind_of
from models.data.manifest import SampleInfo
from models.data.shards import ShardSample, sample_bytes
from models.errors import UncertaintyRuleTooStrict
from models.label_generator import LabelGenerator, Labels
from models.latents import drawn_codes
from models.pixels import as_pixels
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
    """Everything that decides the bytes of a generation's shards, beside the networks.

    Attributes:
        count: samples in all.
        shard_size: samples a shard; the last may hold fewer.
        batch: candidates computed together.
        threads: of PyTorch on a CPU.
        device: its kind, `cpu` or `cuda`.
        precision: what is computed in.
        psi: truncation; 1 is none.
        seed: of all latents.
        thresholds: by kind of label; candidates with a higher score of that kind are dropped. A
            kind without one keeps all.
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
    thresholds: dict[str, float] = {}
    class_shares: Shares = ()
    image_format: ImageFormat = "png"

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, given: Any) -> Any:
        """Plans of the time when all labels were masks have one threshold, which may be None."""
        if not isinstance(given, dict) or "threshold" not in given:
            return given
        only = given["threshold"]
        return {**given, "thresholds": {} if only is None else {"segmentation": only}}

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
        labels: of each label generator.
        classes: of the generator, one per image; None where it knows none.
    """

    images: NDArray[np.uint8]
    labels: tuple[Labels, ...]
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Calibration:
    """How a label generator's scores are distributed, and what a sample costs.

    Attributes:
        psi: the truncation it holds for.
        class_shares: the mix of a conditional generator's classes that it holds for; else empty.
        samples: how many images were drawn.
        quantiles: 101 of them: the score at share i / 100.
        images_per_second: synthesis, labels of all kinds and encoding together.
        bytes_per_sample: in a shard, with PNG images and labels of all kinds.
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
    label_generators: Sequence[LabelGenerator],
    streams: Sequence[np.random.Generator],
    psi: float,
    shares: Shares = (),
) -> Drawn:
    """One labelled image per random stream, all computed as one batch; see `drawn_codes`."""
    codes = drawn_codes(generator, streams, psi, shares)
    return replace(render(generator, label_generators, codes.ws), classes=codes.classes)


@torch.no_grad()
def render(generator: Generator, label_generators: Sequence[LabelGenerator], ws: Tensor) -> Drawn:
    """Images of style codes ws [N, num_ws, w_dim], with labels, at the labels' size.

    Raises:
        ValueError: label generators of one kind twice, or of labels of different sizes.
    """
    size = _size_of(label_generators)
    images, features = generator.synthesize_with_features(ws)
    labels = tuple(some.predict(features).cpu() for some in label_generators)
    return Drawn(as_pixels(images, size), labels)


def _size_of(label_generators: Sequence[LabelGenerator]) -> tuple[int, int]:
    """(H, W) of the labels of all label generators, which must go together."""
    kinds = [some.spec.kind for some in label_generators]
    if len(set(kinds)) != len(kinds) or not kinds:
        raise ValueError(f"one label generator of each kind is needed, got {', '.join(kinds)}")
    sizes = {some.size for some in label_generators}
    if len(sizes) > 1:
        raise ValueError(f"label generators of one generator have one size, got {sorted(sizes)}")
    return sizes.pop()


def calibrate(
    generator: Generator,
    label_generators: Sequence[LabelGenerator],
    psi: float,
    samples: int,
    seed: int,
    report: Report,
    shares: Shares = (),
) -> tuple[Calibration, ...]:
    """Draw `samples` images (rounded up to whole batches) and look at their scores.

    Classes are drawn by their `shares`, all equally often where none are given.

    Returns:
        one for each label generator.
    """
    shares = shares or shares_of(None, generator.label_dim)
    batch = batch_size(generator.w_avg.device, generator.image_shape[1:])
    scores: list[Tensor] = []
    sizes: list[int] = []
    drawing = encoding = 0.0
    done = 0
    while done < samples:
        streams = [philox(seed, "calibration", done + i) for i in range(batch)]
        began = time.perf_counter()
        drawn = draw(generator, label_generators, streams, psi, shares)
        drawing += time.perf_counter() - began
        if len(sizes) < _ENCODED_TO_MEASURE:
            began = time.perf_counter()
            sizes += _encoded_sizes(drawn, label_generators, psi)
            encoding += time.perf_counter() - began
        scores.append(torch.stack([labels.scores for labels in drawn.labels]))
        done += batch
        report("calibrating", done, samples, "images")
    rate = 1 / (drawing / done + encoding / len(sizes))
    cost = sum(sizes) / len(sizes)
    of_each = torch.cat(scores, dim=1).numpy()  # [label generators, images]
    return tuple(Calibration(psi, shares, done, _quantiles(s), rate, cost) for s in of_each)


def _quantiles(scores: NDArray[np.float32]) -> list[float]:
    """101 of them, at equal steps from share 0 to share 1."""
    found: list[float] = np.quantile(scores.astype(np.float64), np.linspace(0, 1, 101)).tolist()
    return found


def _encoded_sizes(
    drawn: Drawn, label_generators: Sequence[LabelGenerator], psi: float
) -> list[int]:
    """Bytes that each of some images would take in a shard."""
    trial = Plan(count=1, shard_size=1, batch=1, threads=1, device="cpu", psi=psi, seed=0)
    pairs = (
        _sample(trial, label_generators, _Place(0, i, i, i), drawn)
        for i in range(len(drawn.images))
    )
    return [len(sample_bytes(sample)) for sample, _ in pairs]


@dataclass(frozen=True)
class _Place:
    """Where an image is: its shard, its number in the generation and in what was drawn."""

    shard: int
    index: int
    candidate: int
    in_batch: int


def fill_shard(
    generator: Generator,
    label_generators: Sequence[LabelGenerator],
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
        drawn = draw(generator, label_generators, streams, plan.psi, plan.class_shares)
        for i in _certain_enough(plan, label_generators, drawn):
            place = _Place(shard, shard * plan.shard_size + slot, first + i, i)
            yield _sample(plan, label_generators, place, drawn)
            slot += 1
            if slot == wanted:
                return
        report("drawing", slot, wanted, "samples")
    raise UncertaintyRuleTooStrict(
        f"shard {shard} found {slot} of {wanted} samples among {most} "
        f"candidates with a score of at most {_limits(plan)}: drop a smaller share, "
        "or use the truncation psi that the label generator was calibrated for"
    )


def _certain_enough(
    plan: Plan, label_generators: Sequence[LabelGenerator], drawn: Drawn
) -> list[int]:
    """Which of the drawn images pass every threshold."""
    kept = torch.ones(len(drawn.images), dtype=torch.bool)
    for some, labels in zip(label_generators, drawn.labels, strict=True):
        limit = plan.thresholds.get(some.spec.kind, np.inf)
        kept &= labels.scores.double() <= limit
    found: list[int] = kept.nonzero().flatten().tolist()
    return found


def _limits(plan: Plan) -> str:
    """The thresholds, for a message."""
    if len(plan.thresholds) == 1:
        return str(*plan.thresholds.values())
    return " and ".join(f"{limit} ({kind})" for kind, limit in plan.thresholds.items())


def _sample(
    plan: Plan, label_generators: Sequence[LabelGenerator], place: _Place, drawn: Drawn
) -> tuple[ShardSample, SampleInfo]:
    """One drawn image as a shard keeps it."""
    image, i = drawn.images[place.in_batch], place.in_batch
    members: dict[str, bytes] = {plan.image_format: encode_image(image, plan.image_format)}
    figures: dict[str, dict[str, float]] = {}
    scores = {
        some.spec.kind: float(labels.scores[i])
        for some, labels in zip(label_generators, drawn.labels, strict=True)
    }
    for some, labels in zip(label_generators, drawn.labels, strict=True):
        kind, label = kind_of(some.spec), labels.values[i].numpy()
        figures[kind.figure] = kind.figures(label)
        members[kind.member] = kind.encode(label)
    info = SampleInfo.model_validate(
        {
            "index": place.index,
            "seed": plan.seed,
            "shard": place.shard,
            "candidate": place.candidate,
            "score": next(iter(scores.values())),
            "scores": scores if len(scores) > 1 else None,
            "psi": plan.psi,
            "label": None if drawn.classes is None else drawn.classes[i],
            "height": image.shape[0],
            "width": image.shape[1],
            **figures,
        }
    )
    return ShardSample(f"{place.index:09d}", members | {"json": info.to_json()}), info

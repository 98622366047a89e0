"""How a label generator's scores are distributed, and what a sample costs: measured, once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.class_mix import Shares, shares_of
from models.data.sample_encoding import ENCODERS, Place, encode_sample
from models.data.shards import sample_bytes
from models.drawing import Drawn, batch_size, draw
from models.label_generator import LabelGenerator
from models.progress import Report
from models.seeding import philox
from models.stylegan2.networks import Generator

_ENCODED_TO_MEASURE = 64


@dataclass(frozen=True)
class Calibration:
    """How a label generator's scores are distributed, and what a sample costs.

    Attributes:
        psi: the truncation it holds for.
        class_shares: the mix of a conditional generator's classes that it holds for; else empty.
        samples: how many images were drawn.
        quantiles: 101 of them: the score at share i / 100.
        images_per_second: synthesis and labels of all kinds, and encoding beside them.
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
    device = generator.w_avg.device
    batch = batch_size(device, generator.image_shape[1:])
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
    rate = 1 / max(drawing / done, encoding / len(sizes) / ENCODERS[device.type])
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
    specs = [some.spec for some in label_generators]
    pictures = (
        drawn.one(i, specs, Place(index=i, seed=0, shard=0, candidate=i, psi=psi))
        for i in range(len(drawn.images))
    )
    return [len(sample_bytes(encode_sample(one, specs, "png")[0])) for one in pictures]

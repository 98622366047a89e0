"""Where an inversion starts: a linear encoder fitted on the generator's own samples.

The authors start from a trained ReStyle encoder, which exists for few generators. Any generator
can draw samples whose w is known; ridge regression from their features to w, in closed form, is an
encoder for it, made in seconds:

    w(x) = w_mean + k(x) (K + I)^-1 (W - w_mean),   K_ij = f_i . f_j / S

with f the standardised features (S of them) of sample i. As in ReStyle the guess is refined by
what is still missing: w <- w + A (f(x) - f(G(w))), A the same linear map. Of these guesses and
the sample with the nearest features, the best by the distance is the start. Before there were
encoders, a search began with the best of the samples themselves.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.inversion_targets import Wanted
from models.latents import mapped
from models.perceptual import Distance
from models.progress import Report
from models.seeding import philox
from models.stylegan2.networks import Generator

RIDGE = 1.0
REFINEMENTS = 2
SHORTLIST = 32
"""Samples whose images are compared with each wanted one."""
_PIXELS_AT_ONCE = 2**17
_SMALLEST_DEVIATION = 1e-3


@dataclass(frozen=True)
class LinearEncoder:
    """Features -> w, fitted on n samples.

    Attributes:
        mean: float32 [S], of the samples' features.
        deviation: float32 [S], of the samples' features.
        samples: float32 [n, S], their standardised features.
        w: float32 [n, w_dim].
        dual: float32 [n, w_dim], (K + I)^-1 (W - w_mean).
    """

    mean: Tensor
    deviation: Tensor
    samples: Tensor
    w: Tensor
    dual: Tensor

    @classmethod
    def fit(cls, features: Tensor, w: Tensor) -> "LinearEncoder":
        """The encoder of samples with `features` float32 [n, S] and codes `w` [n, w_dim]."""
        deviation, mean = torch.std_mean(features, dim=0, correction=0)
        deviation = deviation + _SMALLEST_DEVIATION
        samples = (features - mean) / deviation
        kernel = samples @ samples.T / samples.shape[1]  # [n, n]
        ridge = RIDGE * torch.eye(len(samples), device=samples.device)
        dual = torch.linalg.solve(kernel + ridge, w - w.mean(dim=0))
        return cls(mean, deviation, samples, w, dual)

    def standardised(self, features: Tensor) -> Tensor:
        """Features [N, S] as the encoder compares them."""
        return (features - self.mean) / self.deviation

    def step(self, standardised: Tensor) -> Tensor:
        """The linear map alone: [N, S] -> [N, w_dim]."""
        return standardised @ self.samples.T / self.samples.shape[1] @ self.dual

    def guess(self, standardised: Tensor) -> Tensor:
        """w float32 [N, w_dim] of pictures with these features [N, S]."""
        return self.w.mean(dim=0) + self.step(standardised)

    def nearest(self, standardised: Tensor) -> Tensor:
        """w float32 [N, w_dim] of the samples with the nearest features."""
        return self.listed(standardised, 1)[:, 0]

    def listed(self, standardised: Tensor, most: int) -> Tensor:
        """w float32 [N, n, w_dim] of the n = `most` samples (or all) with the nearest features."""
        far = torch.cdist(standardised, self.samples)
        return self.w[far.topk(min(most, len(self.w)), largest=False).indices]


@torch.no_grad()
def fit_encoder(
    generator: Generator, distance: Distance, samples: int, seed: int, report: Report
) -> LinearEncoder:
    """An encoder fitted on samples 0 .. `samples` - 1 of `seed`; reports phase `searching`."""
    features, codes = [], []
    together = max(1, _PIXELS_AT_ONCE // math.prod(generator.image_shape[1:]))
    for streams in _batches(samples, together, seed):
        ws = mapped(generator, streams)
        features.append(distance.summary(generator.synthesize(ws)))
        codes.append(ws[:, 0])
        report("searching", sum(map(len, codes)), samples, "samples")
    return LinearEncoder.fit(torch.cat(features), torch.cat(codes))


@torch.no_grad()
def best_starts(generator: Generator, encoder: LinearEncoder, wanted: Wanted) -> Tensor:
    """For each wanted image the best code we know without a search.

    Returns:
        float32 [N, num_ws, w_dim], the same w for every layer.
    """
    aim = encoder.standardised(wanted.distance.summary(wanted.images))
    best = encoder.nearest(aim)
    lowest = wanted.distance_to(_drawn(generator, best))
    w = encoder.guess(aim)
    for _ in range(1 + REFINEMENTS):
        drawn = _drawn(generator, w)
        found = wanted.distance_to(drawn)
        best = torch.where((found < lowest)[:, None], w, best)
        lowest = torch.minimum(found, lowest)
        w = w + encoder.step(aim - encoder.standardised(wanted.distance.summary(drawn)))
    return everywhere(generator, best)


@torch.no_grad()
def best_samples(generator: Generator, encoder: LinearEncoder, wanted: Wanted) -> Tensor:
    """For each wanted image the best of the samples.

    Features choose `SHORTLIST` of them, for drawing is dear; the distance decides.

    Returns:
        float32 [N, num_ws, w_dim], the same w for every layer.
    """
    aim = encoder.standardised(wanted.distance.summary(wanted.images))
    listed = encoder.listed(aim, SHORTLIST)  # [N, n, w_dim]
    best = listed[:, 0]
    lowest = torch.full_like(best[:, 0], math.inf)
    for w in listed.unbind(dim=1):
        found = wanted.distance_to(_drawn(generator, w))
        best = torch.where((found < lowest)[:, None], w, best)
        lowest = torch.minimum(found, lowest)
    return everywhere(generator, best)


def everywhere(generator: Generator, w: Tensor) -> Tensor:
    """One w [N, w_dim] for all layers: [N, num_ws, w_dim]."""
    return w[:, None].repeat(1, generator.num_ws, 1)


def _drawn(generator: Generator, w: Tensor) -> Tensor:
    """Images [N, 3, H, W] of one w [N, w_dim] for all layers."""
    return generator.synthesize(w[:, None].expand(-1, generator.num_ws, -1))


def _batches(samples: int, together: int, seed: int) -> Iterator[list[np.random.Generator]]:
    """The streams of all samples, some at a time."""
    for first in range(0, samples, together):
        stop = min(first + together, samples)
        yield [philox(seed, "start", index) for index in range(first, stop)]

"""How good the demo domain's generator is: `python -m models.demo.quality --generator F --out J`.

Frechet distance between samples and renders on fixed random convolutions (not FID: no trained
network is used), beside the same distance between two sets of renders, which is what a perfect
generator would get at this number of images.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.checkpoints import load_generator
from models.demo.cache import sample_z
from models.demo.features import RandomFeatures
from models.demo.recipe import IMAGE_SIZE
from models.demo.renderer import render, sample_parameters
from models.demo.sheets import save_pair
from models.stylegan2.networks import Generator

BATCH = 50
SAMPLES_SEED, RENDERS_SEED, OTHER_SEED = 101, 102, 103


def frechet_distance(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Frechet distance of the normal distributions fitted to two sets of vectors.

    |m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)), where the trace of the root is the sum of
    the roots of the eigenvalues of R S2 R, with R the root of S1.

    Args:
        first: float64 [N, D].
        second: float64 [M, D].
    """
    difference = first.mean(axis=0) - second.mean(axis=0)
    cov1, cov2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ cov2 @ root).clip(min=0)).sum()
    return float(difference @ difference + np.trace(cov1) + np.trace(cov2) - 2 * shared)


def vectors_of(batches: Iterable[Tensor]) -> npt.NDArray[np.float64]:
    """Random-convolution vectors float64 [N, D] of image batches [n, 3, H, W] in [-1, 1]."""
    features = RandomFeatures()
    found = [features.vectors(images.clamp(-1, 1)) for images in batches]
    return torch.cat(found).double().numpy()


@torch.no_grad()
def samples(generator: Generator, count: int, psi: float = 1.0) -> Iterator[Tensor]:
    """`count` images of `generator`, a batch at a time."""
    for first in range(0, count, BATCH):
        z = sample_z(first, min(BATCH, count - first), SAMPLES_SEED)
        yield generator.synthesize(generator.map(z, psi=psi))


def renders(count: int, seed: int) -> Iterator[Tensor]:
    """`count` drawn faces of `seed`, a batch at a time."""
    for first in range(0, count, BATCH):
        parameters = sample_parameters(min(BATCH, count - first), seed, first)
        yield render(parameters, IMAGE_SIZE).images


def measure(generator: Generator, count: int) -> dict[str, float | int]:
    """Distances from `count` samples to as many renders, and between two sets of renders."""
    real = vectors_of(renders(count, RENDERS_SEED))
    return {
        "schema_version": 1,
        "images": count,
        "samples_to_renders": frechet_distance(vectors_of(samples(generator, count)), real),
        "samples_psi_0.7_to_renders": frechet_distance(
            vectors_of(samples(generator, count, psi=0.7)), real
        ),
        "renders_to_renders": frechet_distance(vectors_of(renders(count, OTHER_SEED)), real),
    }


def main() -> None:
    """Reads the command line, measures, writes JSON and a sheet of 64 samples beside 64 renders."""
    parser = argparse.ArgumentParser(description="Measure the demo domain's generator.")
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="JSON; a PNG is put beside it")
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = load_generator(arguments.generator)
    report = measure(generator, arguments.images)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    shown = torch.cat(list(samples(generator, 64)))[:64]
    drawn = torch.cat(list(renders(64, RENDERS_SEED)))[:64]
    save_pair(shown, drawn, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()

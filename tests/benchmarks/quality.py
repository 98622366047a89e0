"""How good the datasets are: one network, trained on generated, few real, and many real images.

    generated  2,000 images made from 16 labelled renders, by the whole method
    real16     the 16 labelled renders themselves
    exact      2,000 renders with exact labels, the ceiling

each tested on the same 500 renders, with one recipe, for several seeds and each kind of label. A
seed decides the 16 renders, the ensemble, what is generated and the network. Beside that, whether
labels of all kinds on the same images agree.
"""

import itertools
import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import torch

from models.configs import Recipe
from models.downstream import judge
from models.progress import silent
from service.cli.demo_scale import Scale
from tests.benchmarks.agreement import agreement
from tests.benchmarks.faces import CPU, SPECS, Faces, Method, renders

SOURCES = ("generated", "real16", "exact")
FEW = 16


@dataclass(frozen=True)
class Asked:
    """What is to be measured.

    Attributes:
        seeds: how many.
        count: images of `generated` and of `exact`.
        test: held-out renders.
        kinds, sources: which of them.
        scale: settings of the method and of the network.
    """

    seeds: int
    count: int
    test: int
    kinds: Sequence[str]
    sources: Sequence[str]
    scale: Scale


def measure(asked: Asked) -> dict[str, Any]:
    """Figures by kind and source, and the agreement of each seed where all kinds are asked for.

    As many networks are trained at once as there are processors, each on one thread.
    """
    runs = list(itertools.product(asked.kinds, asked.sources, range(asked.seeds)))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        figures = dict(zip(runs, pool.map(_figures, *_columns(asked, runs)), strict=True))
        seeds = range(asked.seeds) if set(asked.kinds) == set(SPECS) else range(0)
        agreements = list(pool.map(_agreement, [asked] * len(seeds), seeds))
    by_kind = {
        kind: {
            source: _summary([figures[kind, source, seed] for seed in range(asked.seeds)])
            for source in asked.sources
        }
        for kind in asked.kinds
    }
    return {"kinds": by_kind, "agreement": agreements}


def _columns(asked: Asked, runs: Sequence[tuple[str, str, int]]) -> Iterable[Sequence[Any]]:
    """The arguments of `_figures` for all runs, one sequence each."""
    return [asked] * len(runs), *zip(*runs, strict=True)


def _figures(asked: Asked, kind: str, source: str, seed: int) -> Mapping[str, Any]:
    """How the network does that one source taught one kind."""
    train = _faces(asked, kind, source, seed)
    validation = renders(asked.scale.validation, 1_000_003)
    held_out = renders(asked.test, 1_000_004)
    recipe = Recipe(**{**asked.scale.recipe, "seed": seed})
    sets = (some.of(kind) for some in (train, validation, held_out))
    return judge(*sets, SPECS[kind], recipe, CPU, silent).figures


def _faces(asked: Asked, kind: str, source: str, seed: int) -> Faces:
    """What is trained on."""
    if source == "generated":
        return _method(asked, seed).generated((kind,), asked.count)
    return renders(FEW, 100 + seed) if source == "real16" else renders(asked.count, 200 + seed)


def _method(asked: Asked, seed: int) -> Method:
    return Method(renders(FEW, 100 + seed), seed, asked.scale)


def _agreement(asked: Asked, seed: int) -> Mapping[str, Any]:
    """Whether labels of all kinds agree on the same images."""
    return agreement(_method(asked, seed).generated(tuple(SPECS), asked.count))


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each figure the mean over the runs and each of them; of those by name the means."""
    summed: dict[str, Any] = {}
    for name, value in runs[0].items():
        values = [run[name] for run in runs]
        if isinstance(value, Number):
            summed[name] = {"mean": float(np.mean(values)), "of_each_seed": values}
        elif isinstance(value, Mapping):
            summed[name] = {key: _mean([some[key] for some in values]) for key in value}
    return summed


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None

"""How good the datasets are: one network, trained on generated, few real, and many real images.

    generated  2,000 images made from 16 labelled renders, by the whole method
    real16     the 16 labelled renders themselves
    exact      2,000 renders with exact labels, the ceiling

each tested on the same 500 renders, with one recipe, for several seeds and each kind of label. A
seed decides the 16 renders, the ensemble, what is generated and the network. Beside that, whether
labels of all kinds on the same images agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

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
    """Figures by kind and source, and the agreement of each seed where all kinds are asked for."""
    validation, held_out = (
        renders(asked.scale.validation, 1_000_003),
        renders(asked.test, 1_000_004),
    )
    runs: dict[str, dict[str, list[Mapping[str, Any]]]] = {
        kind: {source: [] for source in asked.sources} for kind in asked.kinds
    }
    agreements = []
    for seed in range(asked.seeds):
        few = renders(FEW, 100 + seed)
        method = Method(few, seed, asked.scale)
        for kind, by_source in runs.items():
            for source, found in by_source.items():
                train = _faces(source, kind, method, few, seed, asked.count)
                recipe = Recipe(**{**asked.scale.recipe, "seed": seed})
                sets = (some.of(kind) for some in (train, validation, held_out))
                found.append(judge(*sets, SPECS[kind], recipe, CPU, silent).figures)
        if set(asked.kinds) == set(SPECS):
            agreements.append(agreement(method.generated(tuple(SPECS), asked.count)))
    by_kind = {
        kind: {source: _summary(found) for source, found in by_source.items()}
        for kind, by_source in runs.items()
    }
    return {"kinds": by_kind, "agreement": agreements}


def _faces(source: str, kind: str, method: Method, few: Faces, seed: int, count: int) -> Faces:
    """What is trained on."""
    if source == "generated":
        return method.generated((kind,), count)
    return few if source == "real16" else renders(count, 200 + seed)


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

"""What a generation would cost, from what its label generator was measured to do. Pure."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from service.schemas import EstimateBody
from workers.params import GenerationParams


def estimate(
    params: GenerationParams, card: Mapping[str, Any] | None, free_bytes: int | None
) -> EstimateBody:
    """The cost of a generation.

    Args:
        params: what is asked for.
        card: the label generator's, None while it is being trained.
        free_bytes: room in the store, None where that cannot be known.
    """
    measured: Mapping[str, Any] = (card or {}).get("throughput") or {}
    # Each candidate is kept with probability 1 - drop.
    candidates = ceil(params.count / (1 - params.uncertainty.drop))
    size = _product(params.count, measured.get("bytes_per_sample"))
    seconds = _product(candidates, _inverse(measured.get("images_per_second")))
    return EstimateBody(
        samples=params.count,
        shards=ceil(params.count / params.shard_size),
        candidates_expected=candidates,
        bytes=None if size is None else ceil(size),
        seconds=None if seconds is None else round(seconds, 1),
        free_bytes=free_bytes,
        fits=None if size is None or free_bytes is None else size <= free_bytes,
        basis={"label_generator_id": params.label_generator_ids[0], **measured},
    )


def _product(count: int, each: float | None) -> float | None:
    return None if each is None else count * each


def _inverse(rate: float | None) -> float | None:
    return 1 / rate if rate else None

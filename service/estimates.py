"""What a generation would cost, from what its label generators were measured to do. Pure."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from service.schemas import EstimateBody
from workers.params import GenerationParams

Cards = Mapping[str, Mapping[str, Any] | None]


def estimate(params: GenerationParams, cards: Cards, free_bytes: int | None) -> EstimateBody:
    """The cost of a generation.

    Each label generator was measured alone, its images included. What several cost together is
    at most the sum, which counts the images more than once; they drop at most so many as if each
    dropped others.

    Args:
        params: what is asked for.
        cards: of its label generators by id, None while one is being trained.
        free_bytes: room in the store, None where that cannot be known.
    """
    measured = {each: (card or {}).get("throughput") or {} for each, card in cards.items()}
    candidates = _candidates(params)
    per_sample = _of_each(measured, "bytes_per_sample")
    rates = _of_each(measured, "images_per_second")
    size = sum(params.count * each for each in per_sample) if per_sample else None
    seconds = sum(candidates / rate for rate in rates) if rates else None
    return EstimateBody(
        samples=params.count,
        shards=ceil(params.count / params.shard_size),
        candidates_expected=candidates,
        bytes=None if size is None else ceil(size),
        seconds=None if seconds is None else round(seconds, 1),
        free_bytes=free_bytes,
        fits=None if size is None or free_bytes is None else size <= free_bytes,
        basis=measured,
    )


def _candidates(params: GenerationParams) -> int:
    """How many images are drawn."""
    rule = params.uncertainty
    if rule.mode == "paper":
        return params.count
    # Each label generator keeps a candidate with probability 1 - drop.
    return ceil(params.count / (1 - rule.drop) ** len(params.label_generator_ids))


def _of_each(measured: Mapping[str, Mapping[str, Any]], figure: str) -> list[float]:
    """A figure of all label generators; none at all where one of them is not known."""
    found = [each.get(figure) for each in measured.values()]
    known = [float(value) for value in found if value]
    return known if len(known) == len(found) else []

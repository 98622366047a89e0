"""Fixes all that decides the bytes of a generation, once; says how many shards it has."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from models.class_mix import Shares, shares_of
from models.generation import Plan, batch_size, calibrate, threshold
from models.stylegan2.networks import Generator
from workers.errors import TaskFailed
from workers.params import GenerationParams
from workers.tasks import parents
from workers.tasks.context import TaskContext

PLAN = "plan.json"
CALIBRATION_SAMPLES = 1000

# The libraries that decide bits.
_LIBRARIES = ("handsoff", "numpy", "pillow", "torch")


def run(context: TaskContext) -> int:
    """Write plan.json, unless it is there; the number of shards.

    Raises:
        TaskFailed: `parent_not_ready`, or `labels_do_not_fit` the generator's classes.
    """
    if context.store.size(context.key(PLAN)) is not None:
        kept = json.loads(context.store.get(context.key(PLAN)))
        return int(kept["shards"])
    params = context.params(GenerationParams)
    (label_generator_id,) = params.label_generator_ids
    card = parents.document(context, "label-generators", label_generator_id)
    generator = parents.generator(context, card["generator_id"])
    shares = _shares(params, generator)
    quantiles = _quantiles(context, params, card, generator, shares)
    highest = threshold(quantiles, params.uncertainty.drop)
    plan = Plan(
        count=params.count,
        shard_size=params.shard_size,
        batch=batch_size(context.runtime.device, generator.image_shape[1:]),
        threads=context.runtime.threads,
        device=context.runtime.device.type,
        psi=params.psi,
        seed=params.seed,
        threshold=highest,
        class_shares=shares,
        image_format=params.image_format,
    )
    document = {
        "schema_version": 1,
        **plan.model_dump(mode="json"),
        "shards": plan.shards,
        "thresholds": {label_generator_id: highest},
        "versions": {name: version(name) for name in _LIBRARIES},
    }
    context.put_json(PLAN, document)
    return plan.shards


def _shares(params: GenerationParams, generator: Generator) -> Shares:
    """How often each class is drawn."""
    try:
        return shares_of(params.labels, generator.label_dim)
    except ValueError as error:
        raise TaskFailed("labels_do_not_fit", f"labels: {error}") from error


def _quantiles(
    context: TaskContext,
    params: GenerationParams,
    card: dict[str, Any],
    generator: Generator,
    shares: Shares,
) -> Sequence[float]:
    """Of the scores at the wanted psi and classes; measured where the card's hold for others."""
    known = card["calibration"]
    is_same = known["psi"] == params.psi and tuple(known.get("class_shares", ())) == shares
    if is_same or params.uncertainty.drop == 0:
        quantiles: Sequence[float] = known["quantiles"]
        return quantiles
    (label_generator_id,) = params.label_generator_ids
    label_generator = parents.label_generator(context, label_generator_id, card)
    found = calibrate(
        generator,
        label_generator,
        params.psi,
        CALIBRATION_SAMPLES,
        params.seed,
        context.report,
        shares,
    )
    return found.quantiles

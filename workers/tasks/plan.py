"""Fixes all that decides the bytes of a generation, once; says how many shards it has."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from models.generation import Plan, batch_size, calibrate, threshold
from models.stylegan2.networks import Generator
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
        TaskFailed: `parent_not_ready`.
    """
    if context.store.size(context.key(PLAN)) is not None:
        kept = json.loads(context.store.get(context.key(PLAN)))
        return int(kept["shards"])
    params = context.params(GenerationParams)
    (label_generator_id,) = params.label_generator_ids
    card = parents.document(context, "label-generators", label_generator_id)
    generator = parents.generator(context, card["generator_id"])
    highest = threshold(_quantiles(context, params, card, generator), params.uncertainty.drop)
    plan = Plan(
        count=params.count,
        shard_size=params.shard_size,
        batch=batch_size(context.runtime.device, generator.image_shape[1:]),
        threads=context.runtime.threads,
        device=context.runtime.device.type,
        psi=params.psi,
        seed=params.seed,
        threshold=highest,
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


def _quantiles(
    context: TaskContext, params: GenerationParams, card: dict[str, Any], generator: Generator
) -> Sequence[float]:
    """Of the scores at the wanted truncation; measured where the card's hold for another."""
    known = card["calibration"]
    if known["psi"] == params.psi or params.uncertainty.drop == 0:
        quantiles: Sequence[float] = known["quantiles"]
        return quantiles
    (label_generator_id,) = params.label_generator_ids
    label_generator = parents.label_generator(context, label_generator_id, card)
    found = calibrate(
        generator, label_generator, params.psi, CALIBRATION_SAMPLES, params.seed, context.report
    )
    return found.quantiles

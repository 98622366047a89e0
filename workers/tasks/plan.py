"""Fixes all that decides the bytes of a generation, once; says how many shards it has."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from models.calibration import calibrate, threshold
from models.class_mix import Shares, shares_of
from models.drawing import batch_size, precision_of
from models.generation import Plan
from models.stylegan2.networks import Generator
from workers.errors import TaskFailed
from workers.label_kinds import mixed
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
        TaskFailed: `parent_not_ready`, `label_generators_do_not_fit` each other, or
            `labels_do_not_fit` the generator's classes.
    """
    if context.store.size(context.key(PLAN)) is not None:
        kept = json.loads(context.store.get(context.key(PLAN)))
        return int(kept["shards"])
    params = context.params(GenerationParams)
    cards = _cards(context, params)
    generator = parents.generator(context, next(iter(cards.values()))["generator_id"])
    shares = _shares(params, generator)
    plan = Plan(
        count=params.count,
        shard_size=params.shard_size,
        batch=batch_size(context.runtime.device, generator.image_shape[1:]),
        threads=context.runtime.threads,
        device=context.runtime.device.type,
        precision=precision_of(generator),
        psi=params.psi,
        seed=params.seed,
        thresholds=_thresholds(context, params, cards, generator, shares),
        class_shares=shares,
        image_format=params.image_format,
    )
    document = {
        "schema_version": 1,
        **plan.model_dump(mode="json"),
        "uncertainty": params.uncertainty.model_dump(mode="json"),
        "shards": plan.shards,
        "versions": {name: version(name) for name in _LIBRARIES},
    }
    context.put_json(PLAN, document)
    return plan.shards


def _cards(context: TaskContext, params: GenerationParams) -> dict[str, dict[str, Any]]:
    """The label generators' cards by id, in the order that was asked for."""
    asked = params.label_generator_ids
    cards = {each: parents.document(context, "label-generators", each) for each in asked}
    if misfit := mixed(cards):
        raise TaskFailed("label_generators_do_not_fit", str(misfit))
    return cards


def _shares(params: GenerationParams, generator: Generator) -> Shares:
    """How often each class is drawn."""
    try:
        return shares_of(params.labels, generator.label_dim)
    except ValueError as error:
        raise TaskFailed("labels_do_not_fit", f"labels: {error}") from error


def _thresholds(
    context: TaskContext,
    params: GenerationParams,
    cards: Mapping[str, dict[str, Any]],
    generator: Generator,
    shares: Shares,
) -> dict[str, float]:
    """The highest score that each kind of label may have; none where nothing is left out."""
    drop = params.uncertainty.drop
    if drop == 0 or params.uncertainty.mode == "paper":
        return {}
    known = {each: card["calibration"] for each, card in cards.items()}
    missing = [each for each in cards if not _holds(known[each], params.psi, shares)]
    known |= _measured(context, params, {each: cards[each] for each in missing}, generator, shares)
    limits = {
        card["label"]["kind"]: threshold(known[each]["quantiles"], drop)
        for each, card in cards.items()
    }
    return {kind: limit for kind, limit in limits.items() if limit is not None}


def _holds(calibration: Mapping[str, Any], psi: float, shares: Shares) -> bool:
    """Whether a card's quantiles are those of images of this psi and these classes."""
    same_classes = tuple(calibration.get("class_shares", ())) == shares
    return calibration["psi"] == psi and same_classes


def _measured(
    context: TaskContext,
    params: GenerationParams,
    cards: Mapping[str, dict[str, Any]],
    generator: Generator,
    shares: Shares,
) -> dict[str, dict[str, Any]]:
    """New calibrations of the label generators of these cards, on the same images."""
    if not cards:
        return {}
    found = calibrate(
        generator,
        [parents.label_generator(context, each, card) for each, card in cards.items()],
        params.psi,
        CALIBRATION_SAMPLES,
        params.seed,
        context.report,
        shares,
    )
    return {each: asdict(one) for each, one in zip(cards, found, strict=True)}

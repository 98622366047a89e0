"""Reads what a compute task's resource is made of: other resources of the same tenant."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from torch import Tensor

from models.data.manifest import DatasetManifest
from models.data.sample import Sample, read_sample
from models.encoders.encoder import Encoder
from models.label_generator import LabelGenerator
from models.stylegan2.networks import Generator
from workers import keys
from workers.addresses import refusal
from workers.errors import ObjectNotFound, TaskFailed
from workers.params import CheckpointParams
from workers.tasks.context import TaskContext


def checkpoint(context: TaskContext, params: CheckpointParams) -> Path:
    """The checkpoint that is to be registered, in the scratch folder.

    Raises:
        TaskFailed: `upload_missing`, or `source_…` (see `workers.imports`).
    """
    if params.upload_id is not None:
        return upload(context, params.upload_id)
    assert params.source is not None, "the parameters' own check lets neither be missing"
    imports = context.runtime.imports
    if imports is None:
        raise TaskFailed("source_not_allowed", refusal(params.source, ()))
    context.report("fetching", 0, 1, "checkpoints")
    path = context.scratch / "fetched"
    imports.fetch(params.source, path)
    return path


def upload(context: TaskContext, upload_id: str) -> Path:
    """What was uploaded, in the scratch folder.

    Raises:
        TaskFailed: `upload_missing`.
    """
    path = context.scratch / upload_id
    try:
        context.store.get_file(context.parent_key("uploads", upload_id, "content"), path)
    except ObjectNotFound as error:
        problem = f"upload {upload_id} holds no bytes; PUT the file, then name the upload"
        raise TaskFailed("upload_missing", problem) from error
    return path


def document(context: TaskContext, collection: str, resource_id: str) -> dict[str, Any]:
    """A ready resource's final document.

    Raises:
        TaskFailed: `parent_not_ready`.
    """
    key = context.parent_key(collection, resource_id, keys.FINAL[collection])
    try:
        found: dict[str, Any] = json.loads(context.store.get(key))
    except ObjectNotFound as error:
        problem = f"{resource_id} is not ready; wait for its job, or make it again if that failed"
        raise TaskFailed("parent_not_ready", problem) from error
    return found


def digest(context: TaskContext, collection: str, resource_id: str) -> str:
    """The sha256 of a ready resource's final document, which names all of its content by digest."""
    key = context.parent_key(collection, resource_id, keys.FINAL[collection])
    return hashlib.sha256(context.store.get(key)).hexdigest()


def generator(context: TaskContext, resource_id: str) -> Generator:
    """A registered generator, on the worker's device."""
    sha256 = document(context, "generators", resource_id)["sha256"]
    key = context.parent_key("generators", resource_id, "generator.safetensors")
    return context.runtime.generator(sha256, partial(context.store.get_file, key), context.scratch)


def encoder(context: TaskContext, resource_id: str) -> Encoder:
    """A registered encoder, on the worker's device."""
    sha256 = document(context, "encoders", resource_id)["sha256"]
    key = context.parent_key("encoders", resource_id, "encoder.safetensors")
    return context.runtime.encoder(sha256, partial(context.store.get_file, key), context.scratch)


def label_generator(context: TaskContext, resource_id: str, card: dict[str, Any]) -> LabelGenerator:
    """The label generator that `card` describes, on the worker's device."""
    ensemble = card["ensemble"]
    key = context.parent_key("label-generators", resource_id, ensemble["path"])
    fetch = partial(context.store.get_file, key)
    return context.runtime.label_generator(ensemble["sha256"], fetch, context.scratch)


def latents(context: TaskContext, inversion_id: str, report: dict[str, Any]) -> Tensor:
    """The latents that an inversion's report names: float32 [N, num_ws, w_dim], on the CPU."""
    key = context.parent_key("inversions", inversion_id, report["latents"]["path"])
    found: Tensor = load_tensors(context.store.get(key))["latents"]
    return found


def dataset(context: TaskContext, resource_id: str) -> DatasetManifest:
    """A ready dataset's manifest."""
    return DatasetManifest.model_validate(document(context, "datasets", resource_id))


def samples(context: TaskContext, resource_id: str, manifest: DatasetManifest) -> Iterator[Sample]:
    """The labelled pictures of a dataset, in its order."""
    for done, item in enumerate(manifest.items, start=1):
        image, mask = (
            (path, context.store.get(context.parent_key("datasets", resource_id, path)))
            for path in (item.image, item.mask)
        )
        yield read_sample(item.key, image, mask, manifest.label)
        context.report("reading", done, len(manifest.items), "images")

"""Reads what a compute task's resource is made of: other resources of the same tenant."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from safetensors.torch import load as load_tensors
from torch import Tensor

from models.data.labelled import Labelled
from models.data.manifest import DatasetManifest, ItemFile
from models.data.sample import read_labelled
from models.encoders.encoder import Encoder
from models.label_generator import LabelGenerator
from models.stylegan2.networks import Generator
from workers import keys
from workers.digests import checked
from workers.errors import ObjectNotFound, TaskFailed
from workers.tasks.context import TaskContext


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
    named = report["latents"]
    key = context.parent_key("inversions", inversion_id, named["path"])
    data = checked(context.store.get(key), named["sha256"], key)
    found: Tensor = load_tensors(data)["latents"]
    return found


def dataset(context: TaskContext, resource_id: str) -> DatasetManifest:
    """A ready dataset's manifest."""
    return DatasetManifest.model_validate(document(context, "datasets", resource_id))


def samples(
    context: TaskContext, resource_id: str, manifest: DatasetManifest
) -> Iterator[Labelled]:
    """The labelled pictures of a dataset, in its order."""

    def file(entry: ItemFile) -> tuple[str, bytes]:
        key = context.parent_key("datasets", resource_id, entry.path)
        return entry.path, checked(context.store.get(key), entry.sha256, key)

    for done, item in enumerate(manifest.items, start=1):
        labels = {kind: file(entry) for kind, entry in item.labels.items()}
        yield read_labelled(item.key, file(item.image), labels, manifest.labels)
        context.report("reading", done, len(manifest.items), "images")

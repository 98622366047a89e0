"""Finds the latents of a dataset's images, or measures those of an uploaded file."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from models.data.pictures import contact_sheet, difference
from models.generation import as_pixels
from models.inversion import Inversion, invert, measured, prepared
from models.latent_files import read_latents, write_latents
from models.perceptual import Distance
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import ObjectNotFound, TaskFailed
from workers.params import InversionParams
from workers.tasks import parents
from workers.tasks.context import TaskContext
from workers.tasks.outputs import attempt_path, publish, publish_picture

SHOWN = 24
"""Images on the overview, at most."""


def run(context: TaskContext) -> None:
    """Write the latents, an overview and the report.

    Raises:
        BackboneUnavailable: LPIPS is asked for and its trunk cannot be had.
        InvalidImage: an image has another shape than the generator's.
        InvalidLatents: the uploaded file does not fit.
        TaskFailed: `parent_not_ready` or `upload_missing`.
    """
    final = keys.FINAL["inversions"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(InversionParams)
    generator = parents.generator(context, params.generator_id)
    names, images = _targets(context, params, generator)
    distance = context.runtime.distance(params.config.distance, params.config.seed)
    found = _latents(context, params, generator, names, images, distance)
    report = {
        "schema_version": 1,
        "attempt": context.attempt,
        "distance": {"name": distance.name, "backbone": distance.backbone},
        "config": params.config.model_dump(mode="json"),
        "generator_id": params.generator_id,
        "dataset_id": params.dataset_id,
    }
    files = _write_files(context, names, images, found)
    context.put_json(final, {**report, **files, **_figures(names, found)})


def _targets(
    context: TaskContext, params: InversionParams, generator: Generator
) -> tuple[list[str], Tensor]:
    """The dataset's keys, and its images [N, 3, H, W] as the generator would draw them."""
    manifest = parents.dataset(context, params.dataset_id)
    samples = list(parents.samples(context, params.dataset_id, manifest))
    names = [sample.key for sample in samples]
    size = generator.image_shape[1:]
    return names, prepared([sample.image for sample in samples], names, size)


def _latents(
    context: TaskContext,
    params: InversionParams,
    generator: Generator,
    names: Sequence[str],
    images: Tensor,
    distance: Distance,
) -> Inversion:
    """Latents searched for, or those of the upload."""
    if params.latents_upload_id is None:
        return invert(generator, images, distance, params.config, context.report)
    path = context.scratch / "latents"
    try:
        context.store.get_file(
            context.parent_key("uploads", params.latents_upload_id, "content"), path
        )
    except ObjectNotFound as error:
        problem = f"upload {params.latents_upload_id} holds no bytes; PUT the latents first"
        raise TaskFailed("upload_missing", problem) from error
    given = read_latents(path, names, (generator.num_ws, generator.w_dim))
    return measured(generator, images, given, distance)


def _write_files(
    context: TaskContext, names: Sequence[str], images: Tensor, found: Inversion
) -> dict[str, Any]:
    """The latents, and images beside their reconstructions and what differs."""
    path = context.scratch / "latents.safetensors"
    write_latents(path, found.latents, names)
    size = (images.shape[2], images.shape[3])
    real, redrawn = (as_pixels(i[:SHOWN], size) for i in (images, found.reconstructions))
    rows = [[one, other, difference(one, other)] for one, other in zip(real, redrawn, strict=True)]
    sheet = contact_sheet(rows, ("image", "reconstruction", "difference"))
    return {
        "latents": publish(context, path, attempt_path(context, "latents.safetensors")),
        "overview": publish_picture(context, sheet, attempt_path(context, "overview.png")),
    }


def _figures(names: Sequence[str], found: Inversion) -> dict[str, Any]:
    """How good the latents are, image by image and on average."""
    columns = {
        "distance_start": found.distance_start.tolist(),
        "distance": found.distance.tolist(),
        "mse": found.mse.tolist(),
        "psnr": found.psnr.tolist(),
    }
    images = [
        {"key": name, **{column: values[i] for column, values in columns.items()}}
        for i, name in enumerate(names)
    ]
    means = {column: sum(values) / len(values) for column, values in columns.items()}
    return {"images": images, "summary": {**means, "seconds": found.seconds}}

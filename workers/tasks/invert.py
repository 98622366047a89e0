"""Finds the latents of a dataset's images, or measures those of an uploaded file."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from models.data.pictures import contact_sheet, difference
from models.encoders.encoder import Encoder
from models.generation import as_pixels
from models.inversion import Inversion, invert, measured, prepared
from models.latent_files import read_latents, write_latents
from models.perceptual import Distance
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import TaskFailed
from workers.fitting import misfit
from workers.params import InversionParams
from workers.tasks import parents, sources
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
        TaskFailed: `parent_not_ready`, `upload_missing` or `encoder_does_not_fit`.
    """
    final = keys.FINAL["inversions"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(InversionParams)
    generator = parents.generator(context, params.generator_id)
    names, images = _targets(context, params, generator)
    distance = context.runtime.distance(params.config.distance, params.config.seed)
    found, start = _latents(context, params, generator, names, images, distance)
    report = {
        "schema_version": 1,
        "attempt": context.attempt,
        "start": start,
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
) -> tuple[Inversion, dict[str, Any]]:
    """Latents searched for, or those of the upload; and where they come from."""
    if params.latents_upload_id is not None:
        path = sources.upload(context, params.latents_upload_id)
        given = read_latents(path, names, generator)
        found = measured(generator, images, given.codes, distance)
        return found, {"from": "latents", "mapped_from_z": given.mapped_from_z}
    encoder = _encoder(context, params)
    found = invert(generator, images, distance, params.config, context.report, encoder)
    if params.encoder_id is None:
        return found, {"from": "samples"}
    card = parents.document(context, "encoders", params.encoder_id)
    return found, {"from": card["kind"], "encoder_id": params.encoder_id, "sha256": card["sha256"]}


def _encoder(context: TaskContext, params: InversionParams) -> Encoder | None:
    """The encoder that is asked for, if there is one, and if its codes steer the generator."""
    if params.encoder_id is None:
        return None
    card = parents.document(context, "encoders", params.encoder_id)
    of_generator = parents.document(context, "generators", params.generator_id)
    if problem := misfit(card, of_generator):
        raise TaskFailed("encoder_does_not_fit", f"encoder {params.encoder_id}: {problem}")
    return parents.encoder(context, params.encoder_id)


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

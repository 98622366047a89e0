"""Trains a ReStyle encoder for a generator, and makes it ready as one that was registered.

A training that was killed goes on from its last snapshot. The last of them is of the last step, so
every attempt that comes to the end writes the same file.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoints.inspection import open_encoder
from models.data.pictures import contact_sheet, difference
from models.encoders.encoder import Encoder
from models.encoders.neutral import save_encoder
from models.encoders.training import train_encoder
from models.encoders.training_data import validation_batch
from models.inversion import prepared
from models.pixels import as_pixels
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import TaskFailed
from workers.params import EncoderTrainingParams
from workers.tasks import origins, parents
from workers.tasks.context import TaskContext
from workers.tasks.outputs import attempt_path, publish, publish_picture
from workers.tasks.snapshots import BucketKeeper

SHOWN = 8
"""Samples on the preview, at most."""


def run(context: TaskContext) -> None:
    """Write the encoder, a preview and its card.

    Raises:
        BackboneUnavailable: LPIPS is asked for and its trunk cannot be had.
        InvalidImage: an image of the dataset has another shape than the generator's.
        TaskFailed: `parent_not_ready`, or `encoder_training_failed`.
    """
    keeper, final = BucketKeeper(context), keys.FINAL["encoders"]
    if context.store.size(context.key(final)) is None:
        context.put_json(final, _card(context, context.params(EncoderTrainingParams), keeper))
    keeper.forget()


def _card(
    context: TaskContext, params: EncoderTrainingParams, keeper: BucketKeeper
) -> dict[str, Any]:
    """The card of the encoder, which is written on the way."""
    generator = parents.generator(context, params.generator_id)
    encoder, record = _trained(context, params, generator, keeper)
    path = context.scratch / "encoder.safetensors"
    save_encoder(encoder, path)
    origin = (params.generator_id, params.dataset_id)
    return {
        **open_encoder(path).document(),  # What would be said of it if it were brought.
        "attempt": context.attempt,
        "name": context.resource.name,
        "licence": origins.licence(context, *origin),
        "sha256": publish(context, path, path.name)["sha256"],
        "preview": _write_preview(context, params, generator, encoder),
        "generator_id": params.generator_id,
        "dataset_id": params.dataset_id,
        "lineage": origins.lineage(context, *origin),
        "training": record,
    }


def _trained(
    context: TaskContext,
    params: EncoderTrainingParams,
    generator: Generator,
    keeper: BucketKeeper,
) -> tuple[Encoder, dict[str, Any]]:
    """The encoder on the worker's device, and what happened."""
    config = params.config
    reals = _reals(context, params.dataset_id, generator) if params.dataset_id else None
    distance = context.runtime.distance(config.distance, config.seed)
    try:
        return train_encoder(generator, distance, config, context.report, reals, keeper)
    except ValueError as error:
        raise TaskFailed("encoder_training_failed", f"{params.generator_id}: {error}") from error


def _reals(context: TaskContext, dataset_id: str, generator: Generator) -> Tensor:
    """The dataset's images as the generator would draw them: uint8 [N, 3, H, W], on the CPU.

    They are bytes already, and floats would take four times the room.
    """
    size = generator.image_shape[1:]
    samples = parents.samples(context, dataset_id, parents.dataset(context, dataset_id))
    images = [as_pixels(prepared([each.image], [each.key], size), size) for each in samples]
    return torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2)


def _write_preview(
    context: TaskContext, params: EncoderTrainingParams, generator: Generator, encoder: Encoder
) -> str:
    """Samples that were not learnt from, beside their reconstructions and what differs."""
    few = min(SHOWN, params.config.validation_samples)
    batch = validation_batch(
        generator, params.config.model_copy(update={"validation_samples": few})
    )
    codes = encoder.encode(batch.images, generator, params.config.restyle_iterations)
    size = generator.image_shape[1:]
    real, redrawn = (as_pixels(i, size) for i in (batch.images, generator.synthesize(codes)))
    rows = [[one, other, difference(one, other)] for one, other in zip(real, redrawn, strict=True)]
    sheet = contact_sheet(rows, ("sample", "reconstruction", "difference"))
    return publish_picture(context, sheet, attempt_path(context, "preview.png"))

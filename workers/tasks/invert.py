"""Finds the latents of a dataset's images, or measures those of an uploaded file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.fitting import Fit
from models.data.images import Pixels
from models.data.pictures import contact_sheet, difference
from models.data.resampling import nearest
from models.encoders.encoder import Encoder
from models.inversion import Inversion, invert, measured, prepared
from models.inversion_figures import latent_distances, similarities
from models.latent_files import read_latents, write_latents
from models.outliers import outliers
from models.perceptual import Distance
from models.pixels import as_pixels
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import TaskFailed
from workers.fitting import misfit
from workers.params import InversionParams
from workers.tasks import parents, sources
from workers.tasks.context import TaskContext
from workers.tasks.outputs import attempt_path, publish, publish_picture
from workers.tasks.snapshots import BucketKeeper

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
    params, keeper = context.params(InversionParams), BucketKeeper(context)
    generator = parents.generator(context, params.generator_id)
    targets = _targets(context, params, generator)
    distance = context.runtime.distance(params.config.distance, params.config.seed)
    found, start = _latents(context, params, generator, targets, distance, keeper)
    report = {
        "schema_version": 1,
        "attempt": context.attempt,
        "start": start,
        "distance": {"name": distance.name, "backbone": distance.backbone},
        "config": (found.config or params.config).model_dump(mode="json"),
        "generator_id": params.generator_id,
        "dataset_id": params.dataset_id,
    }
    strips = _Strips.of(targets, found)
    columns = _columns(generator, strips, found, params.config.seed)
    flagged = outliers(columns["distance"])
    figures = _figures(targets.names, columns, flagged, found)
    files = _write_files(context, targets.names, strips, found, flagged)
    context.put_json(final, {**report, **files, **figures})
    keeper.forget()


@dataclass(frozen=True)
class _Targets:
    """What is to be inverted.

    Attributes:
        names: the dataset's keys.
        images: float32 [N, 3, H, W] in [-1, 1], as the generator would draw them.
        masks: bool [N, H, W], where they show something; None for everywhere.
    """

    names: list[str]
    images: Tensor
    masks: Tensor | None


def _targets(context: TaskContext, params: InversionParams, generator: Generator) -> _Targets:
    """The dataset's images, and where fitting them left bars."""
    manifest = parents.dataset(context, params.dataset_id)
    samples = list(parents.samples(context, params.dataset_id, manifest))
    names = [sample.key for sample in samples]
    size = (generator.image_shape[1], generator.image_shape[2])
    images = prepared([sample.image for sample in samples], names, size)
    return _Targets(names, images, _masks([item.fit for item in manifest.items], size))


def _masks(fits: Sequence[Fit | None], size: tuple[int, int]) -> Tensor | None:
    """Where images show something: bool [N, H, W]; None if that is everywhere."""
    whole = np.ones(size, dtype=np.bool_)
    masks = np.stack([whole if fit is None else nearest(fit.drawn, size) for fit in fits])
    return None if masks.all() else torch.from_numpy(masks)


def _latents(
    context: TaskContext,
    params: InversionParams,
    generator: Generator,
    targets: _Targets,
    distance: Distance,
    keeper: BucketKeeper,
) -> tuple[Inversion, dict[str, Any]]:
    """Latents searched for, or those of the upload; and where they come from."""
    if params.latents_upload_id is not None:
        path = sources.upload(context, params.latents_upload_id)
        given = read_latents(path, targets.names, generator)
        found = measured(generator, targets.images, given.codes, distance)
        return found, {"from": "latents", "mapped_from_z": given.mapped_from_z}
    found = invert(
        generator,
        targets.images,
        distance,
        params.config,
        context.report,
        _encoder(context, params),
        masks=targets.masks,
        keeper=keeper,
    )
    if params.encoder_id is None or params.config.start not in (None, "encoder"):
        return found, {"from": params.config.start or "samples"}
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


@dataclass(frozen=True)
class _Strips:
    """The same pictures real, from the start's codes and from those found: uint8 [N, H, W, 3].

    Around the content of a picture that was fitted to the canvas all three are as the real one.

    Attributes:
        content: bool [N, H, W]; None for everywhere.
    """

    real: Pixels
    before: Pixels
    after: Pixels
    content: NDArray[np.bool_] | None

    @classmethod
    def of(cls, targets: _Targets, found: Inversion) -> "_Strips":
        """The strips of an inversion."""
        real = as_pixels(targets.images, (targets.images.shape[2], targets.images.shape[3]))
        drawn = [found.before.pixels, found.after.pixels]
        content = None if targets.masks is None else targets.masks.numpy()
        if content is not None:
            drawn = [np.where(content[..., None], pixels, real) for pixels in drawn]
        return cls(real, drawn[0], drawn[1], content)

    def row(self, at: int) -> list[Pixels]:
        """Those of one picture, and what the last differs in from the first."""
        real, before, after = self.real[at], self.before[at], self.after[at]
        return [real, before, after, difference(real, after)]


def _write_files(
    context: TaskContext,
    names: Sequence[str],
    strips: _Strips,
    found: Inversion,
    flagged: Sequence[int],
) -> dict[str, Any]:
    """The latents, and pictures of how each image was come nearer to, the worst first."""
    path = context.scratch / "latents.safetensors"
    write_latents(path, found.latents, names)
    distance = found.after.distance
    order = distance.argsort(descending=True, stable=True)[:SHOWN].tolist()
    rows = [strips.row(at) for at in order]
    titles = [
        f"{names[at]}   {distance[at]:.3f}   {'outlier' if at in flagged else ''}" for at in order
    ]
    captions = ("image", "start", "reconstruction", "difference")
    return {
        "latents": publish(context, path, attempt_path(context, "latents.safetensors")),
        "overview": publish_picture(
            context,
            contact_sheet(rows, captions, titles=titles),
            attempt_path(context, "overview.png"),
        ),
    }


def _columns(
    generator: Generator, strips: _Strips, found: Inversion, seed: int
) -> dict[str, list[Any]]:
    """How good the latents are, and the starts were, each figure of all images."""
    judgements = {"_start": (found.before, strips.before), "": (found.after, strips.after)}
    columns: dict[str, list[Any]] = {}
    for when, (judgement, pixels) in judgements.items():
        columns[f"distance{when}"] = judgement.distance.tolist()
        columns[f"mse{when}"] = judgement.mse.tolist()
        columns[f"psnr{when}"] = judgement.psnr.tolist()
        columns[f"ssim{when}"] = similarities(strips.real, pixels, strips.content)
    return {
        **columns,
        "latent_distance": latent_distances(generator, found.latents, seed),
        "iterations": found.iterations.tolist(),
        "seconds": found.image_seconds.tolist(),
    }


def _figures(
    names: Sequence[str],
    columns: dict[str, list[Any]],
    flagged: Sequence[int],
    found: Inversion,
) -> dict[str, Any]:
    """The same image by image, and on average; but `seconds` of all are those of the job."""
    images = [
        {"key": name, **{c: values[at] for c, values in columns.items()}, "outlier": at in flagged}
        for at, name in enumerate(names)
    ]
    means = {column: _mean(values) for column, values in columns.items()}
    return {
        "images": images,
        "outliers": [names[at] for at in flagged],
        "notes": found.notes,
        "starts": {name: float(d.mean()) for name, d in found.start_distances.items()},
        "summary": {**means, "seconds": found.seconds},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

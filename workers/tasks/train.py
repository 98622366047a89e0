"""Trains a label generator on the images and latents of an inversion, and calibrates it.

The images are checked against one another beside that (`workers.tasks.agreement`).
"""

from dataclasses import asdict
from typing import Any

import torch

from models.calibration import calibrate
from models.data.kinds import kind_of
from models.data.manifest import DatasetManifest
from models.data.pictures import contact_sheet, heat
from models.drawing import draw
from models.label_generator import LabelGenerator, save_label_generator
from models.label_generator_training import train_on
from models.labels import LabelSpec
from models.lessons import Lesson, lesson_of
from models.seeding import philox
from models.stylegan2.networks import Generator
from workers import keys
from workers.errors import TaskFailed
from workers.label_kinds import Misfit, taken
from workers.params import TrainParams
from workers.tasks import origins, parents
from workers.tasks.agreement import checked
from workers.tasks.context import TaskContext
from workers.tasks.outputs import attempt_path, in_portions, publish, publish_picture
from workers.tasks.selection import Selection, selected

PREVIEWED, COLUMNS = 16, 4


def run(context: TaskContext) -> None:
    """Write the ensemble, pictures and the card.

    Raises:
        TrainingImpossible: there are too few labelled pixels, or images that are left.
        TaskFailed: `parent_not_ready`, `kind_missing` in the dataset, or `unknown_images`.
    """
    final = keys.FINAL["label-generators"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(TrainParams)
    inversion = parents.document(context, "inversions", params.inversion_id)
    generator = parents.generator(context, inversion["generator_id"])
    made, learnt = _learnt(context, params, inversion, generator)
    path = context.scratch / "ensemble.safetensors"
    save_label_generator(made, path)
    card = {
        "schema_version": 1,
        "attempt": context.attempt,
        "name": context.resource.name,
        "licence": origins.licence(context, inversion["generator_id"], inversion["dataset_id"]),
        "label": made.spec.model_dump(mode="json"),
        "ensemble": publish(context, path, attempt_path(context, path.name)),
        "preview": _write_preview(context, generator, made, params.config.psi),
        **learnt,
        **_parents(context, params, inversion),
        **_calibration(context, generator, made, params),
    }
    context.put_json(final, card)


def _learnt(
    context: TaskContext, params: TrainParams, inversion: dict[str, Any], generator: Generator
) -> tuple[LabelGenerator, dict[str, Any]]:
    """The label generator, on the worker's device; the card's entries on what it learnt from."""
    dataset_id, config = inversion["dataset_id"], params.config
    manifest = parents.dataset(context, dataset_id)
    spec = _spec(params, dataset_id, manifest)
    chosen = selected(params, inversion, manifest)
    lesson = _lesson(context, params, inversion, generator, spec, chosen)
    sha256 = parents.document(context, "generators", inversion["generator_id"])["sha256"]
    made, record = train_on(lesson, sha256, config, context.report)
    return made, {
        "training": {**record, "config": config.model_dump(mode="json")},
        "left_out": chosen.left_out,
        "agreement": checked(context, lesson, config, dataset_id, chosen.manifest),
    }


def _spec(params: TrainParams, dataset_id: str, manifest: DatasetManifest) -> LabelSpec:
    """What is learnt."""
    spec = taken(dataset_id, manifest.labels, params.kind)
    if isinstance(spec, Misfit):
        raise TaskFailed("kind_missing", str(spec))
    return spec


def _lesson(
    context: TaskContext,
    params: TrainParams,
    inversion: dict[str, Any],
    generator: Generator,
    spec: LabelSpec,
    chosen: Selection,
) -> Lesson:
    """The images that are left, on the worker's device."""
    labels, sizes = [], []
    for sample in parents.samples(context, inversion["dataset_id"], chosen.manifest):
        labels.append(sample.labels[spec.kind])
        sizes.append((sample.image.shape[0], sample.image.shape[1]))
    latents = parents.latents(context, params.inversion_id, inversion)[list(chosen.rows)]
    mode, report = params.config.mode, context.report
    return lesson_of(generator, latents, labels, spec, mode, report, sizes, context.scratch)


def _calibration(
    context: TaskContext, generator: Generator, made: LabelGenerator, params: TrainParams
) -> dict[str, Any]:
    """The card's entries on scores and speed."""
    config = params.config
    (found,) = calibrate(
        generator, [made], config.psi, config.calibration_samples, config.seed, context.report
    )
    measured = asdict(found)
    speed = {name: measured.pop(name) for name in ("images_per_second", "bytes_per_sample")}
    device = {"device": context.runtime.device.type, "threads": torch.get_num_threads()}
    return {"calibration": measured, "throughput": {**speed, **device}}


def _write_preview(
    context: TaskContext, generator: Generator, made: LabelGenerator, psi: float
) -> str:
    """Generated images beside their labels and where the members disagree."""
    kind, brightest = kind_of(made.spec), made.head.brightest(len(made.layers.b1))
    cells = []
    for some in in_portions(range(PREVIEWED), COLUMNS):
        drawn = draw(generator, [made], [philox("preview", index) for index in some], psi)
        (labels,) = drawn.labels
        found = (labels.values.numpy(), labels.uncertainty.numpy())
        for image, label, doubt in zip(drawn.images, *found, strict=True):
            cells += [image, kind.picture(image, label), heat(doubt / brightest)]
    captions = ("image", "label", "uncertainty") * COLUMNS
    sheet = contact_sheet(list(in_portions(cells, 3 * COLUMNS)), captions, tile=128)
    return publish_picture(context, sheet, attempt_path(context, "preview.png"))


def _parents(
    context: TaskContext, params: TrainParams, inversion: dict[str, Any]
) -> dict[str, Any]:
    """Where the label generator comes from: ids, and the digests of what they stood for."""
    generator_id, dataset_id = inversion["generator_id"], inversion["dataset_id"]
    return {
        "generator_id": generator_id,
        "inversion_id": params.inversion_id,
        "dataset_id": dataset_id,
        "lineage": {
            **origins.lineage(context, generator_id, dataset_id),
            "inversion": {"id": params.inversion_id, **inversion["latents"]},
        },
    }

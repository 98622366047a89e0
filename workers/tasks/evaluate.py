"""Judges a generation or a dataset by the network that can be trained on it."""

from typing import Any

from models.data.manifest import GenerationManifest
from models.data.sample import read_sample
from models.data.shards import read_shard
from models.downstream import Judgement, LabelledImages, judge
from models.labels import LabelSpec
from workers import keys
from workers.errors import TaskFailed
from workers.params import EvaluationParams
from workers.tasks import parents
from workers.tasks.context import TaskContext


def run(context: TaskContext) -> None:
    """Write the report.

    Raises:
        TrainingImpossible: the recipe does not fit the classes.
        TaskFailed: `parent_not_ready`, or `labels_differ`.
    """
    final = keys.FINAL["evaluations"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(EvaluationParams)
    spec, train = _training_data(context, params)
    validation = _real(context, params.validation_dataset_id, spec)
    test = _real(context, params.test_dataset_id, spec)
    found = judge(
        train, validation, test, spec, params.recipe, context.runtime.device, context.report
    )
    report = {
        "schema_version": 1,
        "trained_on": {
            "generation_id": params.generation_id,
            "dataset_id": params.dataset_id,
            "images": len(train.images),
        },
        "validation_dataset_id": params.validation_dataset_id,
        "test_dataset_id": params.test_dataset_id,
        "test_images": len(test.images),
        "recipe": params.recipe.model_dump(mode="json"),
        **_figures(found),
    }
    context.put_json(final, report)


def _figures(found: Judgement) -> dict[str, Any]:
    """The report's numbers, and the one on validation that the checkpoint was chosen by."""
    return {
        **found.figures,
        f"validation_{found.chosen_by}": found.validation[found.chosen_by],
        "best_step": found.best_step,
        "seconds": found.seconds,
    }


def _training_data(
    context: TaskContext, params: EvaluationParams
) -> tuple[LabelSpec, LabelledImages]:
    """What is trained on, and what its labels mean."""
    if params.dataset_id is not None:
        spec = parents.dataset(context, params.dataset_id).label
        return spec, _real(context, params.dataset_id, spec)
    assert params.generation_id is not None
    found = parents.document(context, "generations", params.generation_id)
    manifest = GenerationManifest.model_validate(found)
    return manifest.label, _generated(context, params.generation_id, manifest)


def _real(context: TaskContext, dataset_id: str, spec: LabelSpec) -> LabelledImages:
    """A dataset whose classes must be those of `spec`."""
    manifest = parents.dataset(context, dataset_id)
    if manifest.label.classes != spec.classes:
        problem = f"{dataset_id} has the classes {', '.join(manifest.label.classes)}"
        wanted = f"what is trained on has {', '.join(spec.classes)}"
        raise TaskFailed("labels_differ", f"{problem}; {wanted}")
    samples = list(parents.samples(context, dataset_id, manifest))
    return LabelledImages([s.image for s in samples], [s.mask for s in samples])


def _generated(
    context: TaskContext, generation_id: str, manifest: GenerationManifest
) -> LabelledImages:
    """All samples of a generation."""
    images, masks = [], []
    path = context.scratch / "shard.tar"
    for done, shard in enumerate(manifest.shards, start=1):
        context.store.get_file(context.parent_key("generations", generation_id, shard.path), path)
        with path.open("rb") as file:
            for sample in read_shard(file):
                kind = next(e for e in sample.members if e in ("png", "jpg", "webp"))
                image, mask = ((f"{sample.key}.{e}", sample.members[e]) for e in (kind, "mask.png"))
                read = read_sample(sample.key, image, mask, manifest.label)
                images.append(read.image)
                masks.append(read.mask)
        context.report("reading", done, len(manifest.shards), "shards")
    return LabelledImages(images, masks)

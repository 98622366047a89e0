"""Judges a generation or a dataset by the network that can be trained on it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.data.labelled import Labelled
from models.data.manifest import FileEntry, GenerationManifest
from models.data.ranks import is_ranked
from models.data.sample import labelled_of
from models.data.shards import read_shard
from models.data.table import kept_in
from models.downstream import Judgement, LabelledImages, judge
from models.labels import LabelSpec
from workers import keys
from workers.digests import checked_file
from workers.errors import TaskFailed
from workers.label_kinds import Misfit, comparable, judged
from workers.params import EvaluationParams
from workers.tasks import parents
from workers.tasks.context import TaskContext


@dataclass(frozen=True)
class _Source:
    """Labelled pictures that can be trained on, and what all their labels mean."""

    id: str
    labels: tuple[LabelSpec, ...]
    samples: Iterable[Labelled]


def run(context: TaskContext) -> None:
    """Write the report.

    Raises:
        TrainingImpossible: the recipe does not fit the labels, or nothing is labelled.
        TaskFailed: `parent_not_ready`, `kind_missing` or `labels_differ`.
    """
    final = keys.FINAL["evaluations"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(EvaluationParams)
    source = _source(context, params)
    spec = judged(source.id, source.labels, params.kind)
    if isinstance(spec, Misfit):
        raise TaskFailed("kind_missing", str(spec))
    # Validation and test first: that they do not fit shall not be found after hours of reading.
    validation = _real(context, params.validation_dataset_id, spec)
    test = _real(context, params.test_dataset_id, spec)
    train = _of_kind(source.samples, spec)
    found = judge(
        train, validation, test, spec, params.recipe, context.runtime.device, context.report
    )
    report = {
        "schema_version": 1,
        "kind": spec.kind,
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


def _source(context: TaskContext, params: EvaluationParams) -> _Source:
    """What is trained on."""
    if params.dataset_id is not None:
        found = parents.dataset(context, params.dataset_id)
        samples = parents.samples(context, params.dataset_id, found)
        return _Source(params.dataset_id, found.labels, samples)
    assert params.generation_id is not None
    document = parents.document(context, "generations", params.generation_id)
    manifest = GenerationManifest.model_validate(document)
    generated = _generated(context, params.generation_id, manifest)
    return _Source(params.generation_id, manifest.labels, generated)


def _real(context: TaskContext, dataset_id: str, spec: LabelSpec) -> LabelledImages:
    """A dataset whose labels must mean what `spec` says."""
    manifest = parents.dataset(context, dataset_id)
    found = comparable(spec, dataset_id, manifest.labels)
    if isinstance(found, Misfit):
        raise TaskFailed("labels_differ", str(found))
    return _of_kind(parents.samples(context, dataset_id, manifest), found)


def _of_kind(samples: Iterable[Labelled], spec: LabelSpec) -> LabelledImages:
    """Pictures with their labels of one kind alone."""
    images, labels = [], []
    for sample in samples:
        images.append(sample.image)
        labels.append(sample.labels[spec.kind])
    return LabelledImages(images, labels)


def _generated(
    context: TaskContext, generation_id: str, manifest: GenerationManifest
) -> Iterator[Labelled]:
    """The samples of a generation; where it marks some as kept, only those."""
    path = context.scratch / "shard.tar"
    kept = _kept(context, generation_id, manifest) if is_ranked(manifest.plan) else None
    for done, shard in enumerate(manifest.shards, start=1):
        _fetch(context, generation_id, shard, path)
        with path.open("rb") as file:
            for sample in read_shard(file):
                if kept is None or int(sample.key) in kept:
                    yield labelled_of(sample, manifest.labels)
        context.report("reading", done, len(manifest.shards), "shards")


def _kept(context: TaskContext, generation_id: str, manifest: GenerationManifest) -> set[int]:
    """Indices of the samples that a generation marks as kept."""
    table = context.scratch / "metadata.parquet"
    [entry] = [file for file in manifest.files if file.path == table.name]
    return kept_in(_fetch(context, generation_id, entry, table))


def _fetch(context: TaskContext, generation_id: str, file: FileEntry, target: Path) -> Path:
    """Bring a file of a generation here, as its manifest names it."""
    key = context.parent_key("generations", generation_id, file.path)
    context.store.get_file(key, target)
    return checked_file(target, file.sha256, key)

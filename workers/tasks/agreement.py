"""Checks a label generator's images against one another, and shows which ones do not agree."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.configs import LabelGeneratorConfig
from models.data.kinds import kind_of
from models.data.labelled import Labelled
from models.data.manifest import DatasetManifest
from models.data.pictures import contact_sheet, heat
from models.downstream.resizing import label_at, picture_at
from models.label_agreement import Agreement, label_agreement
from models.lessons import Lesson
from workers.tasks import parents
from workers.tasks.context import TaskContext
from workers.tasks.outputs import attempt_path, publish_picture

SHOWN = 24
"""Images on the sheet, at most."""


def checked(
    context: TaskContext,
    lesson: Lesson,
    config: LabelGeneratorConfig,
    dataset_id: str,
    manifest: DatasetManifest,
) -> dict[str, Any] | None:
    """The card's entry: how each image agrees with the others, the worst first.

    Args:
        context: of the step.
        lesson: what was learnt; its features are changed.
        config: how.
        dataset_id: where the images are.
        manifest: the dataset's, with the lesson's images alone, in its order.

    Returns:
        None where there are too few images to compare.
    """
    found = label_agreement(lesson, config, context.report)
    if not found:
        return None
    keys = [item.key for item in manifest.items]
    order = sorted(range(len(found)), key=lambda at: _badness(found[at]))
    return {
        "images": [_entry(keys[at], found[at]) for at in order],
        "suspects": [keys[at] for at in order if found[at].suspect],
        "sheet": _write_sheet(context, lesson, found, dataset_id, manifest, order[:SHOWN]),
    }


def _badness(agreement: Agreement) -> float:
    """What the worst has least of."""
    return math.inf if math.isnan(agreement.error) else -agreement.error


def _entry(key: str, agreement: Agreement) -> dict[str, Any]:
    error = None if math.isnan(agreement.error) else agreement.error
    figures = {"error": error, **agreement.figures}
    return {"key": key, "suspect": agreement.suspect, **figures}


def _write_sheet(
    context: TaskContext,
    lesson: Lesson,
    found: Sequence[Agreement],
    dataset_id: str,
    manifest: DatasetManifest,
    shown: Sequence[int],
) -> str:
    """Images beside their labels, what the others say, and where that differs; its path."""
    wanted = {manifest.items[at].key: at for at in shown}
    few = manifest.model_copy(update={"items": tuple(manifest.items[at] for at in shown)})
    rows, titles = [], []
    for sample in parents.samples(context, dataset_id, few):
        agreement = found[wanted[sample.key]]
        rows.append(_row(lesson, sample, agreement))
        mark = "suspect" if agreement.suspect else ""
        titles.append(f"{sample.key}   error {agreement.error:.3f}   {mark}")
    captions = ("image", "label", "what others say", "difference")
    sheet = contact_sheet(rows, captions, tile=160, titles=titles)
    whole = np.concatenate([sheet, kind_of(lesson.spec).legend(sheet.shape[1])])
    return publish_picture(context, whole, attempt_path(context, "agreement.png"))


def _row(lesson: Lesson, sample: Labelled, agreement: Agreement) -> list[Any]:
    """Pictures [H, W, 3] of an image, all at the lesson's size."""
    kind, spec, size = kind_of(lesson.spec), lesson.spec, lesson.size
    image = picture_at(sample.image, size)
    own = label_at(sample.labels[spec.kind], spec, sample.image.shape[:2], size)
    labels = (kind.picture(image, label) for label in (own, agreement.predicted))
    return [image, *labels, heat(agreement.mismatch)]

"""The kinds of label that can be judged: one file each beside this one, and one line here."""

from collections.abc import Mapping
from typing import Any

from models.configs import Recipe
from models.downstream.base import LabelledImages, Task
from models.downstream.depth import DepthTask
from models.downstream.keypoints import KeypointsTask
from models.downstream.segmentation import SegmentationTask
from models.labels import LabelSpec

TASKS: Mapping[str, Any] = {
    "segmentation": SegmentationTask,
    "keypoints": KeypointsTask,
    "depth": DepthTask,
}


def task_of(spec: LabelSpec, recipe: Recipe, train: LabelledImages) -> Task:
    """The task of learning labels of `spec` from `train`.

    Raises:
        TrainingImpossible: the recipe does not fit the labels.
    """
    task: Task = TASKS[spec.kind](spec, recipe, train)
    return task

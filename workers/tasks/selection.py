"""Which images of an inversion a label generator learns from, and which are left out."""

from dataclasses import dataclass
from typing import Any

from models.data.manifest import DatasetManifest
from models.outliers import left_out
from workers.errors import TaskFailed
from workers.exclusions import unknown
from workers.params import SelectionParams


@dataclass(frozen=True)
class Selection:
    """The images that are learnt from.

    Attributes:
        manifest: the dataset's, with those images alone.
        rows: their places among the inversion's latents.
        left_out: the others: key, distance, and what says so (`models.outliers.left_out`).
    """

    manifest: DatasetManifest
    rows: tuple[int, ...]
    left_out: tuple[dict[str, Any], ...]


def selected(
    params: SelectionParams, inversion: dict[str, Any], manifest: DatasetManifest
) -> Selection:
    """What the parameters leave of an inversion's images.

    Args:
        params: which are to be left out.
        inversion: its report, whose images are the dataset's, in order.
        manifest: of the dataset.

    Raises:
        TaskFailed: `unknown_images`, if keys to exclude are none of the dataset's.
        TrainingImpossible: fewer than two images would be left.
    """
    names = [item.key for item in manifest.items]
    if misfit := unknown(inversion["dataset_id"], params.exclude, names):
        raise TaskFailed("unknown_images", f"exclude: {misfit}")
    distances = [image["distance"] for image in inversion["images"]]
    excluded = [place for place, name in enumerate(names) if name in set(params.exclude)]
    gone = left_out(distances, params.max_distance, params.drop_worst, excluded)
    rows = tuple(place for place in range(len(names)) if place not in gone)
    return Selection(
        manifest.model_copy(update={"items": tuple(manifest.items[row] for row in rows)}),
        rows,
        tuple(
            {"key": names[place], "why": why, "distance": distances[place]}
            for place, why in gone.items()
        ),
    )

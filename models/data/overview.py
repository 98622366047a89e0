"""One picture of many labelled pictures, for people. Pure."""

from collections.abc import Sequence

import numpy as np

from models.data.images import Pixels
from models.data.kinds import kind_of
from models.data.labelled import LabelArray
from models.data.pictures import contact_sheet
from models.labels import LabelSpec

_CELLS = 8
"""Pictures in a row, about."""


def labelled_overview(
    samples: Sequence[tuple[Pixels, Sequence[LabelArray]]], labels: Sequence[LabelSpec]
) -> Pixels:
    """Pictures beside their labels, several samples a row, with legends below.

    Args:
        samples: (picture [H, W, 3], its label of each of `labels`), at least one.
        labels: what the labels mean.
    """
    kinds = [kind_of(spec) for spec in labels]
    cells = [
        cell
        for image, found in samples
        for cell in (
            image,
            *(kind.picture(image, label) for kind, label in zip(kinds, found, strict=True)),
        )
    ]
    captions = ("image", "label") if len(labels) == 1 else ("image", *(s.kind for s in labels))
    wide = max(1, _CELLS // len(captions)) * len(captions)
    rows = [cells[start : start + wide] for start in range(0, len(cells), wide)]
    sheet = contact_sheet(rows, captions * (len(rows[0]) // len(captions)), tile=160)
    return np.concatenate([sheet, *(kind.legend(sheet.shape[1]) for kind in kinds)])

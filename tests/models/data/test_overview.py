import numpy as np
import pytest

from models.data.overview import labelled_overview
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))
MASKS = SegmentationSpec(classes=("a", "b", "c"), palette=PALETTE)


def flat(colour, height=160, width=160):
    """
    A picture of one colour.
    """
    return np.full((height, width, 3), colour, dtype=np.uint8)


@pytest.mark.parametrize(("samples", "rows"), [(1, 1), (4, 1), (5, 2), (16, 4)])
def test_an_overview_shows_samples_and_their_labels(samples, rows):
    """
    Any number of samples is laid out four a row, each beside its painted mask.
    """
    mask = np.full((160, 160), 2, dtype=np.uint8)

    sheet = labelled_overview([(flat((1, 2, 3)), [mask])] * samples, [MASKS])

    assert rows * 164 < len(sheet) < rows * 164 + 70
    assert (sheet == (1, 2, 3)).all(axis=-1).sum() == samples * 160 * 160
    assert (sheet == PALETTE[2]).all(axis=-1).sum() >= samples * 160 * 160


def test_every_kind_has_a_picture_of_its_own():
    """
    Beside a picture stand its labels in their order, and a legend for each below.
    """
    labels = [MASKS, KeypointsSpec(names=("nose",)), DepthSpec()]
    found = [
        np.full((160, 160), 1, dtype=np.uint8),
        np.array([[80, 80, 2]], dtype=np.float32),
        np.full((160, 160), np.nan, dtype=np.float32),
    ]

    sheet = labelled_overview([(flat((1, 2, 3)), found)] * 3, labels)

    first = sheet[22 + 4 + 5]  # A row of pixels near the top of the first pictures.
    assert [tuple(first[4 + 164 * place].tolist()) for place in range(4)] == [
        (1, 2, 3),
        PALETTE[1],
        (1, 2, 3),
        (128, 128, 128),
    ]
    assert len(sheet) > 2 * 164 + 3 * 22

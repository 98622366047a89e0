import numpy as np
import pytest

from tests.benchmarks.agreement import EYE_CLASS, agreement, distances
from tests.benchmarks.faces import Faces, renders


def mask():
    """
    A mask with one pixel of an eye, in row 4 and column 4.
    """
    found = np.zeros((9, 9), np.uint8)
    found[4, 4] = EYE_CLASS
    return found


@pytest.mark.parametrize(
    ("point", "expected"),
    [((4, 4), 0.0), ((4.5, 3.5), 0.0), ((4, 6), 1.5), ((1.5, 0.5), np.hypot(2, 3))],
)
def test_measures_from_the_edge_of_a_pixel(point, expected):
    """
    A pixel is a square: a point in it is at no distance, others are measured to its edge.
    """
    assert distances(mask(), np.array([(*point, 2.0)])) == pytest.approx([expected])


def test_leaves_out_what_is_not_seen():
    """
    Hidden and absent points say nothing; a seen one without any eye is infinitely far.
    """
    points = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [8.0, 8.0, 2.0]])

    assert len(distances(mask(), points)) == 1
    assert np.isinf(distances(np.zeros((9, 9), np.uint8), points)).all()


def test_exact_labels_agree():
    """
    On faces as they were drawn every eye that is seen lies within a pixel of the mask's.
    """
    faces = renders(32, 5)

    found = agreement(faces)

    assert found["near"] == 1.0
    assert 20 < found["samples"] <= 32
    assert found["distances"][2] <= 1.0


def test_one_eye_too_far_spoils_a_sample():
    """
    A sample counts only if all its eyes that are seen are near.
    """
    points = np.zeros((8, 3))
    points[0], points[1] = (4, 4, 2), (4, 8, 2)
    far, near = points.copy(), points.copy()
    near[1, 1] = 5.5
    labels = {"segmentation": [mask(), mask()], "keypoints": [far, near]}

    assert agreement(Faces(labels=labels))["near"] == 0.5

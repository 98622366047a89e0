import json

import numpy as np
import pytest

from models.data.kinds import kind_of
from models.errors import InvalidImage
from models.labels import KeypointsSpec

SPEC = KeypointsSpec(names=("nose", "left | eye"), skeleton=((0, 1),))
KIND = kind_of(SPEC)
SIZE = (8, 6)
LABEL = np.array([[1.5, 2.25, 2], [0, 5, 1]], dtype=np.float32)


def document(**changes):
    """
    A keypoints.json.
    """
    return json.dumps({**json.loads(KIND.encode(LABEL)), **changes}).encode()


class TestFile:
    def test_is_in_cocos_order(self):
        """
        x (column), y (row), visibility of each point, in one list; all numbers are floats.
        """
        data = KIND.encode(LABEL)

        assert data == (
            b'{"confidence": [1.0, 1.0], "keypoints": [2.25, 1.5, 2.0, 5.0, 0.0, 1.0], '
            b'"names": ["nose", "left | eye"]}'
        )

    def test_brings_back_the_points(self):
        """
        Row, column and visibility are as they were.
        """
        np.testing.assert_array_equal(LABEL, KIND.decode(KIND.encode(LABEL), "k", SIZE))

    def test_keeps_the_confidence_of_predicted_points(self):
        """
        A label generator's fourth column stands beside the points and in the figures.
        """
        predicted = np.hstack([LABEL, np.float32([[0.75], [0.5]])])

        assert json.loads(KIND.encode(predicted))["confidence"] == [0.75, 0.5]
        assert KIND.figures(predicted) == {"nose": 0.75, "left | eye": 0.5}
        np.testing.assert_array_equal(LABEL, KIND.decode(KIND.encode(predicted), "k", SIZE))

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"{", "no keypoints.json"),
            (b"[]", "no keypoints.json"),
            (document(keypoints="x"), "no keypoints.json"),
            (document(names=["nose"]), "holds the points nose; the label has nose, left"),
            (document(keypoints=[1, 2, 2]), "has 3 numbers for 2 points"),
            (document(keypoints=[1, 2, 2, float("nan"), 0, 0]), "for 2 points"),
        ],
    )
    def test_names_what_is_wrong(self, data, problem):
        """
        Another file, other points or numbers that are none are refused by name.
        """
        with pytest.raises(InvalidImage, match=f"^k: .*{problem}"):
            KIND.decode(data, "k", SIZE)


class TestPicture:
    def test_shows_seen_points_as_dots_and_hidden_ones_as_rings(self):
        """
        A point that is not there is not drawn; the picture itself stays as it is.
        """
        image = np.zeros((100, 100, 3), dtype=np.uint8)
        label = np.array([[50, 20, 2], [50, 80, 1]], dtype=np.float32)

        drawn = KIND.picture(image, label)

        assert drawn[50, 20].any()
        assert not image.any()
        assert drawn[50, 50].any()  # On the line between the two.
        absent = KIND.picture(image, label * [1, 1, 0])
        assert not absent.any()
        apart = kind_of(SPEC.model_copy(update={"skeleton": ()})).picture(image, label)
        assert not apart[50, 80].any()
        assert apart[50, 79:83].any()

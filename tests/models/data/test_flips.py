import numpy as np
import pytest

from models.data.flips import exchange, mirrored
from models.data.labelled import Labelled
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

SPECS = (
    SegmentationSpec(classes=("background", "left ear", "right ear", "nose"), ignore_index=255),
    KeypointsSpec(names=("left", "right", "tip"), flip_pairs=((0, 1),)),
    DepthSpec(),
)


def item():
    """
    Two rows of five pixels, all different, with labels of all kinds.
    """
    return Labelled(
        "k",
        np.arange(30, dtype=np.uint8).reshape(2, 5, 3),
        {
            "segmentation": np.array([[1, 1, 3, 0, 2], [255, 0, 3, 2, 2]], dtype=np.uint8),
            "keypoints": np.array([(0, 0, 2), (1, 3.5, 1), (0, 0, 0)], dtype=np.float32),
            "depth": np.array([[1, 2, 3, 4, np.nan]] * 2, dtype=np.float32),
        },
        "k.png",
    )


class TestMirrored:
    def test_left_becomes_right(self):
        """
        In a mirror the left ear is the right one, wherever it is drawn; what is ignored stays so.
        """
        made = mirrored(item(), SPECS, class_pairs=[(1, 2)])

        assert made.labels["segmentation"].tolist() == [[1, 0, 3, 2, 2], [1, 1, 3, 0, 255]]

    def test_points_change_places_and_names(self):
        """
        The point at the right edge comes to the left edge and is the left one; a point without a
        label does not move.
        """
        made = mirrored(item(), SPECS)

        assert made.labels["keypoints"].tolist() == [[1, 0.5, 1], [0, 4, 2], [0, 0, 0]]

    def test_all_is_mirrored_alike(self):
        """
        Picture and depth have their columns in reverse; key and origin stay.
        """
        before = item()
        made = mirrored(before, SPECS)

        np.testing.assert_array_equal(before.image[:, [4, 3, 2, 1, 0]], made.image)
        np.testing.assert_array_equal(before.labels["depth"][:, ::-1], made.labels["depth"])
        assert (made.key, made.origin) == ("k", "k.png")

    def test_twice_is_nothing(self):
        """
        The mirror of a mirror is the item, and the item itself was never changed.
        """
        before = item()

        twice = mirrored(mirrored(before, SPECS, [(1, 2)]), SPECS, [(1, 2)])

        np.testing.assert_array_equal(before.image, twice.image)
        for kind, label in item().labels.items():
            np.testing.assert_array_equal(label, before.labels[kind])
            np.testing.assert_array_equal(label, twice.labels[kind])
            assert label.dtype == twice.labels[kind].dtype

    def test_strange_classes_are_refused(self):
        """
        An id that is no class cannot change places.
        """
        with pytest.raises(ValueError, match=r"pair \(1, 4\) is not within 0 to 3"):
            mirrored(item(), SPECS, class_pairs=[(1, 4)])


def test_nothing_is_in_two_pairs():
    """
    Left cannot be the mirror of two things.
    """
    with pytest.raises(ValueError, match=r"\(1, 2\) is in another pair too"):
        exchange(4, [(0, 1), (1, 2)])

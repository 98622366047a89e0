import numpy as np
import pytest

from models.data.labelled import Labelled
from models.data.overlays import COLUMNS, ingest_sheet, overlay
from models.data.pictures import UNLABELLED
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

MASK = SegmentationSpec(
    classes=("ground", "thing", "other"),
    palette=((0, 0, 0), (255, 0, 0), (0, 0, 255)),
    ignore_index=255,
)
POINTS = KeypointsSpec(names=("a", "b"), skeleton=((0, 1),))
DEPTH = DepthSpec()


def grey(height=40, width=60, level=100):
    """
    A picture of one grey.
    """
    return np.full((height, width, 3), level, dtype=np.uint8)


def item(key, **size):
    """
    A picture with a label of each kind.
    """
    image = grey(**size)
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    mask[10:20, 10:20] = 1
    labels = {
        "segmentation": mask,
        "keypoints": np.array([(5, 5, 2), (30, 30, 2)], dtype=np.float32),
        "depth": np.full(image.shape[:2], 4, dtype=np.float32),
    }
    return Labelled(key, image, labels, key)


class TestMasks:
    def test_classes_tint_and_background_does_not(self):
        """
        Inside a thing the picture takes some of its colour; where there is only background it is
        as it was.
        """
        drawn = overlay(grey(), item("k").labels["segmentation"], MASK)

        red, green, blue = drawn[15, 15]
        assert red > 100 > green == blue > 0
        assert drawn[30, 40].tolist() == [100, 100, 100]

    def test_borders_have_the_full_colour(self):
        """
        The last pixels of a thing, and the background's above and left of it, show the classes'
        own colours.
        """
        drawn = overlay(grey(), item("k").labels["segmentation"], MASK)

        assert drawn[19, 15].tolist() == drawn[15, 19].tolist() == [255, 0, 0]
        assert drawn[9, 15].tolist() == drawn[15, 9].tolist() == [0, 0, 0]
        borders = (drawn == [255, 0, 0]).all(axis=-1) | (drawn == [0, 0, 0]).all(axis=-1)
        assert borders.sum() == 19 + 20

    def test_pixels_without_a_label_are_told_apart(self):
        """
        What is ignored is tinted too, in the grey of things without a class.
        """
        mask = np.full((40, 60), 255, dtype=np.uint8)

        drawn = overlay(grey(level=0), mask, MASK)

        assert 0 < drawn[0, 0, 0] < UNLABELLED[0]
        assert np.ptp(drawn) == 0


def test_points_are_where_they_are():
    """
    Dots lie on their points, a line between them, and the picture stays elsewhere.
    """
    drawn = overlay(grey(), item("k").labels["keypoints"], POINTS)

    changed = (drawn != 100).any(axis=-1)
    assert changed[5, 5]
    assert changed[30, 30]
    assert changed[18, 18]
    assert not changed[5, 50]


def test_depth_tints_where_it_is_known():
    """
    Near and far differ in colour; where there is no depth the picture stays.
    """
    depth = np.full((40, 60), np.nan, dtype=np.float32)
    depth[:, :20], depth[:, 20:40] = 1, 9

    drawn = overlay(grey(), depth, DEPTH)

    assert (drawn[:, :20] != drawn[:, 20:40]).any(axis=-1).all()
    assert (drawn[:, 40:] == 100).all()


@pytest.mark.parametrize("spec", [MASK, POINTS, DEPTH], ids=lambda spec: spec.kind)
def test_the_picture_itself_is_not_drawn_on(spec):
    """
    An overlay is a new picture.
    """
    one = item("k")

    assert (overlay(one.image, one.labels[spec.kind], spec) != one.image).any()
    assert (one.image == 100).all()


class TestIngestSheet:
    def test_has_a_row_for_pictures_and_one_for_each_kind(self):
        """
        Three kinds make a sheet of four rows of tiles with a legend for each kind.
        """
        only, all_kinds = (ingest_sheet([item("k")], specs) for specs in ([MASK], [MASK, POINTS]))

        assert only.ndim == 3
        assert all_kinds.shape[0] - only.shape[0] > 120

    def test_bands_of_any_width_fit_together(self):
        """
        A last band that is not full, and items of other sizes, make one sheet all the same.
        """
        items = [item(f"item-{index}") for index in range(COLUMNS)]
        one_band = ingest_sheet(items, [MASK])

        two_bands = ingest_sheet([*items, item("tall", height=90, width=30)], [MASK, DEPTH])

        assert two_bands.shape[0] > 2 * one_band.shape[0] - 100
        assert one_band.shape[1] == two_bands.shape[1]

    def test_a_missing_kind_leaves_the_picture(self):
        """
        An item that lacks a label shows its picture there, and spoils nothing.
        """
        bare = Labelled("bare", grey(), {}, "bare")

        sheet = ingest_sheet([item("k"), bare], [MASK])

        assert sheet.dtype == np.uint8

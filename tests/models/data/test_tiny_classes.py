import numpy as np
import pytest

from models.data.tiny_classes import (
    least_pixels,
    tiny_classes,
    without_tiny_classes,
)
from models.labels import SegmentationSpec

SPEC = SegmentationSpec(classes=("background", "skin", "ear", "ring"), ignore_index=255)


def mask_with(size, **pixels):
    """
    A mask of skin with so many pixels of other ids, e.g. id_2=29.
    """
    mask = np.ones(size, dtype=np.uint8)
    flat, start = mask.reshape(-1), 0
    for name, count in pixels.items():
        flat[start : start + count] = int(name.removeprefix("id_"))
        start += count
    return mask


@pytest.mark.parametrize(
    ("size", "least"), [((512, 512), 30), ((384, 512), 22.5), ((64, 64), 15 / 32)]
)
def test_the_limit_grows_with_the_area(size, least):
    """
    30 pixels at 512 x 512, and as large a share of any other picture.
    """
    assert least == least_pixels(size)


class TestTinyClasses:
    @pytest.mark.parametrize(
        ("size", "last_tiny"), [((512, 512), 29), ((1024, 512), 59), ((384, 512), 22)]
    )
    def test_one_pixel_decides(self, size, last_tiny):
        """
        A class with one pixel fewer than the limit is too small; on the limit it is not.
        """
        found = tiny_classes(mask_with(size, id_2=last_tiny, id_3=last_tiny + 1), SPEC)

        assert found == {"ear": last_tiny}

    def test_background_and_ignored_pixels_are_never_too_few(self):
        """
        One stray pixel without a label is no fault of a class.
        """
        assert tiny_classes(mask_with((512, 512), id_0=1, id_255=1), SPEC) == {}

    def test_an_absent_class_is_not_tiny(self):
        """
        What is not there at all needs no report.
        """
        assert tiny_classes(mask_with((512, 512)), SPEC) == {}


class TestCleaning:
    def test_tiny_classes_become_background(self):
        """
        What was reported is gone, and nothing else is changed.
        """
        mask = mask_with((512, 512), id_2=29, id_3=30, id_255=1)

        cleaned = without_tiny_classes(mask, SPEC)

        np.testing.assert_array_equal(np.where(mask == 2, 0, mask), cleaned)
        assert np.uint8 == cleaned.dtype
        assert tiny_classes(cleaned, SPEC) == {}

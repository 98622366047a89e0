import numpy as np
import pytest

from models.data.resampling import nearest


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_enlarging_by_whole_numbers_repeats_pixels(scale):
    """
    Each pixel becomes a block of its own value; shrunk again, the image is what it was.
    """
    mask = np.random.default_rng(0).integers(0, 9, (4, 6), dtype=np.uint8)

    large = nearest(mask, (4 * scale, 6 * scale))

    np.testing.assert_array_equal(large, np.kron(mask, np.ones((scale, scale), np.uint8)))
    np.testing.assert_array_equal(nearest(large, (4, 6)), mask)


def test_takes_what_lies_at_the_centre():
    """
    Of five pixels shrunk to two, the second's centre lies at 3.75: in pixel 3.
    """
    assert nearest(np.arange(5)[None], (1, 2)).tolist() == [[1, 3]]

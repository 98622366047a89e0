import numpy as np
import pytest
from pycocotools import mask as pycocotools

from models.data.formats.coco_json import BadEntry
from models.data.formats.coco_masks import MAX_OUTLINE, paint, runs
from tests.support.layouts_coco import box, even_odd

SIZE = (6, 8)


def covered(segmentation, size=SIZE):
    """
    The pixels of one thing, bool [H, W].
    """
    return paint([(1, segmentation)], size) == 1


def rectangle(top, left, bottom, right, size=SIZE):
    """
    The pixels of a box, bool [H, W].
    """
    pixels = np.zeros(size, dtype=bool)
    pixels[top:bottom, left:right] = True
    return pixels


class TestPolygons:
    @pytest.mark.parametrize("seed", range(8))
    def test_cover_the_pixels_whose_centres_they_hold(self, seed):
        """
        Polygons of any shape, partly outside of pictures of any size, cover what the even-odd
        rule says at the pixels' centres. Pixels with centres within 0.3 of an edge may differ,
        for pycocotools rounds corners to fifths of a pixel.
        """
        stream = np.random.default_rng(seed)
        size = tuple(int(side) for side in stream.integers(20, 90, 2))
        polygon = (stream.random((stream.integers(3, 10), 2)) * 1.4 - 0.2) * size[::-1]

        found = covered([polygon.ravel().tolist()], size)

        inside, distance = even_odd(polygon, size)
        clear = distance > 0.3
        assert clear.mean() > 0.8
        np.testing.assert_array_equal(found[clear], inside[clear])

    def test_of_whole_pixels_are_exact(self):
        """
        Pixel i covers [i, i + 1): a box around pixels covers these and no others.
        """
        np.testing.assert_array_equal(covered([box(1, 2, 4, 7)]), rectangle(1, 2, 4, 7))

    def test_of_one_thing_are_united(self):
        """
        Two polygons of one thing cover what either of them covers, also where both do.
        """
        found = covered([box(0, 0, 3, 3), box(2, 2, 5, 5)])

        np.testing.assert_array_equal(found, rectangle(0, 0, 3, 3) | rectangle(2, 2, 5, 5))

    def test_are_cut_off_at_the_edge(self):
        """
        What lies outside of the picture is cut off without a change to what lies within.
        """
        np.testing.assert_array_equal(covered([box(-9, -2, 4, 3)]), rectangle(0, 0, 4, 3))
        np.testing.assert_array_equal(covered([box(4, 6, 99, 10)]), rectangle(4, 6, 6, 8))

    @pytest.mark.parametrize(
        ("polygon", "problem"),
        [
            ([1, 1, 5, 1, 5], "has 5 coordinates; it needs an even number, at least 6"),
            ([1, 1, 5, 5], "has 4 coordinates"),
            ([1, 1, 5, float("nan"), 5, 5], "has nan at place 3"),
            ([1, 1, 5, float("inf"), 5, 5], "has inf at place 3"),
            ([1, 1, "5", 1, 5, 5], "is not a list of numbers"),
            ([[1, 1], [5, 1], [5, 5]], "is not a list of numbers"),
            ([[1, 1], 5], "is not a list of numbers"),
            ([], "is not a list of numbers"),
            (box(0, 8, 2, 12), "lies outside of its picture of 6 x 8 pixels"),
            (box(-3, 0, 0, 4), "lies outside of its picture of 6 x 8 pixels"),
            ([0, 0, 1e12, 0, 0, 1], "write them in pixels of the picture"),
            ([-1e308, 0, 1e308, 0, 0, 1], "write them in pixels of the picture"),
            ([1e12, 1e12, 1e12 + 1, 1e12, 1e12, 1e12 + 1], "write them in pixels"),
        ],
    )
    def test_that_are_none_are_refused(self, polygon, problem):
        """
        A polygon that cannot be drawn is refused with what is wrong about it.
        """
        with pytest.raises(BadEntry, match=problem):
            runs([polygon], SIZE)

    def test_may_not_take_all_memory(self):
        """
        Drawing takes memory by the length of all outlines together, so that is limited.
        """
        there_and_back = [0, 0, 400, 6] * (MAX_OUTLINE // 800)

        runs([there_and_back], SIZE)
        with pytest.raises(BadEntry, match="pixels long"):
            runs([there_and_back, there_and_back], SIZE)


class TestRunLengths:
    @pytest.mark.parametrize("seed", range(8))
    def test_as_strings_are_those_of_pycocotools(self, seed):
        """
        COCO's strings mean what pycocotools meant when it wrote them.
        """
        stream = np.random.default_rng(seed)
        height, width = (int(side) for side in stream.integers(1, 200, 2))
        pixels = stream.random((height, width)) < stream.random() ** 3
        written = pycocotools.encode(np.asfortranarray(pixels, dtype=np.uint8))
        segmentation = {"size": [height, width], "counts": written["counts"].decode()}

        np.testing.assert_array_equal(covered(segmentation, (height, width)), pixels)

    def test_as_lists_go_down_the_columns(self):
        """
        Counts begin with the background and run down each column.
        """
        found = covered({"size": [3, 2], "counts": [1, 3, 2]}, (3, 2))

        assert found.tolist() == [[False, True], [True, False], [True, False]]

    @pytest.mark.parametrize(
        ("counts", "problem"),
        [
            ([40, 7], "fill 47 of 48 pixels"),
            ([40, 9], "fill 49 of 48 pixels"),
            ([50, -2], "or some are below 0"),
            ([2**62] * 4, "of 48 pixels"),
            ([], "are neither whole numbers nor"),
            ([40.0, 8.0], "are neither whole numbers nor"),
            ([True] * 48, "are neither whole numbers nor"),
            (None, "are neither whole numbers nor"),
            ("", "are neither whole numbers nor"),
            ("X1", "fill 40 of 48 pixels"),
            ("X1 ", "are neither whole numbers nor"),
            ("X1p", "are neither whole numbers nor"),
            ("X1X", "are neither whole numbers nor"),
            ("X1é", "are neither whole numbers nor"),
            ("X" * 9 + "1", "are neither whole numbers nor"),
        ],
    )
    def test_that_do_not_fill_the_picture_are_refused(self, counts, problem):
        """
        Counts that end early or late, are below 0 or none at all, and damaged strings (cut
        within a number, with strange letters, with numbers too long) never reach pycocotools.
        """
        with pytest.raises(BadEntry, match=problem):
            runs({"size": list(SIZE), "counts": counts}, SIZE)

    @pytest.mark.parametrize("size", [[8, 6], [6], None, "6"])
    def test_of_another_size_are_refused(self, size):
        """
        Run lengths for a picture of another size are refused with both sizes.
        """
        with pytest.raises(BadEntry, match=r"its picture has \[6, 8\]"):
            runs({"size": size, "counts": [48]}, SIZE)


@pytest.mark.parametrize("segmentation", [None, [], {}, "polygon", 7])
def test_a_thing_without_pixels_is_refused(segmentation):
    """
    A box alone, or anything else, is no segmentation.
    """
    with pytest.raises(BadEntry):
        runs(segmentation, SIZE)


def test_later_things_cover_earlier_ones():
    """
    Things are painted in the order given; where there are none, the mask is 0.
    """
    mask = paint([(2, [box(0, 0, 4, 4)]), (1, [box(2, 2, 6, 6)])], SIZE)

    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    assert [mask[0, 0], mask[3, 3], mask[5, 5], mask[0, 7]] == [2, 1, 1, 0]

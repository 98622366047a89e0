import numpy as np
import pytest

from models.data import pictures
from models.labels import SegmentationSpec

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def flat(colour, height=8, width=8):
    """
    A picture of one colour.
    """
    return np.full((height, width, 3), colour, dtype=np.uint8)


class TestDefaultPalette:
    @pytest.mark.parametrize("n", [2, 9, 34, 255])
    def test_colours_differ(self, n):
        """
        No two classes share a colour, and none has the colour of pixels without a class.
        """
        colours = pictures.default_palette(n)

        assert n == len(set(colours) - {pictures.UNLABELLED})

    def test_a_class_keeps_its_colour_when_classes_are_added(self):
        """
        Pictures of a label and of a longer one can be compared.
        """
        assert pictures.default_palette(20)[:9] == pictures.default_palette(9)

    def test_the_first_colours_are_far_apart(self):
        """
        Among the first ten, the nearest two differ by at least 60 of 255 in some channel.
        """
        colours = np.array(pictures.default_palette(10), dtype=int)
        distances = np.abs(colours[:, None] - colours[None]).max(axis=-1)

        assert distances[~np.eye(10, dtype=bool)].min() >= 60

    @pytest.mark.parametrize("n", [0, 256])
    def test_names_a_number_it_cannot_serve(self, n):
        """
        One byte a pixel has room for 255 classes.
        """
        with pytest.raises(ValueError, match=f"1 to 255 colours, got {n}"):
            pictures.default_palette(n)

    def test_the_labels_own_colours_come_first(self):
        """
        A label's palette is used where it has one.
        """
        bare = SegmentationSpec(classes=("a", "b"))
        own = SegmentationSpec(classes=("a", "b"), palette=((1, 2, 3), (4, 5, 6)))

        assert pictures.palette_of(own) == ((1, 2, 3), (4, 5, 6))
        assert pictures.default_palette(2) == pictures.palette_of(bare)


def test_colourise_paints_each_id():
    """
    Each pixel takes its class's colour; an id without one is grey.
    """
    mask = np.array([[0, 1], [2, 255]], dtype=np.uint8)

    painted = pictures.colourise(mask, PALETTE)

    assert [[PALETTE[0], PALETTE[1]], [PALETTE[2], pictures.UNLABELLED]] == [
        [tuple(pixel) for pixel in row] for row in painted.tolist()
    ]


def test_heat_grows_brighter():
    """
    More is brighter, also to an eye or printer that sees no colours, and ends are clipped.
    """
    painted = pictures.heat(np.linspace(-0.5, 1.5, 21)[None])
    luminance = painted[0] @ [0.299, 0.587, 0.114]

    assert (np.diff(luminance[5:16]) > 0).all()
    assert (painted[0, 0] == painted[0, 5]).all()
    assert (painted[0, 15] == painted[0, 20]).all()


class TestDifference:
    def test_equal_pictures_are_black(self):
        """
        No difference, no light.
        """
        assert not pictures.difference(flat((9, 8, 7)), flat((9, 8, 7))).any()

    def test_sign_does_not_matter(self):
        """
        Brighter and darker by the same amount look the same.
        """
        one, other = flat((10, 20, 30)), flat((40, 10, 90))

        expected = pictures.heat(np.full((8, 8), (30 + 10 + 60) / 3 / 255))
        np.testing.assert_array_equal(pictures.difference(one, other, full=255), expected)
        np.testing.assert_array_equal(pictures.difference(other, one, full=255), expected)

    def test_is_scaled_by_full(self):
        """
        A mean difference of `full` is the brightest colour.
        """
        painted = pictures.difference(flat((0, 0, 0)), flat((30, 60, 90)), full=60)

        np.testing.assert_array_equal(pictures.heat(np.ones((8, 8))), painted)

    def test_names_the_shapes_that_differ(self):
        """
        Pictures of two sizes are no pair.
        """
        with pytest.raises(ValueError, match=r"got \[8, 8, 3\] and \[4, 8, 3\]"):
            pictures.difference(flat((0, 0, 0)), flat((0, 0, 0), height=4))


class TestContactSheet:
    def test_every_picture_is_on_it(self):
        """
        Rows go down, columns go right, and small pictures are enlarged by whole numbers.
        """
        red, green, blue = (flat(c) for c in [(255, 0, 0), (0, 255, 0), (0, 0, 255)])

        sheet = pictures.contact_sheet([[red, green], [blue]], tile=20)

        assert sheet.shape == (2 * 16 + 3 * 4, 2 * 16 + 3 * 4, 3)
        assert [255, 0, 0] == sheet[4, 4].tolist() == sheet[19, 19].tolist()
        assert sheet[4, 24].tolist() == [0, 255, 0]
        assert sheet[24, 4].tolist() == [0, 0, 255]
        assert (sheet[24:40, 24:40] == sheet[0, 0]).all()  # Nothing, as on the margin.

    def test_large_pictures_are_averaged_down(self):
        """
        Stripes of black and white become grey, not one of the two.
        """
        stripes = np.zeros((64, 64, 3), dtype=np.uint8)
        stripes[::2] = 255

        sheet = pictures.contact_sheet([[stripes]], tile=16)

        assert sheet.shape == (24, 24, 3)
        np.testing.assert_allclose(sheet[4:20, 4:20], 127.5, atol=1)

    def test_captions_stand_above_their_columns(self):
        """
        A caption adds a line of ink at the top and leaves the pictures as they are.
        """
        cells = [[flat((9, 9, 9), 40, 40), flat((9, 9, 9), 40, 40)]]

        bare = pictures.contact_sheet(cells)
        told = pictures.contact_sheet(cells, ["real", "drawn, with a name too long to fit in"])

        added = len(told) - len(bare)
        assert added > 0
        np.testing.assert_array_equal(bare, told[added:])
        assert (told[:added] < 128).any()
        assert (told[:added, -4:] == bare[0, 0]).all()  # Cut before the edge.

    def test_titles_stand_above_their_rows(self):
        """
        Each row gets a line of ink above it; what is below stays as it is.
        """
        rows = [[flat((9, 9, 9), 40, 40)], [flat((80, 9, 9), 40, 40)]]

        bare = pictures.contact_sheet(rows, tile=40)
        told = pictures.contact_sheet(rows, tile=40, titles=["one", "a long name of the other"])

        line = (len(told) - len(bare)) // 2
        assert line > 0
        for row in (0, 1):
            cell = slice(4 + row * 44, 44 + row * 44)
            below = told[cell.start + (row + 1) * line : cell.stop + (row + 1) * line]
            np.testing.assert_array_equal(bare[cell, 4:44], below[:, 4:44])
            title = told[row * (44 + line) : row * (44 + line) + line]
            assert (title < 128).any()

    def test_grey_pictures_are_welcome(self):
        """
        A map [H, W] stands beside pictures [H, W, 3].
        """
        sheet = pictures.contact_sheet([[np.full((8, 8), 77, dtype=np.uint8)]], tile=8)

        assert sheet[8, 8].tolist() == [77, 77, 77]

    def test_needs_a_picture(self):
        """
        A sheet of nothing is refused.
        """
        with pytest.raises(ValueError, match="at least one picture"):
            pictures.contact_sheet([[], []])


def test_the_legend_wraps():
    """
    Names that do not fit in one line take more; every class's colour is there.
    """
    names = [f"a class with a long name {n}" for n in range(9)]
    palette = pictures.default_palette(9)

    narrow = pictures.legend(names, palette, 240)
    wide = pictures.legend(names, palette, 2400)

    assert (narrow.shape[1], wide.shape[1]) == (240, 2400)
    assert len(narrow) > len(wide)
    for colour in palette:
        assert (narrow == colour).all(axis=-1).sum() > 100

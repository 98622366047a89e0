import hashlib
import io

import numpy as np
import pytest

from models.data.kinds import kind_of
from models.data.pictures import UNLABELLED
from models.errors import InvalidImage
from models.labels import DepthSpec

KIND = kind_of(DepthSpec(smallest=0.5, largest=10.0))
LABEL = np.array([[1, 2, np.nan], [4, 8, 10]], dtype=np.float32)


def saved(array):
    """
    An .npy file as NumPy writes it.
    """
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


class TestFile:
    def test_is_numpys(self):
        """
        NumPy reads it as it stands; the numbers begin at a multiple of 64 bytes.
        """
        data = KIND.encode(LABEL)

        read = np.load(io.BytesIO(data))
        np.testing.assert_array_equal(LABEL, read)
        assert read.dtype == np.dtype("<f4")
        assert (len(data) - LABEL.nbytes) % 64 == 0

    def test_bytes_never_change(self):
        """
        Equal depth is equal bytes, whichever NumPy is installed and however the array lies.
        """
        data = KIND.encode(LABEL)

        digest = "f33d7a7c0d17b1b83e83e5a6d0cf96eabe5c85930946ff254239a4de67a3fe3e"
        assert hashlib.sha256(data).hexdigest() == digest
        assert KIND.encode(np.asfortranarray(LABEL)) == data

    def test_brings_back_the_depth(self):
        """
        Also from a file that NumPy wrote, of any numbers; what is out of range is none.
        """
        np.testing.assert_array_equal(LABEL, KIND.decode(KIND.encode(LABEL), "d", (2, 3)))
        other = KIND.decode(saved(np.array([[0, 11, 3]], dtype=np.float64)), "d", (1, 3))
        np.testing.assert_array_equal(other, np.float32([[np.nan, np.nan, 3]]))

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"PK", "no whole .npy file"),
            (saved(LABEL)[:-4], "cut off"),
            (saved(LABEL.T), r"has the shape \[3, 2\], but its image \[2, 3\]"),
            (saved(np.array(["a"])), "not plain numbers"),
        ],
    )
    def test_names_what_is_wrong(self, data, problem):
        """
        Another file, another shape, or something else than numbers is refused by name.
        """
        with pytest.raises(InvalidImage, match=f"^d: .*{problem}"):
            KIND.decode(data, "d", (2, 3))


def test_figures_are_of_what_is_labelled():
    """
    Range, mean and share of the pixels; where there is no depth, all are 0.
    """
    expected = {"smallest": 1.0, "mean": 5.0, "largest": 10.0, "labelled_share": 5 / 6}

    assert KIND.figures(LABEL) == pytest.approx(expected)
    assert set(KIND.figures(np.full((2, 2), np.nan, np.float32)).values()) == {0.0}


def test_near_is_bright_and_none_is_grey():
    """
    Colours grow darker with the distance, also to an eye that sees none.
    """
    image = np.zeros((2, 3, 3), dtype=np.uint8)

    drawn = KIND.picture(image, LABEL)

    luminance = drawn @ [0.299, 0.587, 0.114]
    assert luminance[0, 0] > luminance[0, 1] > luminance[1, 0] > luminance[1, 1] > luminance[1, 2]
    assert tuple(drawn[0, 2].tolist()) == UNLABELLED

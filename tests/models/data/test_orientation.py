"""
Labels in files beside pictures that a camera stored turned.

The rule: labels are drawn over the upright picture, as every viewer and labelling tool shows it. A
mask's own EXIF orientation is applied to it, so a mask that was exported from the picture's file
with its metadata is right too.
"""

import numpy as np
import pytest
from PIL import Image
from support.picture_files import saved

from models.data.images import decode_image, decode_mask
from models.errors import InvalidImage
from models.labels import SegmentationSpec

SPEC = SegmentationSpec(classes=("background", "thing"))
TURNS = {3: 2, 6: 3, 8: 1}  # EXIF orientation -> quarter turns to the left that make it upright.


def exif(orientation):
    """
    Metadata that say how to turn a file's pixels.
    """
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def scene(height=6, width=10):
    """
    Upright: a picture that is white where its mask has a thing, in one corner.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[1:3, 1:5] = 1
    return np.repeat(255 * mask[..., None], 3, axis=2), mask


def stored(upright, orientation):
    """
    The pixels that a camera stores, which its orientation turns upright again.
    """
    return np.ascontiguousarray(np.rot90(upright, -TURNS[orientation]))


def read(mask_file, orientation, size=(6, 10)):
    """
    The upright picture, and the mask of a file beside it.
    """
    image, _ = scene(*size)
    file = saved(Image.fromarray(stored(image, orientation)), exif=exif(orientation))
    picture = decode_image(file, "a.png")
    return picture, decode_mask(mask_file, "masks/a.png", SPEC, picture.shape[:2])


@pytest.mark.parametrize("orientation", TURNS)
class TestTurnedPictures:
    def test_upright_masks_fit(self, orientation):
        """
        A mask drawn over the upright picture lies on what it labels.
        """
        picture, mask = read(saved(Image.fromarray(scene()[1])), orientation)

        np.testing.assert_array_equal(picture[..., 0] > 0, mask > 0)

    def test_masks_with_the_pictures_metadata_fit(self, orientation):
        """
        A mask that is stored turned and says so is turned as the picture is.
        """
        turned = Image.fromarray(stored(scene()[1], orientation))

        picture, mask = read(saved(turned, exif=exif(orientation)), orientation)

        np.testing.assert_array_equal(picture[..., 0] > 0, mask > 0)

    def test_sixteen_bits_are_turned_too(self, orientation):
        """
        Deep grey pictures and masks obey their metadata as others do.
        """
        _, mask = scene()
        deep = Image.fromarray(stored(mask.astype(np.uint16), orientation))
        bright = Image.fromarray(stored(mask.astype(np.uint16) * 65535, orientation))

        _, found = read(saved(deep, exif=exif(orientation)), orientation)

        np.testing.assert_array_equal(mask, found)
        picture = decode_image(saved(bright, exif=exif(orientation)), "deep.png")
        np.testing.assert_array_equal(mask > 0, picture[..., 0] == 255)


@pytest.mark.parametrize("orientation", [6, 8])
def test_masks_of_the_stored_pixels_are_refused(orientation):
    """
    A mask as high as the picture is wide was made from the stored pixels: it is refused with the
    likely cause, and not stretched.
    """
    sideways = saved(Image.fromarray(stored(scene()[1], orientation)))

    with pytest.raises(InvalidImage, match=r"masks/a.png: has 10 x 6 .* looks turned, for EXIF"):
        read(sideways, orientation)


def test_a_square_cannot_give_a_turn_away():
    """
    Where turning changes no size nothing can be noticed: the mask is taken as upright.
    """
    _, upright = scene(8, 8)
    sideways = stored(upright, 6)

    _, mask = read(saved(Image.fromarray(sideways)), 6, size=(8, 8))

    np.testing.assert_array_equal(sideways, mask)

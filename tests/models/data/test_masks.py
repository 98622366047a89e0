import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from support.picture_files import GREY, PALETTE, picture, raw_png, saved

from models.data.images import decode_mask, encode_png
from models.errors import InvalidImage
from models.labels import SegmentationSpec

FACE = SegmentationSpec(classes=("background", "skin", "hair", "eyes"))


def mask_file(values, mode="L"):
    """
    A PNG of class ids.
    """
    image = Image.fromarray(np.asarray(values, dtype=np.uint8), "L")
    if mode == "P":
        image = Image.fromarray(np.asarray(values, dtype=np.uint8), "P")
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    return saved(image)


class TestDecodeMask:
    @settings(deadline=None)
    @given(
        arrays(
            np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)
        )
    )
    def test_reads_what_encode_png_wrote(self, ids):
        """
        Any mask survives being written and read.
        """
        np.testing.assert_array_equal(ids, decode_mask(encode_png(ids), "m", FACE, ids.shape))

    def test_palette_masks_are_read_by_index(self):
        """
        Of a palette PNG the indices count, and its colours do not.
        """
        read = decode_mask(mask_file([[0, 1], [2, 3]], "P"), "m.png", FACE, (2, 2))

        assert read.tolist() == [[0, 1], [2, 3]]
        assert np.uint8 == read.dtype

    @pytest.mark.parametrize(
        ("colour", "depth", "row"),
        [
            (GREY, 1, b"\x40"),
            (GREY, 2, b"\x10"),
            (GREY, 4, b"\x01\x00"),
            (GREY, 8, b"\0\1\0\0"),
            (GREY, 16, b"\0\0\0\1\0\0\0\0"),
            (PALETTE, 1, b"\x40"),
            (PALETTE, 2, b"\x10"),
            (PALETTE, 4, b"\x01\x00"),
            (PALETTE, 8, b"\0\1\0\0"),
        ],
    )
    def test_every_depth_keeps_its_ids(self, colour, depth, row):
        """
        Grey and palette PNGs of 1 to 16 bits hold the id 1 where it was written.

        Pillow stretches grey of 2 and 4 bits to 0..255; that must not reach a mask.
        """
        data = raw_png(4, 1, depth, colour, [row])

        assert decode_mask(data, "m.png", FACE, (1, 4)).tolist() == [[0, 1, 0, 0]]

    def test_the_ignore_index_may_appear(self):
        """
        A declared ignore_index is kept as it is.
        """
        spec = FACE.model_copy(update={"ignore_index": 255})

        assert decode_mask(mask_file([[0, 255]]), "m", spec, (1, 2)).tolist() == [[0, 255]]

    def test_a_strange_id_is_named_with_its_place(self):
        """
        An id that is no class is refused with its value, its first place, the others' number
        and the ids there are.
        """
        with pytest.raises(InvalidImage) as caught:
            decode_mask(mask_file([[0, 0, 3], [0, 4, 9]]), "masks/a.png", FACE, (2, 3))

        assert str(caught.value).startswith(
            "masks/a.png: holds 4 at (row 1, column 1) and 1 more such pixels; the label has ids "
            "0..3 and no ignore_index: add the class"
        )

    def test_sixteen_bit_ids_are_not_cut(self):
        """
        256 in a 16-bit mask is no class, and not class 0.
        """
        deep = saved(Image.fromarray(np.array([[1, 256]], dtype=np.uint16)))

        with pytest.raises(InvalidImage, match=r"holds 256 at \(row 0, column 1\) and nowhere"):
            decode_mask(deep, "m.png", FACE, (1, 2))

    def test_black_and_white_masks_get_their_own_advice(self):
        """
        A mask of 0 and 255 is a frequent mistake with a simple remedy.
        """
        with pytest.raises(InvalidImage, match=r"black-and-white mask.*Write 1 for 255"):
            decode_mask(mask_file([[0, 255]]), "m.png", FACE, (1, 2))

    def test_colour_masks_are_refused_with_advice(self):
        """
        Colours are not guessed to be classes.
        """
        with pytest.raises(InvalidImage, match=r"colour picture.*astype\('uint8'\)"):
            decode_mask(saved(Image.fromarray(picture())), "m.png", FACE, (4, 6))

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
    def test_grey_in_several_channels_is_told_apart(self, mode):
        """
        Ids that were saved as grey RGB need one conversion, which the message gives.
        """
        data = saved(Image.new("L", (2, 2), 1).convert(mode))

        with pytest.raises(InvalidImage, match=r"one grey.*convert\('L'\)"):
            decode_mask(data, "m.png", FACE, (2, 2))

    @pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
    def test_lossy_masks_are_refused(self, kind):
        """
        A compression that changes values cannot carry ids.
        """
        with pytest.raises(InvalidImage, match=f"is a {kind} file.*must be PNG"):
            decode_mask(saved(Image.new("L", (8, 8)), kind), "m.png", FACE, (8, 8))

    def test_the_size_must_be_the_images(self):
        """
        A mask of another size is refused with both sizes.
        """
        with pytest.raises(InvalidImage, match=r"has 1 x 2 pixels, but its image 3 x 4.*same size"):
            decode_mask(mask_file([[0, 1]]), "m.png", FACE, (3, 4))

    def test_a_turned_mask_is_recognised(self):
        """
        Height and width exchanged hint at the orientation that was applied to the picture.
        """
        with pytest.raises(InvalidImage, match="looks turned, for EXIF"):
            decode_mask(mask_file([[0, 1]]), "m.png", FACE, (2, 1))

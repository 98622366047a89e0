import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from support.picture_files import GREY, picture, raw_png, saved

from models.data.images import decode_image, encode_image, encode_png
from models.errors import InvalidImage


class TestDecodeImage:
    def test_reads_rgb_exactly(self):
        """
        A PNG of RGB pixels comes back as it was.
        """
        np.testing.assert_array_equal(
            picture(), decode_image(saved(Image.fromarray(picture())), "a.png")
        )

    @pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
    def test_reads_lossy_formats_nearly(self, kind):
        """
        JPEG and WebP are read, whatever the file is called.
        """
        grey = np.full((16, 16, 3), 90, dtype=np.uint8)

        read = decode_image(saved(Image.fromarray(grey), kind, quality=95), "a.png")

        np.testing.assert_allclose(read, grey, atol=2)

    def test_grey_becomes_three_equal_channels(self):
        """
        A grey picture has the same value in red, green and blue.
        """
        grey = picture()[..., 0]

        read = decode_image(saved(Image.fromarray(grey)), "a.png")

        np.testing.assert_array_equal(np.stack([grey] * 3, axis=-1), read)

    def test_palettes_become_the_colours_they_show(self):
        """
        A palette picture is read by its colours: it is a picture, not a mask.
        """
        image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
        image.putpalette([10, 20, 30, 40, 50, 60])

        read = decode_image(saved(image), "a.png")

        assert read.tolist() == [[[10, 20, 30], [40, 50, 60]]]

    def test_sixteen_bits_keep_the_high_byte(self):
        """
        A 16-bit grey picture loses its low byte.
        """
        deep = np.array([[0x1234, 0xFFFF, 0x00FF, 0x8000]], dtype=np.uint16)

        read = decode_image(saved(Image.fromarray(deep)), "a.png")

        assert read[..., 0].tolist() == [[0x12, 0xFF, 0x00, 0x80]]

    def test_sixteen_bit_colour_keeps_the_high_byte_too(self):
        """
        Grey and colour of 16 bits follow one rule.
        """
        row = struct.pack(">6H", 0x1234, 0xFFFF, 0x00FF, 0x0100, 0x7F80, 0x8000)

        read = decode_image(raw_png(2, 1, 16, 2, [row]), "a.png")

        assert read.tolist() == [[[0x12, 0xFF, 0x00], [0x01, 0x7F, 0x80]]]

    def test_transparency_lies_over_white(self):
        """
        What is transparent shows white, and half of it shows half.
        """
        layers = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], dtype=np.uint8)

        read = decode_image(saved(Image.fromarray(layers)), "a.png")

        assert read.tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]

    def test_one_transparent_colour_lies_over_white(self):
        """
        A PNG that names one of its colours transparent shows white there.
        """
        image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))

        read = decode_image(saved(image, transparency=(1, 2, 3)), "a.png")

        assert read.tolist() == [[[255, 255, 255], [4, 5, 6]]]

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_applied(self, orientation):
        """
        However a camera was held, the picture comes upright: each of the eight ways.
        """
        a = picture()
        stored = {
            1: a,
            2: a[:, ::-1],
            3: a[::-1, ::-1],
            4: a[::-1],
            5: a.transpose(1, 0, 2),
            6: np.rot90(a),
            7: np.rot90(a, 2).transpose(1, 0, 2),
            8: np.rot90(a, 3),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation

        read = decode_image(saved(Image.fromarray(stored), exif=exif), "a.png")

        np.testing.assert_array_equal(a, read)

    @pytest.mark.parametrize("cut", [30, 60, 200, -40])
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_a_truncated_file_is_damaged(self, kind, cut):
        """
        Half an upload is refused by name, and never filled up with grey.
        """
        noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        whole = saved(Image.fromarray(noise), kind)

        with pytest.raises(InvalidImage, match=r"^face\.png: is damaged .*upload it again$"):
            decode_image(whole[:cut], "face.png")

    @pytest.mark.parametrize(
        ("data", "found"),
        [(b"", "is empty"), (b"GIF89a..", "begins with b'GIF89a..'"), (b"<svg>", "b'<svg>'")],
    )
    def test_other_files_are_refused(self, data, found):
        """
        A file that is none of the three formats is refused with its first bytes.
        """
        with pytest.raises(InvalidImage, match=f"{found}.*PNG, JPEG or WebP"):
            decode_image(data, "a.png")

    @pytest.mark.parametrize("side", [(7_072, 7_072), (50_000_001, 1), (65_535, 65_535)])
    def test_too_many_pixels_are_refused_by_the_header(self, side):
        """
        A header that promises too many pixels is refused though no pixel follows it.
        """
        width, height = side
        with pytest.raises(InvalidImage, match=f"has {height} x {width} pixels.*50,000,000"):
            decode_image(raw_png(width, height, 8, GREY, []), "bomb.png")

    def test_a_webp_header_is_not_believed_either(self):
        """
        34 bytes of WebP that promise 268 million pixels are refused.
        """
        data = bytearray(saved(Image.new("RGB", (8, 8)), "WEBP", lossless=True))
        at = data.index(b"VP8L") + 9
        bits = struct.unpack("<I", data[at : at + 4])[0] & ~(2**28 - 1)
        data[at : at + 4] = struct.pack("<I", bits | 16383 | 16383 << 14)

        with pytest.raises(InvalidImage, match="more than 50,000,000 pixels; shrink it"):
            decode_image(bytes(data), "bomb.webp")

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_animations_are_refused(self, kind):
        """
        An animated PNG or WebP is refused with its number of frames.
        """
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])

        with pytest.raises(InvalidImage, match="animation of 3 frames; save one"):
            decode_image(data, "a.png")

    def test_cmyk_is_refused(self):
        """
        Ink colours would need a profile to become RGB.
        """
        with pytest.raises(InvalidImage, match="CMYK; save it as RGB"):
            decode_image(saved(Image.new("CMYK", (8, 8)), "JPEG"), "a.jpg")

    @settings(deadline=None)
    @given(
        st.sampled_from(["PNG", "JPEG", "WEBP"]),
        st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
    )
    def test_damage_anywhere_is_a_picture_or_an_invalid_image(self, kind, changes):
        """
        Whatever bytes of a file are changed, the answer is pixels or `InvalidImage`.
        """
        exif = Image.Exif()
        exif[0x0112] = 6
        data = bytearray(saved(Image.fromarray(picture(16, 16)), kind, exif=exif))
        for position, value in changes:
            data[position % len(data)] = value

        with warnings.catch_warnings(action="ignore"):  # Pillow warns of odd EXIF.
            try:
                read = decode_image(bytes(data), "a")
            except InvalidImage:
                return
        assert (read.dtype, read.ndim) == (np.uint8, 3)


class TestEncode:
    @settings(deadline=None)
    @given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
    def test_png_and_back_is_exact(self, pixels):
        """
        Any picture survives PNG.
        """
        np.testing.assert_array_equal(pixels, decode_image(encode_png(pixels), "a"))

    @pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
    def test_equal_pixels_give_equal_bytes(self, kind):
        """
        Encoding has no clock and no chance in it.
        """
        assert encode_image(picture(), kind) == encode_image(picture().copy(), kind)

    def test_masks_are_written_in_one_channel(self):
        """
        A mask is a PNG of mode 'L', which readers leave alone.
        """
        written = Image.open(io.BytesIO(encode_png(np.zeros((2, 2), dtype=np.uint8))))

        assert (written.format, written.mode) == ("PNG", "L")

    @pytest.mark.parametrize("shape", [(2, 2, 4), (2,), (1, 2, 2, 3)])
    def test_names_the_shape_it_was_given(self, shape):
        """
        Other shapes are refused with the shape in the message.
        """
        with pytest.raises(ValueError, match=str(list(shape)).replace("[", r"\[")):
            encode_png(np.zeros(shape, dtype=np.uint8))

    def test_floats_are_refused(self):
        """
        Pixels in [0, 1] are not scaled in secret.
        """
        with pytest.raises(ValueError, match="got float64"):
            encode_png(np.zeros((2, 2)))

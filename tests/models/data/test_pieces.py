"""Pictures that are cut into far more pieces than their pixels need are refused unread."""

import io
import zlib

import pytest
from PIL import Image

from models.data.pieces import MAX_PIECES, MAX_SCANS, check_pieces
from models.errors import InvalidImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EMPTY = b"tEXt"
START, END = b"\xff\xd8", b"\xff\xd9"
SCAN = b"\xff\xda\x00\x02"
COMMENT = b"\xff\xfe\x00\x02"


def picture(kind, **options) -> bytes:
    """
    A real file of noise.
    """
    target = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(target, kind, **options)
    return target.getvalue()


def chunk(name=EMPTY, body=b"") -> bytes:
    """
    A PNG's chunk as the format has it: length, name, body, check sum.
    """
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def refused(data, kind) -> str:
    """
    Why a file is refused.
    """
    with pytest.raises(InvalidImage) as refusal:
        check_pieces(data, kind, "a.picture")
    assert refusal.value.name == "a.picture"
    return refusal.value.problem


class TestPng:
    def test_may_have_so_many_chunks(self):
        """
        Exactly the limit passes, one more does not; the error says how many may be.
        """
        most = SIGNATURE + chunk() * MAX_PIECES

        check_pieces(most, "PNG", "a.png")
        assert f"more than {MAX_PIECES:,} pieces" in refused(most + chunk(), "PNG")

    def test_what_lies_in_a_chunk_is_none(self):
        """
        Bytes that look like chunks do not count where they are another chunk's body.
        """
        check_pieces(SIGNATURE + chunk(b"IDAT", chunk() * 2 * MAX_PIECES), "PNG", "a.png")

    def test_that_is_cut_or_lies_about_its_lengths_is_left_to_its_decoder(self):
        """
        A chunk that says it goes on beyond the file's end is the last one.
        """
        lie = b"\xff\xff\xff\xff" + EMPTY
        check_pieces(SIGNATURE + lie + chunk() * 2 * MAX_PIECES, "PNG", "a.png")
        for length in range(40):
            check_pieces(picture("PNG")[:length], "PNG", "a.png")


class TestJpeg:
    def test_may_have_so_many_scans(self):
        """
        Exactly the limit passes, one more does not.
        """
        most = START + SCAN * MAX_SCANS

        check_pieces(most + END, "JPEG", "a.jpg")
        assert f"more than {MAX_SCANS} scans" in refused(most + SCAN + END, "JPEG")

    def test_may_have_so_many_segments(self):
        """
        Comments without words count, before the first scan and between two.
        """
        check_pieces(START + COMMENT * MAX_PIECES + END, "JPEG", "a.jpg")

        assert "pieces" in refused(START + COMMENT * (MAX_PIECES + 1) + END, "JPEG")
        assert "pieces" in refused(START + SCAN + COMMENT * MAX_PIECES + SCAN + END, "JPEG")

    @pytest.mark.parametrize("filling", [b"\xff", b"\x00", b"\xff\x00"])
    def test_may_not_be_filled_up_in_front(self, filling):
        """
        Between segments before the first scan a decoder looks at every byte for itself.
        """
        many = filling * (MAX_PIECES + 1)
        assert "pieces" in refused(START + many + COMMENT + SCAN + END, "JPEG")

    def test_pixels_are_no_pieces(self):
        """
        In a scan nothing counts: neither its bytes, nor escaped ones, nor restarts.
        """
        pixels = (b"\x12\xff\x00" + b"\xff\xd0\x34") * 2 * MAX_PIECES
        check_pieces(START + (SCAN + pixels) * 2 + END, "JPEG", "a.jpg")

    def test_nothing_counts_behind_the_end(self):
        """
        Cameras put all kinds of things there, and no decoder looks.
        """
        check_pieces(START + SCAN + END + COMMENT * 2 * MAX_PIECES, "JPEG", "a.jpg")

    def test_that_is_cut_is_left_to_its_decoder(self):
        """
        Wherever it ends, counting it raises nothing else.
        """
        whole = picture("JPEG")
        for length in range(0, len(whole), 7):
            check_pieces(whole[:length], "JPEG", "a.jpg")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "quality": 95}),
        ("JPEG", {"restart_marker_blocks": 1}),
        ("WEBP", {}),
    ],
)
def test_real_files_pass(kind, options):
    """
    As encoders write them, in every way that they have.
    """
    check_pieces(picture(kind, **options), kind, "a.picture")


def test_other_formats_are_let_through():
    """
    What is neither a PNG nor a JPEG is counted by nobody here.
    """
    check_pieces(SIGNATURE + chunk() * 2 * MAX_PIECES, "WEBP", "a.webp")

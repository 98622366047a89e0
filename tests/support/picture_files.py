"""Files of pictures to read: made by Pillow, or by hand where Pillow cannot."""

import io
import struct
import zlib

import numpy as np

GREY, PALETTE = 0, 3  # The colour types of PNG.


def saved(image, kind="PNG", **options):
    """
    The bytes of a Pillow image.
    """
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def picture(height=4, width=6):
    """
    A picture without two equal pixels.
    """
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def raw_png(width, height, depth, colour, rows):
    """
    A PNG written by hand, for what Pillow cannot write.
    """

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )

"""Malformed pictures: sent as the image of an item, and as files of an archive."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.malformed import Malformed, case, cut, fine, flipped

SIZE = 16
"""Height and width of what is sent beside them."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHARES = (0.02, 0.1, 0.3, 0.5, 0.8)
_OTHERS = {
    "gif": b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    "bmp": b"BM" + bytes(60),
    "tiff": b"II*\0" + bytes(60),
    "ico": b"\0\0\1\0\1\0" + bytes(40),
    "psd": b"8BPS\0\1" + bytes(40),
    "jpeg-2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "heic": b"\0\0\0\x18ftypheic" + bytes(40),
    "avif": b"\0\0\0\x18ftypavif" + bytes(40),
    "pdf": b"%PDF-1.7\n" + bytes(40),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "svg-entities": b"<!DOCTYPE s [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><svg>&b;</svg>",
    "html": b"<html><script>alert(document.domain)</script></html>",
    "html-after-blanks": b"   \n<html>",
    "php": b"<?php system($_GET['c']); ?>",
    "elf": b"\x7fELF" + bytes(40),
    "zip": b"PK\3\4" + bytes(40),
    "gzip": b"\x1f\x8b" + bytes(40),
    "pickle": b"\x80\4cos\nsystem\n(S'x'\ntR.",
    "text": b"not a picture",
    "nothing": b"",
    "one-zero": b"\0",
    "zeros": bytes(4096),
    "url": b"https://example.org/a.png",
    "netpbm": b"P6\n4 4\n255\n" + bytes(48),
    "riff-wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
    "signature-alone": SIGNATURE,
    "jpeg-start-alone": b"\xff\xd8\xff",
    "webp-start-alone": b"RIFF\0\0\0\0WEBP",
    "jng": b"\x8bJNG\r\n\x1a\n" + bytes(30),
    "mng": b"\x8aMNG\r\n\x1a\n" + bytes(30),
}


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def head(width=SIZE, height=SIZE, depth=8, colour=2, method=0, filters=0, interlace=0) -> bytes:
    """A PNG's header."""
    fields = (width, height, depth, colour, method, filters, interlace)
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def body(channels: int = 3) -> bytes:
    """A PNG's pixels, of 8 bits a channel."""
    return chunk(b"IDAT", zlib.compress((b"\0" + bytes(SIZE * channels)) * SIZE))


END = chunk(b"IEND", b"")


def png(*chunks: bytes) -> bytes:
    """A PNG of these chunks."""
    return SIGNATURE + b"".join(chunks)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """A picture as Pillow writes it."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def noise(mode: str = "RGB") -> Image.Image:
    """A picture without two equal rows."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, channels), dtype=np.uint8)
    return Image.frombytes(mode, (SIZE, SIZE), pixels.tobytes())


def pictures() -> list[Malformed]:
    """All of them."""
    return [*_other_files(), *_damaged(), *_pngs(), *_jpegs(), *_webps(), *_odd()]


def _other_files() -> list[Malformed]:
    begins = "it must be a PNG, JPEG or WebP file|is damaged"
    return [case(f"image-is-{name}", "image", data, begins) for name, data in _OTHERS.items()]


def _damaged() -> list[Malformed]:
    files = {kind: saved(noise(), kind) for kind in ("PNG", "WEBP")}
    jpeg = saved(noise(), "JPEG")
    return [
        *(each for kind, data in files.items() for each in cut(kind, "image", data, *_SHARES)),
        *cut("JPEG", "image", jpeg, *_SHARES),
        *flipped("PNG", "image", files["PNG"], 0.0, 0.01, 0.02, 0.03, 0.2, 0.5, 0.9),
        *flipped("WEBP", "image", files["WEBP"], 0.0, 0.01),
        *flipped("JPEG", "image", jpeg, 0.0, 0.002),
    ]


def _pngs() -> list[Malformed]:
    big = 2**31 - 1
    bomb = zlib.compress(bytes(2**24))
    heads = {
        "no-width": head(width=0),
        "no-height": head(height=0),
        "largest": head(big, big),
        "negative": head(2**32 - 1, 2**32 - 1),
        "wide": head(50_000_001, 1),
        "high": head(1, 50_000_001),
        "depth-3": head(depth=3),
        "depth-0": head(depth=0),
        "colour-1": head(colour=1),
        "colour-5": head(colour=5),
        "colour-255": head(colour=255),
        "filters-9": head(filters=9),
        "rgb-of-4-bits": head(depth=4),
        "more-rows-than-pixels": head(height=4000, width=4000),
        "wrong-checksum": chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0), 0),
        "short": chunk(b"IHDR", bytes(5)),
        "long": chunk(b"IHDR", bytes(500)),
    }
    files = {
        "without-pixels": png(head(), END),
        "pixels-first": png(body(), head(), END),
        "no-header": png(END),
        "pixels-not-zipped": png(head(), chunk(b"IDAT", b"not zlib"), END),
        "filter-of-no-kind": png(
            head(), chunk(b"IDAT", zlib.compress((b"\x09" + bytes(48)) * 16)), END
        ),
        "chunk-longer-than-file": png(head(), struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(9)),
        "chunk-of-negative-length": png(head(), struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(9)),
        "palette-missing": png(head(colour=3), body(1)),
        "text-bomb": png(head(), chunk(b"zTXt", b"a\0\0" + bomb), body(), END),
        "international-text-bomb": png(head(), chunk(b"iTXt", b"a\0\1\0\0\0" + bomb), body(), END),
        "profile-bomb": png(head(), chunk(b"iCCP", b"a\0\0" + bomb), body(), END),
        "pieces": png(head(), chunk(b"prIv", b"") * 20_001, body(), END),
        "pieces-of-pixels": png(head(), chunk(b"IDAT", b"") * 20_001, body(), END),
        "texts": png(head(), chunk(b"tEXt", b"a\0b") * 20_001, body(), END),
    }
    animation = saved(noise(), "PNG", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    return [
        *(case(f"png-{name}", "image", png(each, body(), END)) for name, each in heads.items()),
        *(case(f"png-{name}", "image", data) for name, data in files.items()),
        case("png-animated", "image", animation, "animation of 2 frames"),
    ]


def _jpegs() -> list[Malformed]:
    plain = saved(noise(), "JPEG")
    scanned = saved(noise(), "JPEG", progressive=True)
    frame = plain.index(b"\xff\xc0")
    last = scanned[scanned.rindex(b"\xff\xda") : -2]

    def framed(change: dict[int, int], marker: int = 0xC0) -> bytes:
        data = bytearray(plain)
        data[frame + 1] = marker
        for place, value in change.items():
            data[frame + place] = value
        return bytes(data)

    tables = plain.index(b"\xff\xc4")
    files = {
        "cmyk": saved(Image.new("CMYK", (16, 16)), "JPEG"),
        "huge": framed(dict.fromkeys(range(5, 9), 255)),
        "no-height": framed({5: 0, 6: 0}),
        "no-width": framed({7: 0, 8: 0}),
        "no-colours": framed({9: 0}),
        "many-colours": framed({9: 200}),
        "of-12-bits": framed({4: 12}),
        "sampled-by-zero": framed({11: 0}),
        "lossless": framed({}, 0xC3),
        "arithmetic-lossless": framed({}, 0xCB),
        "frame-of-no-length": framed({2: 0, 3: 0}),
        "scans": scanned[:-2] + last * 40 + b"\xff\xd9",
        "comments": plain[:2] + b"\xff\xfe\0\2" * 20_001 + plain[2:],
        "profiles": plain[:2] + b"\xff\xe2\0\x12ICC_PROFILE\0\1\xff" * 20_001 + plain[2:],
        "fillers": plain[:2] + b"\xff" * 30_000 + plain[2:],
        "without-a-frame": plain[:frame] + plain[tables:],
        "start-and-end": b"\xff\xd8\xff\xd9",
        "segment-past-the-end": plain[:2] + b"\xff\xe1\xff\xff" + plain[2:100],
    }
    return [case(f"jpeg-{name}", "image", data) for name, data in files.items()]


def _webps() -> list[Malformed]:
    plain = saved(noise(), "WEBP")[12:]

    def canvas(width: int, height: int, *more: bytes, flags: int = 0) -> bytes:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return _riff(b"VP8X\x0a\0\0\0" + bytes([flags, 0, 0, 0]) + sides, *more)

    still = [noise(), Image.new("RGB", (16, 16))]
    files = {
        "animated": saved(still[0], "WEBP", save_all=True, append_images=still[1:]),
        "huge-canvas": canvas(1 << 24, 1 << 24, plain),
        "large-canvas": canvas(13_000, 13_000, plain),
        "other-canvas": canvas(20, 20, plain),
        "canvas-alone": canvas(16, 16),
        "animation-without-frames": canvas(16, 16, b"ANIM\6\0\0\0" + bytes(6), flags=2),
        "lossless-noise": _riff(b"VP8L\x20\0\0\0\x2f" + bytes(range(31))),
        "lossy-noise": _riff(b"VP8 \x20\0\0\0" + bytes(range(32))),
        "chunk-of-no-kind": _riff(b"JUNK\4\0\0\0abcd"),
        "chunk-longer-than-file": _riff(b"VP8 \xff\xff\xff\x7f" + bytes(20)),
        "of-no-size": b"RIFF\0\0\0\0WEBP" + plain,
    }
    return [case(f"webp-{name}", "image", data) for name, data in files.items()]


def _riff(*chunks: bytes) -> bytes:
    whole = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def _odd() -> list[Malformed]:
    """Unusual, or with a stowaway, but pictures all the same."""
    plain = saved(noise(), "PNG")
    jpeg = saved(noise(), "JPEG")
    grey16 = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 256)
    files = {
        "16-bits": saved(grey16, "PNG"),
        "palette": saved(noise().convert("P"), "PNG"),
        "one-bit": saved(noise("L").convert("1"), "PNG"),
        "transparent": saved(noise("RGBA"), "PNG"),
        "grey-and-alpha": saved(noise("LA"), "PNG"),
        "page-behind": plain + b"<html><script>alert(1)</script></html>",
        "zip-behind": jpeg + b"PK\3\4stowaway" + bytes(30) + b"PK\5\6" + bytes(18),
        "page-in-a-comment": jpeg[:2] + b"\xff\xfe\0\x14<script>x</script>" + jpeg[2:],
        "wrong-orientation": saved(
            noise(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\xff\0\0\0\0\0\0\0"
        ),
        "exif-that-is-none": saved(noise(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 60_000),
        "profile-that-is-none": saved(noise(), "PNG", icc_profile=b"\xff" * 100_000),
        "more-pixels-than-needed": png(head(), chunk(b"IDAT", zlib.compress(bytes(2**22))), END),
        "without-an-end": png(head(), body()),
        "of-no-known-compression": png(head(method=9), body(), END),
        "checksum-of-pixels-wrong": png(head(), body()[:-4] + bytes(4), END),
        "without-tables": jpeg[: jpeg.index(b"\xff\xc4")] + jpeg[jpeg.index(b"\xff\xda") :],
    }
    return [fine(f"odd-{name}", "image", data) for name, data in files.items()]

"""What files that are no checkpoints look like, and what their owner can do. Pure."""

import re

HTML = re.compile(rb"<(!doctype|html|head|body|script|meta|\?xml|!--)", re.IGNORECASE)

PICTURE = "a picture; upload pictures as a dataset's items"
PACKED = "unpack it and give the checkpoint inside"

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", f"packed with gzip: {PACKED}"),
    (0, b"\xfd7zXZ\x00", f"packed with xz: {PACKED}"),
    (0, b"BZh", f"packed with bzip2: {PACKED}"),
    (0, b"\x28\xb5\x2f\xfd", f"packed with zstandard: {PACKED}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive: {PACKED}"),
    (0, b"Rar!\x1a\x07", f"a RAR archive: {PACKED}"),
    (257, b"ustar", f"a tar archive: {PACKED}"),
    (0, b"\xff\xd8\xff", f"a JPEG file, {PICTURE}"),
    (0, b"\x89PNG\r\n\x1a\n", f"a PNG file, {PICTURE}"),
    (0, b"GIF8", f"a GIF file, {PICTURE}"),
    (8, b"WEBP", f"a WebP file, {PICTURE}"),
    (0, b"II*\x00", f"a TIFF file, {PICTURE}"),
    (0, b"MM\x00*", f"a TIFF file, {PICTURE}"),
    (4, b"ftyp", "a video or a HEIF picture, not a network"),
    (0, b"%PDF", "a PDF document, not a network"),
    (0, b"\x7fELF", "a program for Linux, not a network"),
    (0, b"MZ", "a program for Windows, not a network"),
    (0, b"#!", "a script, not a network"),
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS in the place of the file: run `git lfs pull` and give the file",
    ),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes: only PyTorch and TensorFlow pickles are read"),
    (0, b"GGUF", "a GGUF file, a language model"),
)
"""Offset, bytes there, and what such a file is."""


def described(head: bytes) -> str:
    """A guess at what a file that is no checkpoint is.

    Args:
        head: its first bytes, some 512 of them.
    """
    if not head:
        return "it is empty: the download or upload failed; fetch it again"
    if not head.strip(b"\0"):
        return "it is all zeros: the download was never finished; fetch it again"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if HTML.match(text):
        return "it looks like a web page: the download failed; fetch it again with a browser"
    if text[:1] in b"{[" and text[1:].lstrip()[:1] in b'"{[}]':
        return "it looks like JSON, perhaps a server's message about a failed download"
    for offset, signature, meaning in SIGNATURES:
        if head[offset:].startswith(signature):
            return f"it is {meaning}"
    return f"it starts with {head[:8]!r}, which no known kind of checkpoint does"

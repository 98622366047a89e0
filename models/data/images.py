"""Pictures and masks between bytes and arrays; what cannot be read exactly is refused.

What a file holds is decided by its content, never by its name. Nothing is decoded before the
header's size has been checked, and a file's claims are never believed twice.

Pictures (PNG, JPEG, WebP) become 8-bit RGB:
    EXIF orientation   is applied; colour profiles are not
    grey, palette      take the colours they show
    16 bits            keep the high byte
    transparency       lies over white
Masks (PNG only) become one class id a pixel: of grey PNGs of any depth the stored value, of
palette PNGs the index and not its colour.
"""

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from models.data.pieces import check_pieces
from models.errors import InvalidImage
from models.labels import SegmentationSpec

ImageFormat = Literal["png", "jpg", "webp"]
Pixels = NDArray[np.uint8]

MAX_PIXELS = 50_000_000
"""Height times width at most; 150 MB once decoded."""

EXTENSIONS = ("png", "jpg", "jpeg", "webp")
"""What files of pictures may be called."""

# Pillow's settings by format. 4:4:4 keeps a JPEG's colours where its edges are; runs alone take
# a quarter to a half of the default's time for 1 to 6 % more bytes on generated images (level 3:
# more of both), and masks become smaller.
_ENCODERS: Mapping[ImageFormat, tuple[str, Mapping[str, Any]]] = {
    "png": ("PNG", {"compress_type": zlib.Z_RLE}),
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "webp": ("WEBP", {"quality": 90, "method": 4}),
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow raises on damaged files.
_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    AssertionError,  # A palette's picture without a palette.
    struct.error,
    Image.DecompressionBombError,
)

_HOW_TO_SAVE_A_MASK = (
    "save the class ids themselves: Image.fromarray(ids.astype('uint8')).save('mask.png')"
)


def decode_image(data: bytes, name: str) -> Pixels:
    """A picture as uint8 [H, W, 3] RGB in 0..255, upright.

    Args:
        data: a whole PNG, JPEG or WebP file.
        name: what errors call it.

    Raises:
        InvalidImage: it is none of these, damaged, animated, CMYK, or has too many pixels.
    """
    image = _opened(data, name)
    if image.mode == "CMYK":
        raise InvalidImage(name, "its colours are CMYK; save it as RGB")
    try:
        return _as_rgb(_upright(image))
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def decode_mask(data: bytes, name: str, spec: SegmentationSpec, size: tuple[int, int]) -> Pixels:
    """A mask as uint8 [H, W]: `spec`'s class ids, and its ignore_index where it has one.

    Args:
        data: a whole PNG file: grey of any depth, or palette.
        name: what errors call it.
        spec: the classes.
        size: (H, W) of the picture it labels, in pixels.

    Raises:
        InvalidImage: it is no such PNG, has another size, or holds a value that is no class.
    """
    kind = _kind(data, name)
    if kind != "PNG":
        raise InvalidImage(name, f"is a {kind} file, which does not keep ids; masks must be PNG")
    image = _opened(data, name)
    try:
        values = _stored_values(_upright(image), name, depth=data[24])
    except _DAMAGE as error:
        raise _damaged(name, error) from error
    check_size(values.shape, size, name)
    check_ids(values, name, spec)
    return values.astype(np.uint8)


def decode_grey16(data: bytes, name: str, size: tuple[int, int]) -> NDArray[np.uint16]:
    """The numbers uint16 [H, W] of a grey PNG of 16 bits.

    Args:
        data: the whole file.
        name: what errors call it.
        size: (H, W) of the picture that it labels, in pixels.

    Raises:
        InvalidImage: it is no such PNG, is damaged, or has another size.
    """
    kind = _kind(data, name)
    if kind != "PNG" or data[24:26] != b"\x10\x00":
        raise InvalidImage(name, "is no grey PNG of 16 bits a pixel; save it as uint16")
    image = _opened(data, name)
    try:
        values = np.asarray(_upright(image)).astype(np.uint16)
    except _DAMAGE as error:
        raise _damaged(name, error) from error
    check_size(values.shape, size, name)
    return values


def encode_png(array: Pixels) -> bytes:
    """A PNG of uint8 [H, W] (mode 'L') or [H, W, 3] (RGB); equal arrays give equal bytes."""
    return encode_image(array, "png")


def encode_image(array: Pixels, image_format: ImageFormat) -> bytes:
    """A picture file of uint8 [H, W] or [H, W, 3]: lossless PNG, or high-quality JPEG or WebP."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        shape = list(array.shape)
        raise ValueError(f"pictures are uint8 [H, W] or [H, W, 3], got {array.dtype} {shape}")
    encoder, options = _ENCODERS[image_format]
    target = io.BytesIO()
    Image.fromarray(array).save(target, encoder, **options)
    return target.getvalue()


def _kind(data: bytes, name: str) -> str:
    """PNG, JPEG or WEBP, by the file's first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    found = f"begins with {data[:8]!r}" if data else "is empty"
    raise InvalidImage(name, f"{found}; it must be a PNG, JPEG or WebP file")


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    """The picture with its header read and judged, and nothing decoded yet.

    The plugins are called by name: `Image.open` would also try relatives of JPEG, and warns
    through a global setting where we must refuse.
    """
    kind, source = _kind(data, name), io.BytesIO(data)
    if kind == "PNG" and data[12:16] != b"IHDR":
        raise InvalidImage(name, "is damaged: a PNG begins with an IHDR chunk; export it again")
    check_pieces(data, kind, name)
    try:
        image: ImageFile.ImageFile
        if kind == "PNG":
            image = PngImagePlugin.PngImageFile(source)
        elif kind == "JPEG":
            image = JpegImagePlugin.JpegImageFile(source)
        else:
            image = WebPImagePlugin.WebPImageFile(source)
    except Image.DecompressionBombError as error:
        raise InvalidImage(name, f"has more than {MAX_PIXELS:,} pixels; shrink it") from error
    except _DAMAGE as error:
        raise _damaged(name, error) from error
    _check_header(image, name)
    return image


def _check_header(image: ImageFile.ImageFile, name: str) -> None:
    width, height = image.size
    if height * width > MAX_PIXELS:
        limit = f"more than {MAX_PIXELS:,} pixels"
        raise InvalidImage(name, f"has {height} x {width} pixels, {limit}; shrink it")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise InvalidImage(name, f"is an animation of {frames} frames; save one of them alone")


def _damaged(name: str, error: Exception) -> InvalidImage:
    return InvalidImage(name, f"is damaged ({error}); export or upload it again")


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; an unreadable EXIF says nothing."""
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGE:
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _as_rgb(image: Image.Image) -> Pixels:
    """uint8 [H, W, 3], by the rules at the head of this module."""
    if image.mode == "I;16":
        high = (np.asarray(image) >> 8).astype(np.uint8)  # [H, W]
        return np.repeat(high[..., None], 3, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _stored_values(image: Image.Image, name: str, depth: int) -> NDArray[Any]:
    """The integers [H, W] as the PNG stores them; `depth` is its header's bits per channel."""
    if image.mode not in ("1", "L", "P", "I;16"):
        raise InvalidImage(name, _why_not_indices(image))
    values = np.asarray(image)
    if image.mode == "L" and depth < 8:
        # Pillow stretches 2- and 4-bit grey to 0..255, which is right for pictures alone.
        values = values // (255 // (2**depth - 1))
    return values


def _why_not_indices(image: Image.Image) -> str:
    """What to do about a mask with more than one channel."""
    channels = np.asarray(image)[..., :3]
    if image.mode == "LA" or (channels == channels[..., :1]).all():
        found = f"has {len(image.getbands())} channels of one grey; save it as mode 'L'"
        return f"{found}: Image.open('mask.png').convert('L').save('mask.png')"
    return f"is a colour picture, not a mask of class ids; {_HOW_TO_SAVE_A_MASK}"


def check_size(found: tuple[int, ...], wanted: tuple[int, int], name: str) -> None:
    """Refuse a label whose (H, W) is not its picture's."""
    if found == wanted:
        return
    is_turned = found == wanted[::-1]
    hint = "it looks turned, for EXIF orientation is applied to pictures" if is_turned else ""
    sizes = f"has {found[0]} x {found[1]} pixels, but its image {wanted[0]} x {wanted[1]}"
    raise InvalidImage(name, f"{sizes} (height x width); {hint or 'draw it at the same size'}")


def check_ids(values: NDArray[Any], name: str, spec: SegmentationSpec) -> None:
    """Refuse a mask [H, W] of 0..65535 that holds what is no class id and no ignore_index."""
    allowed = np.zeros(2**16, dtype=bool)
    allowed[: len(spec.classes)] = True
    if spec.ignore_index is not None:
        allowed[spec.ignore_index] = True
    bad = ~allowed[values.astype(np.uint16)]
    if not bad.any():
        return
    row, column = np.unravel_index(bad.argmax(), bad.shape)
    ignored = "no ignore_index" if spec.ignore_index is None else f"{spec.ignore_index} for ignore"
    found = f"holds {values[row, column]} at (row {row}, column {column})"
    more = f"and {bad.sum() - 1} more such pixels" if bad.sum() > 1 else "and nowhere else"
    wanted = f"the label has ids 0..{len(spec.classes) - 1} and {ignored}"
    if set(np.unique(values)) <= {0, 255}:
        remedy = "a black-and-white mask? Write 1 for 255, or declare ignore_index 255"
    else:
        remedy = f"add the class, declare it as ignore_index, or {_HOW_TO_SAVE_A_MASK}"
    raise InvalidImage(name, f"{found} {more}; {wanted}: {remedy}")

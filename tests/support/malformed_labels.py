"""Malformed labels: masks, depth and keypoints of an item whose picture is fine."""

import io
import pickle

import numpy as np
from PIL import Image

from tests.support.malformed import Malformed, case, cut, fine, flipped
from tests.support.malformed_pictures import END, SIZE, body, chunk, head, noise, png, saved

CLASSES = ("background", "shape")
POINTS = ("left", "right")
_SHARES = (0.02, 0.1, 0.3, 0.5, 0.8, 0.98)


def labels() -> list[Malformed]:
    """All of them."""
    return [*_masks(), *_arrays(), *_numbers(), *_keypoints()]


def ids(height: int = SIZE, width: int = SIZE, value: int = 1) -> np.ndarray:
    """A mask of one class."""
    return np.full((height, width), value, dtype=np.uint8)


def _mask(array: np.ndarray, mode: str | None = None, kind: str = "PNG") -> bytes:
    return saved(Image.fromarray(array, mode) if mode else Image.fromarray(array), kind)


def _masks() -> list[Malformed]:
    good = _mask(ids())
    two = ids()
    two[3, 5] = 2
    palette = Image.fromarray(ids(value=7)).convert("P")
    files = {
        "smaller": (_mask(ids(15, 16)), "has 15 x 16 pixels"),
        "larger": (_mask(ids(400, 400)), "has 400 x 400 pixels"),
        "turned": (_mask(ids(8, 32)), "has 8 x 32 pixels"),
        "one-pixel": (_mask(ids(1, 1)), "has 1 x 1 pixels"),
        "one-wrong-id": (_mask(two), r"holds 2 at \(row 3, column 5\)"),
        "black-and-white": (_mask(ids() * 255), "black-and-white mask"),
        "ids-of-16-bits": (_mask(np.full((16, 16), 300, np.uint16)), "holds 300"),
        "largest-id": (_mask(np.full((16, 16), 65535, np.uint16)), "holds 65535"),
        "palette-beyond-classes": (saved(palette, "PNG"), "holds 7"),
        "colours": (saved(noise(), "PNG"), "is a colour picture"),
        "grey-as-colours": (_mask(np.repeat(ids()[..., None], 3, 2)), "channels of one grey"),
        "transparent": (saved(noise("RGBA"), "PNG"), "colour picture"),
        "grey-and-alpha": (saved(noise("LA"), "PNG"), "channels"),
        "jpeg": (_mask(ids(), kind="JPEG"), "masks must be PNG"),
        "webp": (_mask(ids(), kind="WEBP"), "masks must be PNG"),
        "gif": (_mask(ids(), kind="GIF"), "must be a PNG"),
        "tiff": (_mask(ids(), kind="TIFF"), "must be a PNG"),
        "nothing": (b"", "is empty"),
        "text": (b"0 0 0 1\n1 1 0 0", "must be a PNG"),
        "huge": (png(head(2**31 - 1, 2**31 - 1, colour=0), body(1), END), "pixels"),
        "pieces": (png(head(colour=0), chunk(b"prIv", b"") * 20_001, body(1), END), "pieces"),
        "without-pixels": (png(head(colour=0), END), ""),
        "animated": (
            saved(
                Image.fromarray(ids()),
                "PNG",
                save_all=True,
                append_images=[Image.fromarray(ids() * 0)],
            ),
            "animation",
        ),
    }
    return [
        *(case(f"mask-{name}", "label", data, says) for name, (data, says) in files.items()),
        *cut("mask", "label", good, *_SHARES[:4]),
        fine("mask-without-palette", "label", png(head(colour=3), body(1), END)),
        *flipped("mask", "label", good, 0.0, 0.3, 0.5),
    ]


def npy(header: str, numbers: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """An .npy file with a header written by hand."""
    width = 2 if version[0] == 1 else 4
    return (
        b"\x93NUMPY" + version + len(header).to_bytes(width, "little") + header.encode() + numbers
    )


def described(kind: str, shape: object = (SIZE, SIZE), order: object = False) -> str:
    """A header as numpy writes it."""
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"


def array(values: object) -> bytes:
    """An .npy file as numpy writes it."""
    target = io.BytesIO()
    np.save(target, np.asarray(values), allow_pickle=True)
    return target.getvalue()


class _Command:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        import os

        return os.system, ("touch HACKED",)


def _arrays() -> list[Malformed]:
    """Files that are no arrays of numbers, sent as masks."""
    numbers = bytes(SIZE * SIZE)
    good = npy(described("'|u1'"), numbers)
    pickled = np.empty(1, dtype=object)
    pickled[0] = _Command()
    structured = np.zeros((SIZE, SIZE), dtype=[("id", "u1"), ("more", "f4")])
    code = "{'descr': '|u1', 'fortran_order': False, 'shape': __import__('os').getcwd(), }"
    zipped = io.BytesIO()
    np.savez(zipped, a=ids())
    kinds = ("b2", "b4", "b8", "f1", "f3", "i3", "u16", "c8", "c16", "S4", "U4", "V8", "M8", "O")
    files = {
        "pickled-command": array(pickled),
        "pickle-alone": pickle.dumps(_Command()),
        "npz": zipped.getvalue(),
        "structured": array(structured),
        "texts": array(["a", "b"]),
        "dates": array(np.zeros((16, 16), "M8[s]")),
        "complex": array(np.zeros((16, 16), complex)),
        "floats": array(np.zeros((16, 16))),
        "no-axes": array(1),
        "one-axis": array(np.zeros(256, np.uint8)),
        "three-axes": array(np.zeros((16, 16, 3), np.uint8)),
        "no-numbers": array(np.zeros((0, 16), np.uint8)),
        "other-size": array(np.zeros((16, 17), np.uint8)),
        "turned": array(np.zeros((8, 32), np.uint8).T),
        "negative": array(np.full((16, 16), -1)),
        "beyond-16-bits": array(np.full((16, 16), 2**40)),
        "no-class": array(np.full((16, 16), 9)),
        "huge-shape": npy(described("'|u1'", (10**9, 10**9)), numbers),
        "largest-shape": npy(described("'|u1'", (999999999,) * 6), numbers),
        "shape-too-long": npy(described("'|u1'", (1,) * 40), numbers),
        "shape-of-many-digits": npy(described("'|u1'", (10**40, 1)), numbers),
        "negative-shape": npy(described("'|u1'", (-16, -16)), numbers),
        "shape-of-floats": npy(described("'|u1'", (16.0, 16.0)), numbers),
        "shape-of-texts": npy(described("'|u1'", "('a', 'b')"), numbers),
        "shape-that-is-code": npy(code, numbers),
        "order-that-is-none": npy(described("'|u1'", order="None"), numbers),
        "kind-that-is-code": npy(described("exec('1')"), numbers),
        "kind-of-kinds": npy(described("[('a', '|O')]"), numbers),
        "shape-missing": npy("{'descr': '|u1', 'fortran_order': False, }", numbers),
        "more-keys": npy(described("'|u1'")[:-1] + "'more': 1}", numbers),
        "braces": npy("{" * 4000),
        "blanks": npy(described("'|u1'") + " " * 60_000, numbers),
        "longer-header-than-file": b"\x93NUMPY\2\0\xff\xff\xff\x7f{",
        "no-header": npy(""),
        "header-of-zeros": npy("\0" * 100, numbers),
        "magic-alone": b"\x93NUMPY",
        "trailing-numbers": good + b"\0",
        "one-number-less": good[:-1],
    }
    return [
        *(case(f"npy-{name}", "label", data) for name, data in files.items()),
        *(
            case(f"npy-of-{kind}", "label", npy(described(f"'<{kind}'"), numbers * 16))
            for kind in kinds
        ),
        *cut("npy", "label", good, *_SHARES),
        fine("npy-in-fortran-order", "label", array(np.asfortranarray(ids()))),
        fine("npy-of-truths", "label", array(ids().astype(bool))),
        fine("npy-of-version-7", "label", npy(described("'|u1'"), ids().tobytes(), b"\7\0")),
    ]


def _numbers() -> list[Malformed]:
    """Depth that is none."""
    shape, nan = (SIZE, SIZE), float("nan")
    signalling = npy(described("'<f4'"), b"\1\0\x80\x7f" * SIZE * SIZE)
    half = np.ones(shape, np.float32)
    half[:8] = nan
    files = {
        "nan-alone": (array(np.full(shape, nan)), "has no depth"),
        "signalling-nan-alone": (signalling, "has no depth"),
        "infinity-alone": (array(np.full(shape, np.inf)), "has no depth"),
        "minus-infinity-alone": (array(np.full(shape, -np.inf)), "has no depth"),
        "zeros": (array(np.zeros(shape)), "has no depth"),
        "negative": (array(np.full(shape, -3.0)), "has no depth"),
        "far-too-large": (array(np.full(shape, 1e300)), "has no depth"),
        "tiny": (array(np.full(shape, 5e-324)), "has no depth"),
        "whole-numbers": (array(np.ones(shape, np.int32)), "floating-point"),
        "other-size": (array(np.ones((4, 4))), "has 4 x 4 pixels"),
        "colours": (array(np.ones((*shape, 3))), "must be"),
        "picture-without-scale": (_mask(np.ones(shape, np.uint16)), "depth_scale"),
        "nothing": (b"", ""),
        "truths": (array(np.ones(shape, bool)), "floating-point"),
        "long-doubles": (array(np.ones(shape, np.longdouble)), ""),
    }
    return [
        *(case(f"depth-{name}", "depth", data, says) for name, (data, says) in files.items()),
        fine("depth-half-nan", "depth", array(half)),
        fine("depth-big-endian", "depth", array(np.ones(shape, ">f8"))),
    ]


def _keypoints() -> list[Malformed]:
    point, own = "[[1, 1, 2], [2, 2, 2]]", '"names": ["left", "right"], "keypoints"'
    deep = 100_000
    texts = {
        "nothing": "",
        "blanks": "   ",
        "null": "null",
        "number": "5",
        "text": '"points"',
        "list": point,
        "empty": "{}",
        "two-keys": f'{{"points": {point}, "more": {point}}}',
        "cut": '{"points": [[1, 1, 2], [2,',
        "trailing": f'{{"points": {point}}} x',
        "comma-behind": f'{{"points": {point},}}',
        "single-quotes": f"{{'points': {point}}}",
        "comment": f'{{"points": /* none */ {point}}}',
        "one-point": '{"points": [[1, 1, 2]]}',
        "three-points": '{"points": [[1, 1, 2], [1, 1, 2], [1, 1, 2]]}',
        "pairs": '{"points": [[1, 1], [2, 2]]}',
        "uneven": '{"points": [[1, 1, 2], [2]]}',
        "texts": '{"points": [["1", "1", "2"], ["2", "2", "2"]]}',
        "nulls": '{"points": [[null, 1, 2], [2, 2, 2]]}',
        "objects": '{"points": [{"x": 1}, {"x": 2}]}',
        "nan": '{"points": [[NaN, 1, 2], [2, 2, 2]]}',
        "infinity": '{"points": [[Infinity, 1, 2], [2, 2, 2]]}',
        "beyond-floats": '{"points": [[1e999, 1, 2], [2, 2, 2]]}',
        "visibility-3": '{"points": [[1, 1, 3], [2, 2, 2]]}',
        "visibility-nan": '{"points": [[1, 1, NaN], [2, 2, 2]]}',
        "all-outside": '{"points": [[-9, 1, 2], [99, 2, 2]]}',
        "all-hidden-away": '{"points": [[1, 1, 0], [2, 2, 0]]}',
        "huge-number": f'{{"points": [[1{"0" * 400}, 1, 2], [2, 2, 2]]}}',
        "endless-number": f'{{"points": [[1{"0" * 9000}, 1, 2], [2, 2, 2]]}}',
        "deep-lists": f'{{"points": {"[" * deep}{"]" * deep}}}',
        "deep-objects": '{"a":' * deep + "1" + "}" * deep,
        "deep-unclosed": "[" * deep,
        "half-a-character": '{"\\ud800": 5}',
        "long-key": f'{{"{"k" * 500_000}": 5}}',
        "too-large": f'{{"points": "{"x" * 2**20}"}}',
        "own-huge-number": f"{{{own}: [1{'0' * 400}, 1, 2, 2, 2, 2]}}",
        "own-beyond-floats": f"{{{own}: [1e300, 1, 2, 2, 2, 2]}}",
        "own-visibility-7": f"{{{own}: [1, 1, 7, 2, 2, 2]}}",
        "own-all-outside": f"{{{own}: [-5000, 1, 2, 2, -5000, 2]}}",
        "own-too-few": f"{{{own}: [1, 1, 2]}}",
        "own-nested": f"{{{own}: [[1, 1, 2], [2, 2, 2]]}}",
        "own-object": f'{{{own}: {{"a": 1}}}}',
        "own-without-names": '{"keypoints": [1, 1, 2, 2, 2, 2]}',
        "own-names-a-number": '{"names": 5, "keypoints": [1, 1, 2, 2, 2, 2]}',
        "own-names-null": '{"names": null, "keypoints": [1, 1, 2, 2, 2, 2]}',
        "own-other-names": '{"names": ["a", "b"], "keypoints": [1, 1, 2, 2, 2, 2]}',
        "own-long-name": f'{{"names": ["{"n" * 500_000}"], "keypoints": [1, 1, 2, 2, 2, 2]}}',
        "own-half-a-character": '{"names": ["\\ud800"], "keypoints": [1, 1, 2, 2, 2, 2]}',
        "own-deep-names": f'{{"names": {"[" * 900}{"]" * 900}, "keypoints": [1]}}',
    }
    binary = {
        "no-utf-8": b'{"points\xff": [[1, 1, 2], [2, 2, 2]]}',
        "zeros": bytes(100),
        "pickle": pickle.dumps([[1, 1, 2]]),
    }
    points = f'{{"points": {point}}}'
    return [
        *(case(f"keypoints-{name}", "keypoints", text.encode()) for name, text in texts.items()),
        *(case(f"keypoints-{name}", "keypoints", data) for name, data in binary.items()),
        fine("keypoints-in-utf-16", "keypoints", points.encode("utf-16")),
        fine("keypoints-behind-a-mark", "keypoints", b"\xef\xbb\xbf" + points.encode()),
        fine("keypoints-twice-the-same-key", "keypoints", f'{{"a": 5, "a": {point}}}'.encode()),
    ]

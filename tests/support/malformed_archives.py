"""Malformed archives: zips and tars that lie, lead elsewhere, or hold too much."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable

from PIL import Image

from tests.support.malformed import Malformed, case, fine
from tests.support.malformed_labels import ids
from tests.support.malformed_pictures import noise, saved

GOOD = {
    "images/a.png": saved(noise(), "PNG"),
    "masks/a.png": saved(Image.fromarray(ids()), "PNG"),
}
"""The files of a dataset of one item."""

_NAMES = {
    "absolute": "/etc/passwd",
    "parents": "../../etc/passwd",
    "parents-within": "images/../../b.png",
    "drive": "C:/b.png",
    "backslashes": "..\\..\\b.png",
    "doubled-slash": "images//b.png",
    "dot": "images/./b.png",
    "line-end": "images/b\n.png",
    "escape": "images/\x1b[31mb.png",
    "right-to-left": "images/b\u202egnp.exe",
    "nested-zip": "images/more.zip",
    "nested-tar": "images/more.tar.gz",
    "long": "images/" + "b" * 5000 + ".png",
    "deep": "images/" + "d/" * 2000 + "b.png",
    "dots": "images/...",
    "encoded": "images/%2e%2e%2fb.png",
}
_Members = dict[str, bytes]


def archives() -> list[Malformed]:
    """All of them."""
    return [*_others(), *_names(), *_zips(), *_tars(), *_contents()]


def zipped(members: _Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files by path."""
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return target.getvalue()


def tarred(members: _Members, *more: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files by path, and of entries without content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)
    return target.getvalue()


def _entry(kind: bytes, name: str = "images/b.png", **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def _others() -> list[Malformed]:
    tar = tarred(GOOD)
    files = {
        "nothing": b"",
        "zeros": bytes(10_240),
        "text": b"not an archive",
        "picture": GOOD["images/a.png"],
        "zip-signature-alone": b"PK\3\4",
        "zip-end-alone": b"PK\5\6" + bytes(18),
        "gzip-signature-alone": b"\x1f\x8b",
        "gzip-of-text": gzip.compress(b"text"),
        "gzip-of-zip": gzip.compress(zipped(GOOD)),
        "gzip-of-gzip": gzip.compress(gzip.compress(tar)),
        "bzip2": bz2.compress(tar),
        "xz": lzma.compress(tar),
        "7z": b"7z\xbc\xaf\x27\x1c" + bytes(40),
        "rar": b"Rar!\x1a\7\0" + bytes(40),
        "zstd": b"\x28\xb5\x2f\xfd" + bytes(40),
    }
    return [case(f"archive-{name}", "archive", data) for name, data in files.items()]


def _names() -> list[Malformed]:
    found = []
    for name, path in _NAMES.items():
        members = {**GOOD, path: GOOD["images/a.png"]}
        says = "points outside|control characters|archive within|does not end|has no mask|deep|name"
        found.append(case(f"zip-name-{name}", "archive", zipped(members), says))
        if name != "backslashes":  # In a tar these are letters like others.
            found.append(case(f"tar-name-{name}", "archive", tarred(members), says))
    return found


def _zips() -> list[Malformed]:
    good, stored = zipped(GOOD), zipped(GOOD, zipfile.ZIP_STORED)
    directory = good.index(b"PK\1\2")

    def changed(data: bytes, *changes: tuple[int, bytes]) -> bytes:
        copy = bytearray(data)
        for place, other in changes:
            copy[place : place + len(other)] = other
        return bytes(copy)

    def linked(kind: int) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, data in GOOD.items():
                archive.writestr(name, data)
            info = zipfile.ZipInfo("images/b.png")
            info.external_attr = (kind | 0o777) << 16
            archive.writestr(info, b"/etc/passwd")
        return target.getvalue()

    end = good.rindex(b"PK\5\6")
    pair = {"images/A.png": GOOD["images/a.png"], "masks/A.png": GOOD["masks/a.png"]}
    twice = zipped({**GOOD, "images/b.png": b"1"}).replace(b"images/b.png", b"images/a.png")
    files: dict[str, bytes | Callable[[], bytes]] = {
        "encrypted": changed(good, (directory + 8, b"\1")),
        "method-99": changed(good, (directory + 10, b"\x63\0")),
        "lzma": zipped(GOOD, zipfile.ZIP_LZMA),
        "bzip2": zipped(GOOD, zipfile.ZIP_BZIP2),
        "link": linked(stat.S_IFLNK),
        "device": linked(stat.S_IFBLK),
        "pipe": linked(stat.S_IFIFO),
        "twice-the-same": twice,
        "same-but-for-case": zipped({**GOOD, **pair}),
        "wrong-checksum": changed(stored, (stored.index(b"PK\1\2") + 16, bytes(4))),
        "other-bytes": changed(stored, (200, b"xxxx")),
        "cut": good[: len(good) // 2],
        "without-directory": good[:directory],
        "without-end": good[:end],
        "directory-elsewhere": changed(good, (end + 16, b"\xff\xff\xff\x7f")),
        "directory-larger": changed(good, (end + 12, b"\xff\xff\xff\x7f")),
        "size-too-small": changed(good, (directory + 24, b"\1\0\0\0")),
        "offset-lying": changed(good, (directory + 42, b"\xff\xff\xff\x7f")),
        "zip64-end-lying": good[:end]
        + b"PK\6\6"
        + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**60, 2**60, 2**60, 0)
        + b"PK\6\7"
        + struct.pack("<IQI", 0, end, 1)
        + changed(good[end:], (8, b"\xff" * 12)),
        "name-with-zero": good.replace(b"images/a.png", b"images/\0.png"),
        "bomb": lambda: zipped({**GOOD, "images/b.png": bytes(2**26)}),
        "bomb-of-masks": lambda: zipped({**GOOD, "masks/b.png": bytes(2**26)}),
        "empty": zipped({}),
        "folders-alone": zipped({"images/": b"", "masks/": b""}),
        "entries": lambda: zipped({f"images/{n}.png": b"" for n in range(25_000)}),
        "junk-alone": zipped({".DS_Store": b"", "__MACOSX/._a": b""}),
    }
    # The content tells its own end, so what the directory says of its size does not matter.
    lying = {"size-lying": 24, "packed-size-lying": 20}
    return [
        *(case(f"zip-{name}", "archive", data) for name, data in files.items()),
        *(
            fine(f"zip-{name}", "archive", changed(good, (directory + place, b"\xff\xff\xff\x7f")))
            for name, place in lying.items()
        ),
        fine("zip64-without-its-field", "archive", changed(good, (directory + 24, b"\xff" * 4))),
    ]


def _tars() -> list[Malformed]:
    good = tarred(GOOD)

    def summed(block: bytearray) -> bytes:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block[:512])
        return bytes(block)

    def first(place: int, other: bytes) -> bytes:
        block = bytearray(good[:512])
        block[place : place + len(other)] = other
        return summed(block) + good[512:]

    def pax(record: bytes, kind: bytes = b"x") -> bytes:
        block = bytearray(tarfile.TarInfo("pax").tobuf())
        block[156:157], block[124:136] = kind, b"%011o\0" % len(record)
        return summed(block) + record + bytes(-len(record) % 512) + good

    files: dict[str, bytes | Callable[[], bytes]] = {
        "symbolic-link": tarred(GOOD, _entry(b"2", linkname="/etc/passwd")),
        "hard-link": tarred(GOOD, _entry(b"1", linkname="../../etc/passwd")),
        "character-device": tarred(GOOD, _entry(b"3", devmajor=1, devminor=5)),
        "block-device": tarred(GOOD, _entry(b"4")),
        "pipe": tarred(GOOD, _entry(b"6")),
        "unknown-kind": tarred(GOOD, _entry(b"Z")),
        "sparse": tarred(GOOD, _entry(b"S")),
        "cut": good[:700],
        "cut-in-a-header": good[:100],
        "without-end": good[: good.rindex(b"ustar") + 300],
        "wrong-checksum": good[:148] + b"0000000\0" + good[156:],
        "damaged-in-the-middle": good[:1024] + b"\xff" * 512 + good[1536:],
        "size-that-is-none": first(124, b"zzzzzzzzzzz\0"),
        "size-huge": first(124, b"77777777777\0"),
        "size-binary-huge": first(124, b"\x80" + b"\xff" * 11),
        "size-binary-negative": first(124, b"\xff" * 12),
        "pax-of-no-length": pax(b"0 path=x\n"),
        "pax-length-lying": pax(b"999 path=x\n"),
        "pax-negative": pax(b"-9 path=x\n"),
        "pax-without-equals": pax(b"9 pathxx\n"),
        "pax-size-huge": pax(b"22 size=999999999999\n"),
        "pax-size-that-is-none": pax(b"13 size=abc\n\n"[:13]),
        "pax-sparse": pax(b"22 GNU.sparse.major=1\n"),
        "pax-path-out": pax(b"24 path=../../etc/passwd\n".replace(b"24", b"25")),
        "pax-long-path": pax(b"500020 path=" + b"p" * 500_007 + b"\n"),
        "pax-too-large": lambda: pax(b"x" * (2**20 + 1)),
        "pax-of-all-abused": pax(b"12 path=xyz\n" * 200_000, b"g"),
        "gnu-name-too-large": lambda: pax(b"x" * (2**20 + 1), b"L"),
        "gzip-cut": gzip.compress(good)[:-20],
        "gzip-other-checksum": gzip.compress(good)[:-8] + bytes(8),
        "gzip-bomb": lambda: gzip.compress(tarred({**GOOD, "images/b.png": bytes(2**26)})),
        "twice-the-same": _doubled(),
        "entries": lambda: tarred({f"images/{n}.png": b"" for n in range(20_100)}, form=0),
        "empty-entries-gzipped": lambda: gzip.compress(
            tarfile.TarInfo("images/a.png").tobuf() * 100_000 + bytes(1024)
        ),
        "folder-alone": tarred({}, _entry(b"5", "images")),
        "no-utf-8": tarred({"images/\udcff\udcfe.png": b"x", **GOOD}, form=0),
    }
    return [case(f"tar-{name}", "archive", data) for name, data in files.items()]


def _doubled() -> bytes:
    """A tar that holds one path twice."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in [*GOOD.items(), *GOOD.items()]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def _contents() -> list[Malformed]:
    """Whole archives of files that do not belong together."""
    image, mask = GOOD.values()
    deep = b"[" * 100_000
    files = {
        "mask-missing": {**GOOD, "images/b.png": image},
        "image-missing": {**GOOD, "masks/b.png": mask},
        "masks-alone": {"masks/a.png": mask},
        "images-alone": {"images/a.png": image},
        "mask-of-the-image": {"images/a.png": image, "masks/a.png": image},
        "other-files": {"readme.txt": b"hello"},
        "names-that-meet": {**GOOD, "images/a b.png": image, "images/a-b.png": image},
        "two-datasets": {f"{n}/{k}": v for n in (1, 2) for k, v in GOOD.items()},
        "image-too-deep": {**GOOD, "images/more/b.png": image},
        "script": {**GOOD, "images/run.sh": b"rm -rf /"},
        "coco-nothing": {"annotations.json": b"", **GOOD, "coco.json": b""},
        "coco-cut": {"coco/annotations.json": b'{"images": [{"id": 1', "coco/a.png": image},
        "coco-deep": {"annotations.json": b'{"images": ' + deep, "images/a.png": image},
        "coco-of-numbers": {"annotations.json": b'{"images": 5, "annotations": 5}'},
    }
    return [case(f"dataset-{name}", "archive", zipped(each)) for name, each in files.items()]

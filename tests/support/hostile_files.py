"""Containers that lie about themselves, and files that are no checkpoints at all."""

import gzip
import io
import json
import lzma
import os
import struct
import tarfile
import zipfile
import zlib

from support.hostile import Case, bad, part, reference, tame, tensor, torch_zip, whole, zipped

GIGABYTES = 10 << 30


def zips() -> list[Case]:
    """Zip files that a careless reader unpacks."""
    plain = torch_zip(part({"a": 1}))
    pickled = whole(part([0] * 10))
    thousand = {f"{i}/{'d/' * (i % 50)}data.pkl": pickled for i in range(1000)}
    odd = {"/etc/../data.pkl": whole(part(1)), "/etc/passwd": b"x", "../../up": b"y"}
    bomb = {"a/data.pkl": whole(b"(" + b"N" * 20_000_000 + b"t")}
    return [
        bad(
            "zip-bomb",
            "unpacks to 20 MB of operations",
            zipped(bomb, zipfile.ZIP_DEFLATED),
            "is compressed",
        ),
        bad(
            "zip-compressed", "has a compressed storage", _compressed_storage(), "s0 is compressed"
        ),
        bad(
            "zip-lzma",
            "is packed with LZMA",
            zipped({"a/data.pkl": pickled}, zipfile.ZIP_LZMA),
            "is compressed",
        ),
        bad(
            "zip-members", "has a thousand pickles", zipped(thousand), "one data.pkl, this has 1000"
        ),
        tame("zip-names", "has members that lie outside", zipped(odd)),
        bad(
            "zip-duplicates",
            "has two members of one name",
            _duplicates(plain),
            "two members are called",
        ),
        bad(
            "zip-directory",
            "announces 400,000 members",
            _long_directory(400_000),
            "its directory has",
        ),
        bad(
            "zip-overlap", "has 60 members in one place", _overlapping(60, 40_000), "storages claim"
        ),
        bad("zip-nested", "holds another zip", zipped({"a/b.pt": plain}), "zip archive of 1 files"),
        bad(
            "zip-checksum",
            "has a storage with a flipped bit",
            _flipped(),
            "the checksum of archive/data/s0",
        ),
        bad(
            "zip-pickle-checksum",
            "has a pickle with a flipped bit",
            plain.replace(b"K\1", b"K\2", 1),
            "checksum",
        ),
        bad("zip-encrypted", "says it is encrypted", _encrypted(plain), "an encrypted zip"),
        bad(
            "zip-elsewhere", "points between its members", _moved(plain, 3), "is not where it says"
        ),
        bad("zip-outside", "points behind its end", _moved(plain, 2**31), "ends too early"),
        bad("zip-cut", "was cut off", plain[:-40], "directory at the end is missing"),
        bad(
            "zip-volumes",
            "is one of three volumes",
            plain.replace(b"PK\5\6\0\0", b"PK\5\6\3\0"),
            "several",
        ),
        bad("zip64", "says its directory is at 10 GB", _zip64(plain, GIGABYTES), "lies outside it"),
        bad(
            "zip64-size",
            "says its directory has 10 GB",
            _zip64(plain, 0, GIGABYTES),
            "its directory has",
        ),
        bad("zip-big-endian", "is of a big-endian machine", _big_endian(), "big-endian"),
        bad(
            "torchscript",
            "is a program for torch",
            zipped({"a/data.pkl": pickled, "a/constants.pkl": pickled}),
            "TorchScript",
        ),
        bad(
            "npz-bomb",
            "unpacks to 100 MB of zeros",
            zipped({"a.npy": _npy(100 << 20) + bytes(100 << 20)}, zipfile.ZIP_DEFLATED),
            "unpack to",
        ),
        bad("npz-liar", "says it unpacks to 1 byte", _npz_liar(), "does not unpack to 1 bytes"),
    ]


def headers() -> list[Case]:
    """Headers that promise more than the file has."""
    overlap = {"a": _entry(0, 8), "b": _entry(4, 12)}
    far = {"a": {"dtype": "F32", "shape": [GIGABYTES], "data_offsets": [0, 4 * GIGABYTES]}}
    return [
        bad("npy-claim", "claims an array of 10 GB", _npy(GIGABYTES), "claims 10737418240 bytes"),
        bad(
            "npy-header",
            "claims a header of 4 GB",
            b"\x93NUMPY\2\0" + b"\xff" * 4,
            "header of 4294967295",
        ),
        bad(
            "npy-records",
            "has records",
            _npy_header("[('a', '<f8')]", "(1,)"),
            "neither numbers nor",
        ),
        bad(
            "npy-code",
            "has a call in its header",
            _npy_header("exit()", "(1,)"),
            "neither numbers nor",
        ),
        bad(
            "npy-nested",
            "has a header of brackets",
            _npy_header("(" * 3000, "(1,)"),
            "neither numbers nor",
        ),
        bad(
            "npy-shape",
            "has a shape of long numbers",
            _npy_header("'<f8'", f"({'9' * 900},)"),
            "impossible",
        ),
        bad(
            "npy-commas",
            "has a shape of two numbers without a comma",
            _npy_header("'<f8'", "(12 3)"),
            "numbers nor objects",
        ),
        bad(
            "safetensors",
            "claims a header of 10 GB",
            struct.pack("<Q", GIGABYTES) + b"{}",
            "header of 107374",
        ),
        bad(
            "safetensors-cut",
            "ends in its header",
            struct.pack("<Q", 1000) + b"{}",
            "cut off in its header",
        ),
        bad(
            "safetensors-overlap",
            "has tensors in one place",
            _safetensors(overlap, 12),
            "not a safetensors",
        ),
        bad("safetensors-far", "has a tensor of 40 GB", _safetensors(far, 8), "not a safetensors"),
        bad(
            "safetensors-deep",
            "has a header of brackets",
            _raw_safetensors(b'{"a":' * 100_000),
            "not a safet",
        ),
        bad(
            "safetensors-json",
            "has a header that is no JSON",
            _raw_safetensors(b"{" * 64),
            "not a safetensors",
        ),
    ]


def others() -> list[Case]:
    """What people upload by mistake, and what never ends."""
    network = torch_zip(tensor(reference("s0", 1), 0, (1,), (1,)), s0=bytes(4))
    return [
        bad("empty", "is empty", b"", "empty"),
        bad("zeros", "was never filled", bytes(5000), "all zeros"),
        bad(
            "page",
            "is a web page",
            b"\n<!DOCTYPE html><html>Quota exceeded",
            "web page: the download failed; fetch",
        ),
        bad("page-bom", "is one with a byte order mark", b"\xef\xbb\xbf<html>", "web page"),
        bad("json", "is a server's message", b'{"error": {"code": 403}}', "JSON"),
        bad(
            "pointer",
            "is a pointer of Git LFS",
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        bad("gzip", "is packed with gzip", gzip.compress(network), "gzip: unpack"),
        bad("xz", "is packed with xz", lzma.compress(network), "xz: unpack"),
        bad("tar", "is a tar archive", _tar(network), "tar archive: unpack"),
        bad("elf", "is a program", b"\x7fELF\2\1\1" + bytes(100), "program for Linux"),
        bad("jpeg", "is a picture", b"\xff\xd8\xff\xe0" + bytes(100), "JPEG file, a picture"),
        bad("png", "is another picture", b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG file, a picture"),
        bad(
            "text",
            "is a letter",
            b"Dear Sir or Madam, here is my network.",
            "starts with b'Dear Sir'",
        ),
        bad("folder", "is a folder", lambda path: path.mkdir(), "a folder, a pipe or a device"),
        bad("pipe", "is a pipe without a writer", os.mkfifo, "a folder, a pipe or a device"),
        bad(
            "device",
            "is a link to endless zeros",
            lambda path: path.symlink_to("/dev/zero"),
            "device",
        ),
        bad("loop", "is a link to itself", lambda path: path.symlink_to(path), "cannot be read"),
    ]


def _compressed_storage() -> bytes:
    buffer = io.BytesIO(torch_zip(reference("s0", 250_000)))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("archive/data/s0", bytes(1_000_000), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _duplicates(plain: bytes) -> bytes:
    """The only entry of the directory, twice."""
    start, end = plain.index(b"PK\1\2"), plain.index(b"PK\5\6")
    entry = plain[start:end]
    return plain[:end] + entry + _end_of_zip(2, 2 * len(entry), start)


def _end_of_zip(count: int, length: int, start: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, length, start, 0)


def _entry_of_zip(title: bytes, size: int, header: int, crc: int = 0) -> bytes:
    fields = (20, 20, 0, 0, 0, 0, crc, size, size, len(title), 0, 0, 0, 0, 0, header)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + title


def _long_directory(count: int) -> bytes:
    entries = b"".join(_entry_of_zip(b"%d" % i, 0, 0) for i in range(count))
    return b"PK\3\4" + entries + _end_of_zip(min(count, 0xFFFE), len(entries), 4)


def _overlapping(count: int, size: int) -> bytes:
    """Storages that all lie in the same bytes, which their pickle asks for one by one."""
    numbers = bytes(size)
    title = b"a/data.pkl"
    operations = b"(" + b"".join(reference(f"s{i}", size // 4) for i in range(count)) + b"t"
    pickled = whole(operations, 2)

    def local(name: bytes, data: bytes) -> bytes:
        fields = (20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(name), 0)
        return struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + name + data

    front = local(title, pickled)
    body = front + local(b"a/data/s0", numbers)
    entries = _entry_of_zip(title, len(pickled), 0, zlib.crc32(pickled))
    for i in range(count):
        entries += _entry_of_zip(b"a/data/s%d" % i, size, len(front), zlib.crc32(numbers))
    return body + entries + _end_of_zip(count + 1, len(entries), len(body))


def _flipped() -> bytes:
    data = torch_zip(reference("s0", 2), s0=b"ABCDEFGH")
    return data.replace(b"ABCDEFGH", b"ABCDEFGI")


def _encrypted(plain: bytes) -> bytes:
    at = plain.index(b"PK\1\2") + 8
    return plain[:at] + b"\1" + plain[at + 1 :]


def _moved(plain: bytes, to: int) -> bytes:
    """The first entry points elsewhere."""
    at = plain.index(b"PK\1\2") + 42
    return plain[:at] + struct.pack("<L", to) + plain[at + 4 :]


def _zip64(plain: bytes, start: int, length: int = 100) -> bytes:
    """The same with records for large files at its end."""
    body = plain[: plain.index(b"PK\5\6")]
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, length, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    return body + record + locator + _end_of_zip(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def _big_endian() -> bytes:
    return zipped({"a/data.pkl": whole(part(1)), "a/byteorder": b"big"})


def _npy_header(dtype: str, shape: str) -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


def _npy(count: int) -> bytes:
    return _npy_header("'|u1'", f"({count},)")


def _npz_liar() -> bytes:
    """The directory says 1 byte, the member has more."""
    data = zipped({"a.npy": _npy(1000) + bytes(1000)}, zipfile.ZIP_DEFLATED)
    at = data.index(b"PK\1\2") + 24
    return data[:at] + struct.pack("<L", 1) + data[at + 4 :]


def _entry(start: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - start) // 4], "data_offsets": [start, end]}


def _safetensors(header: dict[str, object], size: int) -> bytes:
    return _raw_safetensors(json.dumps(header).encode()) + bytes(size)


def _raw_safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def _tar(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("network.pt")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()

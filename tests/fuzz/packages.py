"""From the bytes a fuzzer makes up to files, and the files it starts from.

Checksums and lengths would keep a fuzzer at the outermost layer for ever. The first byte of
an input therefore chooses what the others become: the file itself, or one of its inner parts,
wrapped as it should be.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch


def pack(data: bytes) -> bytes:
    """The file that an input stands for."""
    return PACKAGES[data[0] % len(PACKAGES)](data[1:]) if data else b""


def _as_it_is(data: bytes) -> bytes:
    return data


def _torch_zip(data: bytes) -> bytes:
    """`data` as the pickle of a torch file that has two storages."""
    return _zipped({"a/data.pkl": data, "a/data/0": bytes(range(64)), "a/data/1": bytes(8)})


def _inside_a_tensor(data: bytes) -> bytes:
    """`data` as the bytes of a tensor's storage."""
    call = b"\x80\x03ctorch.storage\n_load_from_bytes\n"
    return call + b"B" + struct.pack("<I", len(data)) + data + b"\x85R."


def _legacy(data: bytes) -> bytes:
    """`data` as the fourth pickle of a legacy stream with its storage's numbers."""
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    tail = pickle.dumps(["0"], 2) + struct.pack("<q", 16) + bytes(64)
    return head + data + tail


def _npz(data: bytes) -> bytes:
    """`data` as a compressed array."""
    return _zipped({"a.npy": data}, zipfile.ZIP_DEFLATED)


PACKAGES: tuple[Callable[[bytes], bytes], ...] = (
    _as_it_is,
    _torch_zip,
    _inside_a_tensor,
    _legacy,
    _npz,
)


def seeds() -> list[bytes]:
    """Inputs that reach every format, with small values in them."""
    value = _value()
    found = [b"\0" + pickle.dumps(value, protocol) for protocol in range(6)]
    found += [b"\0" + _saved(value, zipped) for zipped in (True, False)]
    tensors = {"x": value["x"], "y": value["y"], "n": value["n"]}
    with zipfile.ZipFile(io.BytesIO(_saved(tensors, zipped=True))) as archive:
        inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        found.append(b"\1" + archive.read(inner))
    found.append(b"\2" + _storage_stream())
    found.append(b"\3" + _fourth_pickle())
    for array in (np.arange(6.0).reshape(2, 3), np.array({"a": [np.ones(2)]}, dtype=object)):
        found += [b"\0" + _npy(array), b"\4" + _npy(array)]
    found.append(b"\0" + _npz(_npy(np.ones(3, "<f2"))))
    found += [b"\0<!DOCTYPE html>", b"\0\x10\0\0\0\0\0\0\0{}", b"\0"]
    found.append(b"\0" + _persistent())
    return found


def _value() -> dict[str, object]:
    """One of everything that is read."""
    return {
        "x": torch.arange(16.0).view(4, 4).T,
        "y": torch.ones(2, dtype=torch.float16),
        "n": np.float64(0.5),
        "a": np.arange(3, dtype=">i4"),
        "o": OrderedDict([("k", (1, 2, 3, 4, None)), ("s", {1, "a"})]),
        "l": [1.5, 2**70, -1, 300, b"\xff", "äö", frozenset({3}), True, bytearray(b"x")],
        "i": io.StringIO,
        "p": torch.nn.Parameter(torch.zeros(2)),
    }


def _persistent() -> bytes:
    """A network object of NVIDIA's kind."""
    meta = {"type": "class", "class_name": "G", "module_src": "x", "state": {"_modules": {}}}
    return (
        b"\x80\x03ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
        + pickle.dumps((meta,), 3)[2:-1]
        + b"R."
    )


def _storage_stream() -> bytes:
    """The bytes of a tensor's storage, as they are nested in a plain pickle."""
    whole = pickle.dumps(torch.zeros(4), 4)
    return whole[whole.index(b"\x80\2\x8a\x0a") :]


def _fourth_pickle() -> bytes:
    """A tensor of the legacy stream's only storage."""
    reference = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\x10NtQ"
    view = b"K\0K\4K\4\x86K\4K\1\x86\x89}tR."
    return b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n(" + reference + view


def _saved(value: object, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()

"""Where large tables lie: beside the computation, in the host's memory, or in a file.

What is chosen depends on sizes alone (`place_for`). A file is mapped into memory and has no name,
so that it is gone with the table, or with the process, however that ends. Knows no features.
"""

import mmap
import os
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path

import torch
from torch import Tensor

DEVICE_SHARE = 0.5
"""Of what is free on the device, that tables may take: networks and images need the rest."""
HOST_SHARE = 0.5
"""Of what is free on the host, likewise: other workers may be at it too."""


class Place(StrEnum):
    """Where a table lies."""

    DEVICE = "device"
    HOST = "host"
    DISK = "disk"


@dataclass(frozen=True)
class Room:
    """What is free.

    Attributes:
        device: bytes of the device that computes; None where that is the host.
        host: bytes of the host's memory.
    """

    device: int | None
    host: int


def place_for(size: int, room: Room) -> Place:
    """Where tables of `size` bytes together lie: as near to the computation as they fit."""
    if room.device is not None and size <= DEVICE_SHARE * room.device:
        return Place.DEVICE
    return Place.HOST if size <= HOST_SHARE * room.host else Place.DISK


def room_beside(device: torch.device) -> Room:
    """What is free now, for computations on `device`."""
    if device.type != "cuda":
        return Room(None, free_on_host())
    return Room(free_on_cuda(device), free_on_host())


def new_table(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    place: Place,
    device: torch.device,
    folder: Path | None = None,
) -> Tensor:
    """A table whose numbers are still to be written.

    Args:
        shape: of the table, none of it 0.
        dtype: of its numbers.
        place: where it lies.
        device: what computes with it.
        folder: for its file, where it has one; the system's temporary folder if left out.

    Raises:
        OSError: the disk is full.
    """
    if place is not Place.DISK:
        return torch.empty(shape, dtype=dtype, device=device if place is Place.DEVICE else "cpu")
    size = prod(shape) * dtype.itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        # A disk that is full must say so here: later the kernel would kill the process.
        os.posix_fallocate(file.fileno(), 0, size)
        return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype).view(shape)


def free_on_cuda(device: torch.device) -> int:
    """Bytes of a GPU's memory that this process may still take, its own unused ones included."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def free_on_host(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may still take, by the machine's and its cgroups' limits.

    What the kernel can drop at once counts as free. Where nobody says (not Linux), it is a lot.
    """
    available = _numbers(root / "proc/meminfo").get("MemAvailable:")
    machine = sys.maxsize if available is None else available * 1024
    return min([machine, *(_free_in_cgroup(folder) for folder in _cgroups(root))])


def _cgroups(root: Path) -> list[Path]:
    """The folders of this process's cgroup (version 2) and of all that it is in."""
    mounted = root / "sys/fs/cgroup"
    lines = _text(root / "proc/self/cgroup").splitlines()
    own = [mounted / line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    around = [folder for path in own for folder in (path, *path.parents)]
    return [folder for folder in around if folder.is_relative_to(mounted)]


def _free_in_cgroup(folder: Path) -> int:
    """Bytes that are free below the limit of one cgroup."""
    limit = _text(folder / "memory.max")
    if not limit.isdigit():  # It says "max", or nothing.
        return sys.maxsize
    cached = _numbers(folder / "memory.stat").get("inactive_file", 0)
    return max(0, int(limit) - int(_text(folder / "memory.current") or 0) + cached)


def _numbers(path: Path) -> dict[str, int]:
    """The first two words of each line of a file."""
    pairs = (line.split()[:2] for line in _text(path).splitlines())
    return {name: int(number) for name, number in pairs}


def _text(path: Path) -> str:
    """What a file of the kernel says; nothing if there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""

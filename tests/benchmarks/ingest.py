"""Whether a large archive is ingested in little memory: a zip of 2 GB, the CPU worker watched.

    python -m tests.benchmarks.ingest [--quick]

Packs 5,000 pictures and masks, starts HandsOff (without a compute worker, which has no part in
this and would share some of the CPU worker's pages), uploads the zip, and looks at the CPU worker
five times a second until the dataset is ready. Writes one JSON object: sizes in bytes, and beside
the time of it all what plain Python takes to do no more than unzip and decode the same files.
"""

import argparse
import io
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from service.client import Client
from service.supervisor.machine import Machine, in_background, processes
from service.supervisor.memory import MemoryMeter
from service.supervisor.place import DataDirectory, free_port
from service.supervisor.supervisor import Supervisor
from tests.benchmarks.photographs import CLASSES, PAIR_BYTES, write_zip

PAIRS, QUICK_PAIRS = 5000, 60
LIMIT = 400_000_000
"""Bytes of memory that the worker may take."""
COPIES = 5
"""Of the zip, that the disk must hold: itself, the upload, the worker's own, the items, spare."""
WORKER = "cpu"
LOOK_SECONDS = 0.2
PATIENCE = 7200.0  # Seconds.


class Look(NamedTuple):
    """What the worker took at a moment: seconds since the epoch, bytes."""

    at: float
    size: int


@dataclass
class MemoryCurve(MemoryMeter):
    """A meter that remembers every look at the worker; its peaks are those of the last alone."""

    interval_seconds: float = LOOK_SECONDS
    looks: list[Look] = field(default_factory=list)

    def measure(self) -> None:
        """Measure once."""
        self.peaks.clear()
        super().measure()
        self.looks.append(Look(time.time(), self.peaks.get(WORKER, 0)))


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs, not {PAIRS:,}")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("HANDSOFF_")]:
        del os.environ[name]  # They speak of somebody's Redis and bucket.
    report = measure(QUICK_PAIRS if options.quick else PAIRS)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def measure(pairs: int) -> dict[str, Any]:
    """The whole benchmark, within a temporary folder.

    Raises:
        SystemExit: the disk is too small.
        RuntimeError: a process of HandsOff died.
    """
    with tempfile.TemporaryDirectory() as folder:
        _require_room(folder, pairs * PAIR_BYTES * COPIES)
        path = Path(folder, "pairs.zip")
        write_zip(path, pairs)
        return {
            "benchmark": "ingest",
            "pairs": pairs,
            "zip_bytes": path.stat().st_size,
            "seconds_to_decode_alone": round(_seconds_to_decode(path), 1),
            **_ingest(path, DataDirectory(Path(folder, "handsoff"))),
        }


def peaks_of_tenths(looks: Sequence[Look], begin: float, end: float) -> list[int | None]:
    """The most in each tenth of the time from `begin` to `end`; None where nobody looked."""
    edges = [begin + (end - begin) * tenth / 10 for tenth in range(11)]
    return [
        max((look.size for look in looks if first <= look.at < last), default=None)
        for first, last in itertools.pairwise(edges)
    ]


def _ingest(path: Path, data: DataDirectory) -> dict[str, Any]:
    """Upload a zip to a HandsOff of our own, and watch its CPU worker."""
    events: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(data.locked())
        machine = stack.enter_context(in_background(_machine(data, events)))
        client = stack.enter_context(Client(machine.url))
        _wait_for_worker(data.logs / f"{WORKER}.log")
        pid = machine.supervisor.pids()[WORKER]
        curve = stack.enter_context(MemoryCurve(lambda: {WORKER: pid}))
        began = time.monotonic()
        upload = client.uploads.create(path)
        uploaded = time.monotonic() - began
        idle = curve.looks[-1].size
        dataset = client.wait(client.datasets.create(CLASSES, archive=upload), timeout=PATIENCE)
        if events:
            raise RuntimeError("; ".join(events))
        assert dataset.result
        assert dataset.job
        assert dataset.job.started_at
        assert dataset.job.finished_at
        begin, end = dataset.job.started_at.timestamp(), dataset.job.finished_at.timestamp()
        tenths = peaks_of_tenths(curve.looks, begin, end)
        peak = max(size for size in tenths if size is not None)
        return {
            "items": len(dataset.result["items"]),
            "seconds_to_upload": round(uploaded, 1),
            "seconds_to_ingest": round(end - begin, 1),
            "memory": {
                "limit": LIMIT,
                "idle": idle,
                "peak": peak,
                "peak_above_idle": peak - idle,
                "peak_of_each_tenth": tenths,
                "peak_resident": _peak_resident(pid),
            },
        }


def _machine(data: DataDirectory, events: list[str]) -> Machine:
    """HandsOff without its compute workers; `events` gets a line for each process that dies."""
    host = "127.0.0.1"
    port = free_port(host, 0)
    url = f"http://{host}:{port}"
    specs = processes(data, host, port, url, compute_workers=1)
    needed = [spec for spec in specs if not spec.name.startswith("compute")]
    return Machine(url, data, Supervisor(needed, data.logs, events.append))


def _wait_for_worker(log: Path, seconds: float = 60) -> None:
    """Return when the worker has imported what it needs while it is idle."""
    deadline = time.monotonic() + seconds
    while "worker begins" not in log.read_text():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the worker does not begin:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def _peak_resident(pid: int) -> int:
    """The most that a process ever held, pages that it shares in full, as the kernel counted.

    The witness of the looks: no peak between two of them escapes it.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024


def _seconds_to_decode(path: Path) -> float:
    """What it takes to unzip and decode every file, one after the other, and do nothing else."""
    began = time.monotonic()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            np.asarray(Image.open(io.BytesIO(archive.read(name))))
    return time.monotonic() - began


def _require_room(folder: str, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        sys.exit(f"{folder} has {free:,} bytes free and needs {size:,}; set TMPDIR to another disk")


if __name__ == "__main__":
    main()

"""How much memory processes really take: peaks of their proportional set sizes (Linux).

PSS counts a page that n processes share as 1/n for each, so that the sum over processes is what
the machine has to hold; RSS would count PyTorch's libraries once per process.
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PROC = Path("/proc")


@dataclass
class MemoryMeter:
    """Reads the sizes of named processes, and of their children, every few seconds.

    A context manager: it measures while the context lasts.

    Attributes:
        pids: tells the processes of now, by name.
        ourselves: the name for our own process.
        peaks: the most that each name took, in bytes.
        peak_together: the most that all took at one time, in bytes.
    """

    pids: Callable[[], Mapping[str, int]]
    ourselves: str = "supervisor"
    interval_seconds: float = 2.0
    proc: Path = PROC
    peaks: dict[str, int] = field(default_factory=dict)
    peak_together: int = 0
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __enter__(self) -> Self:
        """Begin to measure, in a thread."""
        self._thread = threading.Thread(target=self._run, name="memory-meter", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Measure no more; the peaks stay."""
        self._stop.set()
        self._thread.join()

    def measure(self) -> None:
        """Measure once."""
        sizes = {name: self._tree(pid) for name, pid in self.pids().items()}
        sizes[self.ourselves] = self._pss(os.getpid())  # Without our children: they have names.
        for name, size in sizes.items():
            self.peaks[name] = max(size, self.peaks.get(name, 0))
        self.peak_together = max(self.peak_together, sum(sizes.values()))

    def _run(self) -> None:
        self.measure()
        while not self._stop.wait(self.interval_seconds):
            self.measure()

    def _tree(self, pid: int) -> int:
        """The size of a process with all its descendants, in bytes."""
        return self._pss(pid) + sum(self._tree(child) for child in self._children(pid))

    def _pss(self, pid: int) -> int:
        """The size of one process in bytes; 0 when it has ended."""
        lines = self._read(f"{pid}/smaps_rollup").splitlines()
        kilobytes = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
        return sum(kilobytes) * 1024

    def _children(self, pid: int) -> list[int]:
        return [int(child) for child in self._read(f"{pid}/task/{pid}/children").split()]

    def _read(self, path: str) -> str:
        try:
            return (self.proc / path).read_text()
        except OSError:  # It ended between two looks.
            return ""

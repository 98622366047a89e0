"""One child process: how it is started, when it is started again, how it is stopped.

alive ──(ends)──► waiting ──(backoff over)──► alive
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from service.supervisor import tether

LONGEST_BACKOFF = 30.0
PROVEN_SECONDS = 60.0
"""A process that has lived so long is healthy: its earlier deaths are forgotten."""
LARGEST_LOG = 10_000_000


@dataclass(frozen=True)
class ProcessSpec:
    """What to run.

    Attributes:
        name: of the process and of its log file.
        rank: lower ranks are started first and stopped last.
        environment: variables beside those that we have ourselves.
        ready: says whether it does its work; the next rank is started after that.
        grace_seconds: how long it may take to end when it is asked to.
    """

    name: str
    command: tuple[str, ...]
    rank: int
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] = lambda: True
    grace_seconds: float = 10.0


@dataclass
class Process:
    """A process that shall be alive. Call `start` and `revive` from one lasting thread only."""

    spec: ProcessSpec
    log: Path
    clock: Callable[[], float] = time.monotonic
    deaths: int = 0
    _child: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _due: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it lives."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self) -> None:
        """Start it, tied to our own life, its output appended to the log."""
        self._rotate()
        tied = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.spec.command]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                tied,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.environment},
                # A session of its own: Ctrl-C in the terminal reaches us only, and we decide
                # about the order in which processes end.
                start_new_session=True,
            )
        self._started, self._due = self.clock(), None

    def revive(self) -> str | None:
        """Start it again if it has died and its backoff is over; what happened, if anything."""
        if self._child is None or self._child.poll() is None:
            return None
        if self._due is None:
            return self._bury()
        if self.clock() >= self._due:
            self.start()
            return f"{self.spec.name} was started again"
        return None

    def ask_to_end(self) -> None:
        """SIGTERM: end when it suits, soon."""
        if self._child and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL for the process and whatever it has started; returns when it is gone."""
        if self._child is not None and self._due is None:
            self._sweep(self._child)
            self._child.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _bury(self) -> str:
        assert self._child is not None
        self._sweep(self._child)
        if self.clock() - self._started >= PROVEN_SECONDS:
            self.deaths = 0
        pause = min(0.5 * 2.0**self.deaths, LONGEST_BACKOFF)
        self.deaths += 1
        self._due = self.clock() + pause
        return (
            f"{self.spec.name} ended ({_cause(self._child.returncode)}); "
            f"it is started again in {pause:.1f} s; its log is {self.log}"
        )

    def _sweep(self, child: subprocess.Popen[bytes]) -> None:
        """Kill what is left of its process group: itself, or children that it left behind."""
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def _rotate(self) -> None:
        """Keep a log and its predecessor, no more."""
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))


def _cause(returncode: int) -> str:
    """An exit status in words."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"

"""Keeps a set of processes alive, in ranks, until it is told to stop.

Knows how processes are watched and ended, nothing of what they do.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from service.supervisor.place import CannotStart
from service.supervisor.process import Process, ProcessSpec

LOOK_SECONDS = 0.2
START_SECONDS = 120.0


class Supervisor:
    """Starts processes by rank, restarts those that die, stops them in the reverse order.

    Args:
        specs: the processes.
        logs: folder for one log each.
        on_event: told, in one sentence, when a process dies or is started again.
        clock: seconds on a clock that never goes back.

    Attributes:
        started: set when every process has said that it is ready.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        logs: Path,
        on_event: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        ordered = sorted(specs, key=lambda spec: spec.rank)
        self._processes = [Process(s, logs / f"{s.name}.log", clock) for s in ordered]
        self._on_event = on_event
        self._clock = clock
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self.started = threading.Event()

    def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Start everything, keep it alive, and return when all has ended after `stop`.

        The thread that calls this must be one that lives until then (see `tether`).

        Raises:
            CannotStart: a process died or hung at its first start; nothing is left running.
        """
        try:
            for rank in self._ranks():
                self._start(rank)
            if not self._stop.is_set():
                self.started.set()
                on_started()
            while not self._stop.wait(LOOK_SECONDS):
                self._revive(self._processes)
        finally:
            for rank in reversed(self._ranks()):
                self._end(rank)

    def stop(self) -> None:
        """Ask for the end; a second call asks for it at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def pids(self) -> Mapping[str, int]:
        """The processes that are alive, by name."""
        alive = {process.spec.name: process.pid for process in self._processes}
        return {name: pid for name, pid in alive.items() if pid is not None}

    def _ranks(self) -> list[list[Process]]:
        return [list(group) for _, group in groupby(self._processes, lambda p: p.spec.rank)]

    def _start(self, rank: Sequence[Process]) -> None:
        """Start one rank and wait until each of it is ready, or has been told to stop."""
        if self._stop.is_set():
            return
        for process in rank:
            process.start()
        deadline = self._clock() + START_SECONDS
        for process in rank:
            while not self._is_ready(process):
                if self._clock() > deadline:
                    raise CannotStart(_hangs(process))
                if self._stop.wait(LOOK_SECONDS / 2):
                    return

    def _is_ready(self, process: Process) -> bool:
        if process.pid is None:  # First, for somebody else may answer in its place.
            raise CannotStart(_died(process))
        return process.spec.ready()

    def _revive(self, processes: Iterable[Process]) -> None:
        for process in processes:
            event = process.revive()
            if event:
                self._on_event(event)

    def _end(self, rank: Sequence[Process]) -> None:
        """Ask one rank to end, wait as long as each may take, then insist."""
        for process in rank:
            process.ask_to_end()
        begin = self._clock()
        for process in rank:
            while process.pid and self._clock() - begin < process.spec.grace_seconds:
                if self._hurry.wait(LOOK_SECONDS / 4):
                    break
            if process.pid:
                self._on_event(f"{process.spec.name} did not end in time and was killed")
            process.kill()


def _died(process: Process) -> str:
    return (
        f"{process.spec.name} ended while it was starting; the end of its log, {process.log}:\n"
        f"{process.last_words()}"
    )


def _hangs(process: Process) -> str:
    return (
        f"{process.spec.name} is not ready after {START_SECONDS:.0f} s; the end of its log, "
        f"{process.log}:\n{process.last_words()}"
    )

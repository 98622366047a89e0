"""The processes of one HandsOff, each restarted when it ends, as whoever runs it would.

They are forked from a server that has imported everything, so that a restart takes no seconds.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from workers.monitor import EXIT_WEDGED

# The second so that nothing is left to import where a child imports its parent's main module.
_PRELOADED = ["tests.chaos.imported", "tests.chaos.__main__"]
_LOOK_SECONDS = 0.05
_RESTART_SECONDS = 0.2
# What a process may end with that nobody told to: it could not stop a step (`workers.monitor`).
_HONEST = frozenset({EXIT_WEDGED})

ROLES: Mapping[str, tuple[str, ...]] = {
    "service": (),
    "reaper": (),
    "cpu": ("--queue", "cpu"),
    "compute-0": ("--queue", "compute"),
    "compute-1": ("--queue", "compute"),
}


def child(role: str, environment: Mapping[str, str], log: Path) -> None:
    """
    Become a process of this role.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(_main(role)())


def _main(role: str) -> Callable[[], int]:
    import service.__main__
    import workers.reaper
    import workers.worker

    mains = {"service": service.__main__.main, "reaper": workers.reaper.main}
    return mains.get(role) or (lambda: workers.worker.main(ROLES[role]))


@dataclass
class Fleet:
    """
    All processes but the servers.

    Attributes:
        environment: what they are told.
        logs: folder for one log each.
        surprises: what ended though nobody asked it to, and how.
    """

    environment: Mapping[str, str]
    logs: Path
    surprises: list[str] = field(default_factory=list)
    _children: dict[str, multiprocessing.Process] = field(default_factory=dict)
    _killed: set[int] = field(default_factory=set)
    _end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)

    def __enter__(self) -> "Fleet":
        for role in ROLES:
            self._start(role)
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._keeper.join()
        for one in self._children.values():
            with suppress(ProcessLookupError):
                os.kill(one.pid or 0, signal.SIGCONT)
            one.kill()
            one.join()

    def signal(self, role: str, number: signal.Signals) -> int:
        """
        Send a signal to whoever has the role; its process id.
        """
        pid = self.pid(role)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._killed.add(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    def pid(self, role: str) -> int:
        """
        The process that has the role.
        """
        pid = self._children[role].pid
        assert pid is not None
        return pid

    def note(self, text: str) -> None:
        """
        Write a line into every log.
        """
        for role in ROLES:
            with (self.logs / f"{role}.log").open("a") as log:
                log.write(f"---- {text}\n")

    def _start(self, role: str) -> None:
        arguments = (role, dict(self.environment), self.logs / f"{role}.log")
        self._children[role] = self._context.Process(target=child, args=arguments)
        self._children[role].start()

    def _keep(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            for role, one in list(self._children.items()):
                if one.exitcode is not None:
                    self._judge(role, one)
                    time.sleep(_RESTART_SECONDS)
                    self._start(role)

    def _judge(self, role: str, one: multiprocessing.Process) -> None:
        if one.pid not in self._killed and one.exitcode not in _HONEST:
            self.surprises.append(f"{role} ended by itself with {one.exitcode}")

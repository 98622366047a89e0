"""Stopping a step that runs in this process's main thread, from another thread or a signal.

First by asking: the next report raises. Then by force: a signal whose handler raises between two
bytecodes of the main thread, only while a task runs. What sits inside a native call notices
neither; then the process has to go (`workers.monitor`).
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType

FORCE = signal.SIGUSR1
_IMPORT_MACHINERY = "<frozen importlib._bootstrap>"


class StopReason(StrEnum):
    """Why a step must stop."""

    CANCELLED = "cancelled"  # The job shall be.
    LEASE_LOST = "lease_lost"  # Another worker has the step by now.
    TIMED_OUT = "timed_out"
    DRAINED = "drained"  # This process shall end.


class StepStopped(BaseException):
    """Stops a task; not an `Exception`, so that a task's own handlers let it through."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


class StopSwitch:
    """One per process.

    Attributes:
        is_draining: this process shall end.
        is_hurried: and that at once. Plain attributes, for signal handlers set them.
    """

    def __init__(self) -> None:
        self.is_draining = False
        self.is_hurried = False
        self._reason: StopReason | None = None
        self._is_armed = False

    @property
    def reason(self) -> StopReason | None:
        """Why the present step must stop, if it must."""
        return self._reason or (StopReason.DRAINED if self.is_draining else None)

    def install(self) -> None:
        """Take over the signal; in the main thread."""
        signal.signal(FORCE, lambda _, frame: self._on_signal(frame))

    def ask(self, reason: StopReason) -> None:
        """Let the step stop at its next report; the first reason counts."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Stop here, if the step must.

        Raises:
            StepStopped: it must.
        """
        if self.reason is not None:
            raise StepStopped(self.reason)

    def force(self) -> None:
        """Stop the step wherever it is in Python code; what was asked before says why."""
        main = threading.main_thread().ident
        assert main is not None
        # To that very thread: only then does a system call that it waits in come back.
        signal.pthread_kill(main, FORCE)

    def begin(self) -> None:
        """Another step begins: reasons that were only the last one's are forgotten."""
        self._reason = None

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Where the step may be stopped by force: `StepStopped` can surface anywhere inside."""
        self._is_armed = True
        try:
            self.check()
            yield
        finally:
            self._is_armed = False

    def _on_signal(self, frame: FrameType | None) -> None:
        # Half a module would stay for the life of this process; whoever forces does so again.
        if self._is_armed and not _is_importing(frame):
            self.check()


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported in this frame, or in one that called it."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_MACHINERY:
            return True
        frame = frame.f_back
    return False

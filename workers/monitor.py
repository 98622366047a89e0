"""The threads beside a running step: one keeps its lease and tells its progress, one stops it.

A step that has to stop is asked first: its next report raises. A little later it is forced. If
that does not help either (it sits in a native call), the step is concluded from here and the
process exits. The two are apart because the first may have to wait for a Redis that is away.
"""

import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from workers.leases import Leases, Renewal
from workers.progress import StepReporter
from workers.steps import StepRef
from workers.stop import StopReason, StopSwitch

EXIT_WEDGED = 70
"""The process's exit status when a step could not be stopped."""

# With the default `stop_seconds` a cancelled job has ended within five seconds, whatever it does.
_LOOK_SECONDS = 0.1
_BEAT_SECONDS = 1.0
_ASKING_SECONDS = 0.5
_CONCLUDING_SECONDS = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds; see `WorkerSettings`."""

    lease_seconds: float = 20.0
    job_timeout_seconds: float = 24 * 3600.0
    drain_seconds: float = 5.0
    stop_seconds: float = 2.5


@dataclass
class Monitor:
    """Watches one step while it is entered.

    Attributes:
        conclude: what becomes of the step when it cannot be stopped; called before the exit.
        exit: ends the process at once.
    """

    step: StepRef
    leases: Leases
    reporter: StepReporter
    switch: StopSwitch
    limits: Limits
    conclude: Callable[[StopReason], None]
    exit: Callable[[int], object] = os._exit
    _finished: threading.Event = field(default_factory=threading.Event)
    _threads: tuple[threading.Thread, ...] = ()

    def __enter__(self) -> Self:
        self._threads = tuple(
            _thread(target, name)
            for name, target in (("heartbeat", self._keep), ("watchdog", self._watch))
        )
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finished.set()
        for thread in self._threads:
            # Not for ever: it may be waiting for Redis. What it does later, the leases refuse.
            thread.join(timeout=1.0)

    def _keep(self) -> None:
        interval = min(_BEAT_SECONDS, self.limits.lease_seconds / 4)
        while not self._finished.is_set():
            self._beat()
            self._finished.wait(interval)

    def _beat(self) -> None:
        """Keep the lease, hear of a wish to cancel, tell how far the step is."""
        try:
            match self.leases.renew(self.step):
                case Renewal.LOST:
                    self.switch.ask(StopReason.LEASE_LOST)
                case Renewal.CANCEL:
                    self.switch.ask(StopReason.CANCELLED)
                case Renewal.KEPT:
                    self.reporter.publish()
        except Exception as error:  # Whatever it was, the next beat must come.
            # Nobody else can claim the step in a Redis that is away; the work goes on.
            _log.warning("heartbeat failed", error=repr(error))

    def _watch(self) -> None:
        begin = time.monotonic()
        asked_at: float | None = None
        forced = 0
        while not self._finished.wait(_LOOK_SECONDS):
            now = time.monotonic()
            if now - begin > self.limits.job_timeout_seconds:
                self.switch.ask(StopReason.TIMED_OUT)
            reason = self.switch.reason
            if reason is None:
                continue
            asked_at = asked_at or now
            overdue = now - asked_at - self._patience(reason)
            if overdue > self.limits.stop_seconds:
                self._give_up(reason)
                return
            # Twice: the first can get lost where Python swallows errors, as in a finaliser.
            if overdue >= forced * self.limits.stop_seconds / 2:
                self.switch.force()
                forced += 1

    def _patience(self, reason: StopReason) -> float:
        """How long a step may take to reach its next report."""
        if reason is not StopReason.DRAINED:
            return _ASKING_SECONDS
        return 0.0 if self.switch.is_hurried else self.limits.drain_seconds

    def _give_up(self, reason: StopReason) -> None:
        _log.error("step cannot be stopped; the process exits", why=reason)
        last = _thread(lambda: self.conclude(reason), "last words")
        last.start()
        last.join(timeout=_CONCLUDING_SECONDS)
        self.exit(EXIT_WEDGED)


def _thread(act: Callable[[], None], name: str) -> threading.Thread:
    """A thread whose lines say which step they are about, as those of the thread that makes it."""
    return threading.Thread(target=copy_context().run, args=(act,), name=name, daemon=True)

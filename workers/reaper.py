"""The reaper: one process that finds what others left undone, every few seconds.

    python -m workers.reaper

Steps of silent workers, postponed steps whose time has come, jobs whose last worker died between
two writes, steps that were lost on their way. All of it can be done twice and by several reapers.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog
from pydantic import ValidationError
from redis.exceptions import RedisError

from workers.chores import doing
from workers.errors import QueueUnavailable, WorkersError
from workers.flows import FLOWS, QueueName
from workers.housekeeping import chores
from workers.jobs import JobRecord, JobState
from workers.logs import configure_logs
from workers.orchestrator import Orchestrator
from workers.outcomes import WORKER_LOST
from workers.parts import open_parts
from workers.queue import TaskQueue
from workers.rebuild import rebuild_if_needed
from workers.settings import WorkerSettings
from workers.steps import StepRef
from workers.trail import telling

EXIT_SETTINGS = 2

_SCAN_EVERY = 3  # rounds
_CLEAN_EVERY = 30  # rounds
_log = structlog.get_logger("workers.reaper")  # Not "__main__", which is a name of no layer.


class Reaper:
    """Looks after all jobs.

    Args:
        orchestrator: does what has to be done.
        queue: the way to the workers.
        lease_seconds: how long everybody is left in peace after Redis or we were away.
        pause_seconds: between two rounds; a longer one means that we were away.
        clock: seconds that go on while the machine sleeps.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        queue: TaskQueue,
        lease_seconds: float,
        pause_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._orchestrator = orchestrator
        self._queue = queue
        self._lease_seconds = lease_seconds
        # Measured beyond the pause, else short leases would make every round a peaceful one.
        self._longest_silence = pause_seconds + lease_seconds / 2
        self._clock = clock
        self._rounds = 0
        self._last_sign = clock()
        self._peace_until = 0.0
        self._missing: set[str] = set()

    def round(self) -> None:
        """Do all that is due.

        Raises:
            WorkersError, RedisError: Redis or the bucket cannot be reached.
        """
        self._keep_the_peace()
        if rebuild_if_needed(self._orchestrator):
            self._peace()
        self._queue_due()
        self._take_expired()
        if self._rounds % _SCAN_EVERY == 0:
            self.scan()
        if self._rounds % _CLEAN_EVERY == 0:
            self._queue.clean()
        self._rounds += 1

    def scan(self) -> None:
        """Look at every unfinished job: is all that it needs on its way?

        A step that is nowhere is queued when it is found nowhere for the second time, for a
        worker may just have taken it out of its queue.
        """
        on_their_way = self._orchestrator.leases.postponed()
        for queue in QueueName:
            on_their_way |= self._queue.waiting(queue)
        missing: set[str] = set()

        def look(record: JobRecord | None) -> None:
            if record is not None:
                missing.update(self._look_after(record, on_their_way))

        for tenant, job_id in self._orchestrator.jobs.records.living():
            self._keep_the_peace()
            self._alone(tenant, job_id, look)
        self._missing = missing

    def note_outage(self) -> None:
        """Redis was away, so that nobody could renew a lease: give everybody time to do so."""
        self._peace()

    def _keep_the_peace(self) -> None:
        """The same if we were away ourselves, as when the machine slept.

        Asked between any two things that we do, so that many of them do not look like absence: a
        round that looks after thousands of jobs would be followed by peace for ever.
        """
        now = self._clock()
        if now - self._last_sign > self._longest_silence:
            self._peace()
        self._last_sign = now

    def _peace(self) -> None:
        self._peace_until = self._clock() + self._lease_seconds

    def _queue_due(self) -> None:
        for step in self._orchestrator.leases.due():
            self._keep_the_peace()
            self._alone(step.tenant, step.job_id, partial(self._queue_again, step), step)

    def _take_expired(self) -> None:
        expired = self._orchestrator.leases.expired()
        # Our client sits out a Redis that is away: the question may have taken minutes, in which
        # nobody could renew a lease.
        self._keep_the_peace()
        if self._clock() < self._peace_until:
            return
        for step in expired:
            self._keep_the_peace()
            self._alone(step.tenant, step.job_id, partial(self._take_back, step), step)

    def _queue_again(self, step: StepRef, record: JobRecord | None) -> None:
        record = record or self._orchestrator.jobs.get(step.tenant, step.job_id)
        self._orchestrator.queue_step(record, step)

    def _take_back(self, step: StepRef, _: JobRecord | None) -> None:
        _log.warning("worker lost")
        self._orchestrator.step_lost(step, WORKER_LOST)

    def _look_after(self, record: JobRecord, on_their_way: set[str]) -> set[str]:
        """Do what can be done at once; the names of the steps that are nowhere."""
        jobs, leases = self._orchestrator.jobs, self._orchestrator.leases
        if jobs.records.is_decided(record):
            ended = jobs.end(record.tenant, record.id, JobState.FAILED)
            self._orchestrator.finish(ended)
            return set()
        if self._orchestrator.end_if_cancelled(record).state.is_terminal:
            return set()
        stage = leases.stage(record.tenant, record.id)
        if stage is None:
            self._orchestrator.begin_anew(record)
            return set()
        if stage == len(FLOWS[record.kind]):
            self._orchestrator.advance(record)
            return set()
        steps = leases.open_steps(record.tenant, record.id, stage)
        nowhere = [step for step in steps if step.name not in on_their_way]
        return {step.name for step in nowhere if not self._queue_missing(record, step)}

    def _queue_missing(self, record: JobRecord, step: StepRef) -> bool:
        if step.name not in self._missing:
            return False
        with telling(record.tenant, record.id, record, step):
            _log.warning("step was lost on its way")
        self._orchestrator.queue_step(record, step)
        return True

    def _alone(
        self,
        tenant: str,
        job_id: str,
        act: Callable[[JobRecord | None], None],
        step: StepRef | None = None,
    ) -> None:
        """Do something about one job, as Redis knows it; every line says which.

        Trouble with it is told, and the others are looked after; without Redis none can be.
        """
        with telling(tenant, job_id, None, step), _told():
            record = self._orchestrator.jobs.records.read(tenant, job_id)
            with telling(tenant, job_id, record, step), _told():
                act(record)


@contextmanager
def _told() -> Iterator[None]:
    """Whatever goes wrong is told, but for Redis's absence."""
    try:
        yield
    except (QueueUnavailable, RedisError):
        raise
    except Exception as error:
        _log.error("a job could not be looked after", exc_info=error)


def main() -> int:
    """Reap until told to end; the process's exit status."""
    try:
        settings = WorkerSettings()
        configure_logs(settings.log_format)
        parts = open_parts(settings)
    except (ValidationError, ValueError) as error:
        sys.stderr.write(f"wrong settings (variables HANDSOFF_…): {error}\n")
        return EXIT_SETTINGS
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    reaper = Reaper(parts.orchestrator, parts.queue, settings.lease_seconds, settings.reap_seconds)
    _log.info("reaper begins")
    with doing(chores(parts, settings)):
        while not end.is_set():
            try:
                reaper.round()
            except (WorkersError, RedisError) as error:
                _log.warning("round broken off", error=str(error))
                reaper.note_outage()
            end.wait(settings.reap_seconds)
    parts.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

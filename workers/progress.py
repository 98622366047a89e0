"""What a task's reports become: the progress in its job's record, at most once a second.

A report itself costs a microsecond: it is a checkpoint and a note. The heartbeat's thread takes
the last note to Redis.
"""

from collections.abc import Callable

from workers.clock import Clock, utc_now
from workers.errors import IllegalTransition
from workers.jobs import JobRecord, Progress
from workers.leases import StageProgress
from workers.orchestrator import Orchestrator
from workers.steps import StepRef


class StepReporter:
    """A `workers.tasks.context.Reporter` for one claimed step.

    In a stage of many steps the record shows the sum over all of them; such steps have one phase
    and one unit.

    Args:
        step: the step, claimed.
        orchestrator: has the records and the leases.
        checkpoint: raises what must stop the task.
        clock: gives the times in records.
    """

    def __init__(
        self,
        step: StepRef,
        orchestrator: Orchestrator,
        checkpoint: Callable[[], None],
        clock: Clock = utc_now,
    ) -> None:
        self._step = step
        self._orchestrator = orchestrator
        self._checkpoint = checkpoint
        self._clock = clock
        self._noted: Progress | None = None
        self._told: Progress | None = None

    def __call__(self, phase: str, done: int, total: int, unit: str = "") -> None:
        """See `Reporter`.

        Raises:
            StepStopped: the step must stop here.
        """
        self._checkpoint()
        self._noted = Progress(phase=phase, done=max(0, done), total=max(0, total), unit=unit)

    @property
    def last(self) -> Progress | None:
        """The last report."""
        return self._noted

    def publish(self) -> None:
        """Put the last report into the job's record, unless it is there.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """
        noted = self._noted
        if noted is None or noted is self._told:
            return
        leases, step = self._orchestrator.leases, self._step
        stage = leases.progress(step, noted.phase, noted.done, noted.total)
        if stage is None:  # The step is another worker's by now; so is the telling.
            return
        shown = _with_rate(noted, stage)
        try:
            self._orchestrator.jobs.change(
                step.tenant, step.job_id, lambda record: self._telling(record, shown)
            )
        except IllegalTransition:  # The job has just ended.
            return
        self._told = noted

    def _telling(self, record: JobRecord, progress: Progress) -> JobRecord:
        running = self._orchestrator.running(record)
        return running.with_changes(self._clock(), progress=progress)


def _with_rate(noted: Progress, stage: StageProgress) -> Progress:
    """The stage's progress, its rate since the phase began, and what is left at that rate."""
    rate = (stage.done - stage.begun_at) / stage.seconds if stage.seconds > 0 else 0.0
    left = max(0, stage.total - stage.done)
    return Progress(
        phase=noted.phase,
        done=stage.done,
        total=stage.total,
        unit=noted.unit,
        rate=rate or None,
        eta_seconds=left / rate if rate and stage.total else None,
    )

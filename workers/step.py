"""Runs one step from its claim to its conclusion. Knows no queue and no RQ."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from workers import keys
from workers.errors import LeaseLost, WorkersError
from workers.flows import FLOWS
from workers.imports import Imports
from workers.jobs import JobRecord
from workers.leases import Claim, Renewal
from workers.measures import Measures
from workers.monitor import Limits, Monitor
from workers.orchestrator import Orchestrator
from workers.outcomes import (
    Again,
    Cancelled,
    Done,
    Failed,
    Lost,
    Outcome,
    outcome_of,
    outcome_of_stop,
)
from workers.progress import StepReporter
from workers.resources import Resource
from workers.scratch import scratch_folder
from workers.steps import StepRef
from workers.stop import StopSwitch
from workers.storage.base import ObjectStore
from workers.tasks.context import TaskContext
from workers.tasks.registry import TASKS, load_task
from workers.tracing import NoTraces, Span, Traces
from workers.trail import telling, words_of

if TYPE_CHECKING:  # Imports torch; a CPU worker has none.
    from workers.runtime import Runtime

EXIT_DEVICE = 71
"""The process's exit status when its device can no longer be used."""

_log = structlog.get_logger(__name__)


class StepRunner:
    """Runs steps, one at a time, in a process's main thread.

    Args:
        worker: a name that no other worker has, ever.
        orchestrator: is told what became of each step.
        store: the bucket.
        switch: stops the running step; installed.
        limits: how long things may take.
        scratch: the folder for the steps' files.
        runtime: for compute tasks.
        tasks: `module:function` by task.
        imports: fetches files from where users keep them; without it none can be fetched.
        traces: where spans of steps go; nowhere without it.

    Attributes:
        exit_status: not 0 when this process is of no more use.
    """

    def __init__(
        self,
        worker: str,
        orchestrator: Orchestrator,
        store: ObjectStore,
        switch: StopSwitch,
        limits: Limits,
        scratch: Path,
        runtime: "Runtime | None" = None,
        tasks: Mapping[str, str] = TASKS,
        imports: Imports | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.exit_status = 0
        self._worker = worker
        self._orchestrator = orchestrator
        self._store = store
        self._switch = switch
        self._limits = limits
        self._scratch = scratch
        self._runtime = runtime
        self._tasks = tasks
        self._imports = imports
        self._traces = traces or NoTraces()
        self._measures = Measures(orchestrator.jobs.redis)

    def run(self, step: StepRef) -> None:
        """Claim a step, run its task, and say what became of it; a step not to be had is left."""
        step = step.held_by(self._worker)
        with telling(step.tenant, step.job_id, step=step):
            try:
                record = self._orchestrator.jobs.records.read(step.tenant, step.job_id)
                with telling(step.tenant, step.job_id, record, step):
                    self._run(step, record)
            except (WorkersError, RedisError) as error:
                _log.error("step could not be begun", error=str(error))

    def _run(self, step: StepRef, record: JobRecord | None) -> None:
        try:
            if self._is_claimed(step):
                _log.info("step begins")
                with self._span(step, record) as span:
                    self._run_claimed(step, span)
        except (WorkersError, RedisError) as error:
            # The work may be lost, the job is not: the reaper finds it as we leave it.
            _log.error("step could not be concluded", error=str(error))

    def _span(self, step: StepRef, record: JobRecord | None) -> AbstractContextManager[Span]:
        """The step's span, below that of the request that asked for its job."""
        words = words_of(step.tenant, step.job_id, record, step)
        if record is None:
            return self._traces.span("step", words)
        task = FLOWS[record.kind][step.stage].task
        return self._traces.span(f"step {task}", words, record.origin.traceparent)

    def _run_claimed(self, step: StepRef, span: Span) -> None:
        reporter = StepReporter(step, self._orchestrator, self._switch.check)
        begin = time.monotonic()
        outcome = self._outcome(step, reporter)
        seconds = time.monotonic() - begin
        name = type(outcome).__name__.lower()
        span.ends_as(name, is_failure=isinstance(outcome, Failed | Again))
        self._conclude(step, outcome)
        record = self._orchestrator.jobs.get(step.tenant, step.job_id)
        task, last = FLOWS[record.kind][step.stage].task, reporter.last
        told = (last.done, last.unit) if last else (0, "")
        self._measures.step_ended(task, name, seconds, *told)

    def _is_claimed(self, step: StepRef) -> bool:
        claim = self._orchestrator.leases.claim(step)
        if claim is Claim.CANCELLED:
            record = self._orchestrator.jobs.get(step.tenant, step.job_id)
            self._orchestrator.end_if_cancelled(record)
        if claim is not Claim.CLAIMED:
            _log.info("step is not to be run", why=claim)
        return claim is Claim.CLAIMED

    def _outcome(self, step: StepRef, reporter: StepReporter) -> Outcome:
        monitor = Monitor(
            step,
            self._orchestrator.leases,
            reporter,
            self._switch,
            self._limits,
            conclude=lambda reason: self._conclude(step, outcome_of_stop(reason)),
        )
        self._switch.begin()
        try:
            record = self._orchestrator.step_begun(step)
            with scratch_folder(self._scratch) as scratch, monitor, self._switch.armed():
                context = self._context(record, step, reporter, scratch)
                task = load_task(FLOWS[record.kind][step.stage].task, self._tasks)
                result = task(context)
        except BaseException as error:  # A task may raise anything, and the worker lives on.
            return outcome_of(error)
        with suppress(WorkersError):  # The last report; what counts is that the work is done.
            reporter.publish()
        return Done(result)

    def _context(
        self, record: JobRecord, step: StepRef, reporter: StepReporter, scratch: Path
    ) -> TaskContext:
        place = keys.description(record.tenant, *record.resource)
        resource = Resource.model_validate_json(self._store.get(place))
        return TaskContext(
            job=record,
            resource=resource,
            index=step.index,
            attempt=step.attempt,
            store=self._store,
            report=reporter,
            scratch=scratch,
            imports=self._imports,
            _runtime=self._runtime,
            fence=lambda: self._hold(step),
        )

    def _hold(self, step: StepRef) -> None:
        if self._orchestrator.leases.renew(step) is Renewal.LOST:
            raise LeaseLost(f"step {step.name} has been given to another worker")

    def _conclude(self, step: StepRef, outcome: Outcome) -> None:
        _log.info("step ends", outcome=type(outcome).__name__.lower())
        match outcome:
            case Done(result):
                self._done(step, result)
            case Failed(error):
                self._orchestrator.step_failed(step, error)
            case Again(reason, fault, exit_, waits):
                self.exit_status = EXIT_DEVICE if exit_ else self.exit_status
                self._orchestrator.step_again(step, reason, fault=fault, waits=waits)
            case Cancelled():
                self._orchestrator.step_cancelled(step)
            case Lost():  # What becomes of it is another's to say.
                self._orchestrator.leases.woke(step)

    def _done(self, step: StepRef, result: int | None) -> None:
        try:
            self._orchestrator.step_done(step, result)
        except LeaseLost as error:
            _log.warning("step was done too late", error=str(error))
        except ValueError as error:
            self._conclude(step, outcome_of(error))

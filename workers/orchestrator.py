"""Moves jobs through their flows: submitted, begun, advanced, tried again, ended.

Called by the service, by workers and by the reaper, at the same time and more than once: whatever
is done here first changes the record or the leases, which refuse what is late, and then puts
steps into queues, where one too many does no harm. If a process dies in between, the reaper does
the second half.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workers import keys
from workers.clock import Clock, utc_now
from workers.errors import LeaseLost
from workers.flows import FLOWS, Stage
from workers.job_store import JobStore
from workers.jobs import JobError, JobKind, JobRecord, JobState, Origin
from workers.leases import Completion, Leases, TakenBack
from workers.queue import TaskQueue
from workers.resources import Resource
from workers.steps import StepRef
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

FORGOTTEN = JobError(
    code="queue_lost",
    message="Redis lost what it knew of the job's steps; it goes on from what is in the bucket",
    retryable=True,
)
_LONGEST_DELAY_SECONDS = 300.0
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Policy:
    """How patient we are with workers.

    Attributes:
        lease_seconds: how long a step stays a silent worker's.
        max_attempts: how often a step is tried, in all, when workers die or faults pass.
        delay_seconds: before the second attempt; four times as long before each further one.
    """

    lease_seconds: float = 20.0
    max_attempts: int = 3
    delay_seconds: float = 2.0

    def delay(self, faults: int) -> float:
        """Seconds to wait after so many faults."""
        return min(self.delay_seconds * 4.0 ** (faults - 1), _LONGEST_DELAY_SECONDS)

    def pause(self, outages: int) -> float:
        """Seconds to wait after so many outages: not long, for many jobs wait for their end."""
        # Beyond some power the number itself would be too large.
        return min(self.delay_seconds * 2.0 ** min(outages - 1, 10), _LONGEST_PAUSE_SECONDS)


class Orchestrator:
    """The only one that begins, advances and ends jobs.

    Args:
        jobs: the records.
        queue: the way to the workers.
        store: the bucket, for the resources' documents.
        clock: gives the times in records.
        policy: of those who claim steps; it does not matter where none is claimed.

    Attributes:
        jobs: the records.
        leases: who works on which step.
    """

    def __init__(
        self,
        jobs: JobStore,
        queue: TaskQueue,
        store: ObjectStore,
        clock: Clock = utc_now,
        policy: Policy | None = None,
    ) -> None:
        self._policy = policy or Policy()
        self._queue = queue
        self._store = store
        self._clock = clock
        self.jobs = jobs
        self.leases = Leases(jobs.redis, self._policy.lease_seconds)

    def submit(
        self,
        resource: Resource,
        kind: JobKind,
        after: Sequence[str] = (),
        origin: Origin | None = None,
    ) -> JobRecord:
        """Take up the job that makes a resource: its description and the job are durable then.

        Doing it again gives the job that is there.

        Args:
            resource: with the id of its job.
            kind: what the job does.
            after: ids of jobs of this tenant that must succeed before.
            origin: the request that asks for it.
        """
        assert resource.job_id is not None, "a resource names the job that makes it"
        tenant, job_id = resource.tenant, resource.job_id
        record = self.jobs.records.read(tenant, job_id)
        if record is None:
            place = keys.description(tenant, resource.collection, resource.id)
            document = canonical_json(resource.model_dump(mode="json"))
            self._store.put(place, document, "application/json")
            record = self.jobs.create(self._record(resource, kind, after, origin or Origin()))
        return self.settle(record)

    def cancel(self, tenant: str, job_id: str) -> JobRecord:
        """Note the wish durably; a job that nobody works on ends at once, others within seconds.

        A job that has ended is given as it ended.
        """
        record = self.jobs.request_cancel(tenant, job_id)
        return self.end_if_cancelled(record)

    def settle(self, record: JobRecord) -> JobRecord:
        """Begin a queued job if all it waits for has succeeded, fail it if that can never be."""
        if record.state is not JobState.QUEUED:
            return record
        parents = [self.jobs.find(record.tenant, parent) for parent in record.after]
        for parent_id, parent in zip(record.after, parents, strict=True):
            if parent is None or parent.state in (JobState.FAILED, JobState.CANCELLED):
                return self._end(record, JobState.FAILED, _dependency_failed(parent_id, parent))
        is_ready = all(parent and parent.state is JobState.SUCCEEDED for parent in parents)
        if is_ready and self.leases.begin(record.tenant, record.id):
            self._queue_open_steps(record, 0)
        return record

    def begin_anew(self, record: JobRecord) -> JobRecord:
        """Begin a job whose steps nobody knows of, also one that seems to run.

        Redis may have been emptied when a worker had claimed a step and had not yet said so: it
        finds the record again and shows the job as running, its claim being gone.
        """
        return self.settle(self._requeued(record, FORGOTTEN, fault=False))

    def step_begun(self, step: StepRef) -> JobRecord:
        """A claimed step's job runs now, if it did not before."""
        return self.jobs.change(step.tenant, step.job_id, self.running)

    def step_done(self, step: StepRef, result: int | None) -> None:
        """A claimed step is done; `result` is the number of the next stage's steps, if it asks.

        Raises:
            LeaseLost: it had been taken back.
            ValueError: the next stage asks for a number of steps and `result` is none.
        """
        record = self.jobs.get(step.tenant, step.job_id)
        next_steps = _next_steps(record, step.stage, result)
        completion = self.leases.complete(step, next_steps)
        if completion is Completion.LOST:
            raise LeaseLost(f"step {step.name} had been given to another worker")
        if self.end_if_cancelled(record).state.is_terminal:
            return
        if completion is Completion.ADVANCED:
            self.advance(record)

    def step_failed(self, step: StepRef, error: JobError) -> None:
        """A claimed step has failed for good, and with it its job."""
        taken = self.leases.give_back(step, fault=False)
        if taken is not None:
            record = self.jobs.get(step.tenant, step.job_id)
            self._end(record, JobState.FAILED, error)

    def step_again(
        self, step: StepRef, reason: JobError, *, fault: bool = True, waits: int = 0
    ) -> None:
        """A claimed step goes back to its queue; with a fault, only so often and not at once.

        Args:
            step: the step, claimed.
            reason: why.
            fault: whether it counts as one of its attempts.
            waits: how often the step may go back for what is not its fault, in place of that.
        """
        taken = self.leases.give_back(step, fault=fault and not waits, outage=bool(waits))
        if taken is not None and waits:
            self._wait(step, taken, reason, waits)
        elif taken is not None:
            self._again(step, taken, reason, fault)

    def step_lost(self, step: StepRef, reason: JobError) -> None:
        """A step whose worker has been silent for too long is tried again, at once."""
        taken = self.leases.take_expired(step)
        if taken is not None:
            self._again(step.again(taken.attempt), taken, reason, fault=True, at_once=True)

    def step_cancelled(self, step: StepRef) -> None:
        """A claimed step has stopped because its job shall be cancelled."""
        self.leases.give_back(step, fault=False)
        self.end_if_cancelled(self.jobs.get(step.tenant, step.job_id))

    def advance(self, record: JobRecord) -> None:
        """Queue what is to be done of the job's present stage, or end it behind the last."""
        stage = self.leases.stage(record.tenant, record.id)
        if stage is None or record.state.is_terminal:
            return
        if stage < len(FLOWS[record.kind]):
            self._queue_open_steps(record, stage)
        elif self._is_final(record):
            # Another of its steps may have gone back to the queue for a moment.
            record = self.jobs.change(record.tenant, record.id, self.running)
            self._end(record, JobState.SUCCEEDED)
        else:
            message = f"the job's last step left no {keys.FINAL[record.resource[0]]}; report this"
            self._end(record, JobState.FAILED, JobError(code="internal_error", message=message))

    def queue_step(self, record: JobRecord, step: StepRef) -> None:
        """Put an attempt into its stage's queue."""
        self._queue.put(_stage(record, step.stage).queue, [step])

    def end_if_cancelled(self, record: JobRecord) -> JobRecord:
        """End a job that shall be cancelled, once nobody works on it."""
        record = self.jobs.get(record.tenant, record.id)
        wished = record.cancel_requested_at is not None and not record.state.is_terminal
        if not wished or self.leases.held(record.tenant, record.id):
            return record
        return self._end(record, JobState.CANCELLED)

    def finish(self, record: JobRecord) -> None:
        """Do what follows the end of a job: its claims end, jobs that wait for it are settled."""
        self.leases.forget(record.tenant, record.id)
        self.jobs.records.waits_no_more(record)
        for job_id in self.jobs.records.dependents(record.tenant, record.id):
            self.settle(self.jobs.get(record.tenant, job_id))

    def _again(
        self, step: StepRef, taken: TakenBack, reason: JobError, fault: bool, at_once: bool = False
    ) -> None:
        record = self.end_if_cancelled(self.jobs.get(step.tenant, step.job_id))
        if record.state.is_terminal:
            self.leases.forget(step.tenant, step.job_id)
            return
        if taken.faults >= self._policy.max_attempts:
            self._end(record, JobState.FAILED, _too_many(taken.faults, reason))
            return
        if not taken.others:
            self._requeued(record, reason, fault)
        following = step.again(taken.attempt + 1)
        if fault and not at_once:
            self.leases.postpone(following, self._policy.delay(taken.faults))
        else:
            self.queue_step(record, following)

    def _wait(self, step: StepRef, taken: TakenBack, reason: JobError, waits: int) -> None:
        """Try a step again when Redis, the bucket or the disk may be there again."""
        record = self.end_if_cancelled(self.jobs.get(step.tenant, step.job_id))
        if record.state.is_terminal:
            self.leases.forget(step.tenant, step.job_id)
        elif taken.outages > waits:
            self._end(record, JobState.FAILED, _too_many(taken.outages, reason))
        else:
            if not taken.others:
                self._requeued(record, reason, fault=False)
            following = step.again(taken.attempt + 1)
            self.leases.postpone(following, self._policy.pause(taken.outages))

    def _requeued(self, record: JobRecord, reason: JobError, fault: bool) -> JobRecord:
        """Show that a job waits again and why; a drained step's does not count as an attempt."""

        def back(now: JobRecord) -> JobRecord:
            if now.state is not JobState.RUNNING:
                return now
            queued = now.step(JobState.QUEUED, self._clock(), reason)
            return queued if fault else queued.model_copy(update={"attempt": now.attempt})

        return self.jobs.change(record.tenant, record.id, back)

    def running(self, record: JobRecord) -> JobRecord:
        """The record as one of a job that runs; itself if it does already, or has ended."""
        if record.state is JobState.RUNNING or record.state.is_terminal:
            return record
        return record.step(JobState.RUNNING, self._clock())

    def _end(self, record: JobRecord, state: JobState, error: JobError | None = None) -> JobRecord:
        ended = self.jobs.end(record.tenant, record.id, state, error)
        self.finish(ended)
        return ended

    def _queue_open_steps(self, record: JobRecord, stage: int) -> None:
        steps = self.leases.open_steps(record.tenant, record.id, stage)
        self._queue.put(_stage(record, stage).queue, steps)

    def _is_final(self, record: JobRecord) -> bool:
        return self._store.size(keys.final(record.tenant, *record.resource)) is not None

    def _record(
        self, resource: Resource, kind: JobKind, after: Sequence[str], origin: Origin
    ) -> JobRecord:
        assert resource.job_id is not None
        now = self._clock()
        return JobRecord(
            id=resource.job_id,
            tenant=resource.tenant,
            kind=kind,
            resource=(resource.collection, resource.id),
            after=tuple(after),
            created_at=now,
            changed_at=now,
            origin=origin,
        )


def _stage(record: JobRecord, stage: int) -> Stage:
    return FLOWS[record.kind][stage]


def _next_steps(record: JobRecord, stage: int, result: int | None) -> int:
    """How many steps the stage behind `stage` has.

    Raises:
        ValueError: it takes as many as it is told, and was told none.
    """
    following = FLOWS[record.kind][stage + 1 : stage + 2]
    if not following or not following[0].fan_out:
        return 1
    if not isinstance(result, int) or result < 1:
        task = _stage(record, stage).task
        raise ValueError(f"task {task!r} must return how many steps follow, got {result!r}")
    return result


def _dependency_failed(parent_id: str, parent: JobRecord | None) -> JobError:
    if parent is None:
        message = f"job {parent_id}, which this one waits for, does not exist"
    else:
        reason = f": {parent.error.message}" if parent.error else ""
        message = f"{parent.kind} job {parent_id}, which this one waits for, {parent.state}{reason}"
    return JobError(code="dependency_failed", message=message)


def _too_many(attempts: int, reason: JobError) -> JobError:
    message = f"given up after {attempts} attempts; the last one: {reason.message}"
    details = {"last_error": reason.code}
    return JobError(code="too_many_attempts", message=message, retryable=True, details=details)

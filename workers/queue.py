"""The way of steps to workers: RQ, used as transport only. What a job is and how it does is ours.

A lane is what one kind of worker listens to. Each tenant has an RQ queue of its own in it, and
workers take from these in turn, so that nobody waits behind all of another's work.

What lies in Redis can be written by whoever gets there, so a queued entry is only ever a name:
one function that is never imported, and five plain arguments. RQ's callbacks, webhooks and
retries, which are free to name any function or host, are not looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol

from redis import Redis
from rq import Queue
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.registry import clean_registries
from rq.worker_registration import clean_worker_registry

from workers.clock import utc_now
from workers.flows import QueueName
from workers.redis_client import unavailable
from workers.steps import StepRef
from workers.turns import Turns

STEP = "handsoff.step"
"""What every entry names as its function; the worker knows what is meant."""

_OURS = "handsoff-"  # What the names of our queues begin with.
_BATCH = 500
_KEEP_FAILED_SECONDS = 3600


class TaskQueue(Protocol):
    """Carries steps to the workers; may lose them or bring them twice.

    Every method raises `QueueUnavailable` when Redis cannot be reached.
    """

    def put(self, queue: QueueName, steps: Sequence[StepRef]) -> None:
        """Append attempts to a queue; one that is in there already may be in there twice then."""

    def waiting(self, queue: QueueName) -> set[str]:
        """The names of the attempts that nobody has taken out yet."""

    def depths(self) -> Mapping[str, int]:
        """How many attempts wait, by queue."""

    def clean(self) -> None:
        """Drop what dead workers left behind in the transport itself."""


class RqTaskQueue:
    """RQ's queues.

    Args:
        redis: a client of `workers.redis_client.connect_transport`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._turns = {lane: Turns(redis, lane) for lane in QueueName}
        self._left_over: set[str] = set()

    def put(self, queue: QueueName, steps: Sequence[StepRef]) -> None:
        """See `TaskQueue`."""
        for tenant, batch in _batches(steps):
            # One transaction: what lies in a tenant's queue without a place would never be taken.
            with unavailable(), self._redis.pipeline() as pipeline:
                entries = [_entry(step) for step in batch]
                rq_queue(self._redis, queue, tenant).enqueue_many(entries, pipeline=pipeline)
                Turns(pipeline, queue).join(tenant)
                pipeline.execute()

    def waiting(self, queue: QueueName) -> set[str]:
        """See `TaskQueue`."""
        with unavailable():
            return {name for each in self._in_use(queue) for name in each.get_job_ids()}

    def depths(self) -> Mapping[str, int]:
        """See `TaskQueue`."""
        with unavailable():
            return {str(lane): sum(q.count for q in self._in_use(lane)) for lane in QueueName}

    def ages(self) -> Mapping[str, float]:
        """For how many seconds the oldest attempt has waited, by lane; 0 where none waits."""
        now = utc_now()
        with unavailable():
            return {
                str(lane): max((self._age(queue, now) for queue in self._in_use(lane)), default=0.0)
                for lane in QueueName
            }

    def _age(self, queue: Queue, now: datetime) -> float:
        """For how long the first entry of a tenant's queue has waited."""
        first = queue.get_job_ids(0, 1)
        at: Any = self._redis.hget(StepJob.key_for(first[0]), "enqueued_at") if first else None
        return (now - datetime.fromisoformat(at.decode())).total_seconds() if at else 0.0

    def clean(self) -> None:
        """See `TaskQueue`. In a process's main thread only: RQ sets signal handlers."""
        with unavailable():
            for lane in QueueName:
                clean_worker_registry(lane_queue(self._redis, lane))
            queues = self._ever_used()
            for queue in queues:
                clean_registries(queue, [])
            self._drop_left_over(queues)

    def _in_use(self, lane: QueueName) -> list[Queue]:
        tenants = self._turns[lane].tenants()
        return [rq_queue(self._redis, lane, tenant) for tenant in tenants]

    def _ever_used(self) -> list[Queue]:
        queues = Queue.all(self._redis, StepJob, "json")
        return [queue for queue in queues if queue.name.startswith(_OURS)]

    def _drop_left_over(self, queues: Sequence[Queue]) -> None:
        """Entries that a worker took out but never began, seen here for the second time."""
        found: dict[str, str] = {}
        for queue in queues:
            found |= dict.fromkeys(queue.intermediate_queue.get_job_ids(), queue.key)
        for name in self._left_over & found.keys():
            self._redis.lrem(f"{found.pop(name)}:intermediate", 0, name)
        self._left_over = set(found)


class LaneQueue(Queue):  # type: ignore[misc] # RQ has no types.
    """A lane, as RQ's workers see it: one queue, whose entries come from the tenants' in turn."""

    @classmethod
    def dequeue_any(
        cls, queues: Sequence[Any], timeout: int | None, connection: Redis, *rest: Any, **more: Any
    ) -> Any:
        """The next entry and the tenant's queue that it was in; None if there is none.

        Raises:
            DequeueTimeout: none came in `timeout` seconds.
        """
        (lane,) = queues
        turns = Turns(connection, QueueName(lane.name.removeprefix(_OURS)))
        while (tenant := turns.next(timeout)) is not None:
            queue = rq_queue(connection, turns.lane, tenant)
            # Of a single queue RQ keeps aside what it takes, until it is begun.
            found = Queue.dequeue_any([queue], None, connection, *rest, **more)
            if found is not None:
                return found
            turns.leave(tenant, queue.key)
        if timeout is None:
            return None
        raise DequeueTimeout(timeout, lane.key)


class StepJob(Job):  # type: ignore[misc] # RQ has no types.
    """A queued entry that runs what the worker says, whatever else it may claim to be."""

    run: Any = None

    @property
    def func(self) -> Any:
        """What the worker has put in as `run`.

        Raises:
            ValueError: the entry names another function than ours.
        """
        if self.func_name != STEP or self.instance is not None or self.kwargs:
            raise ValueError(f"entry {self.id} names {self.func_name!r}, which is not allowed")
        return self.run

    @property
    def step(self) -> StepRef:
        """The step that it names.

        Raises:
            ValueError: it names none.
        """
        match self.args:
            case [str(tenant), str(job_id), int(stage), int(index), int(attempt)]:
                return StepRef(tenant, job_id, stage, index, attempt)
            case _:
                raise ValueError(f"entry {self.id} names no step")

    success_callback = failure_callback = stopped_callback = None

    @property
    def should_retry(self) -> bool:
        """Never: attempts are ours to count."""
        return False

    def send_webhooks(self, *arguments: Any, **options: Any) -> None:
        """Nothing is sent."""


def rq_queue(redis: Redis, lane: QueueName, tenant: str) -> Queue:
    """RQ's object for a tenant's queue in a lane."""
    return Queue(f"{_OURS}{lane}/{tenant}", connection=redis, serializer="json", job_class=StepJob)


def lane_queue(redis: Redis, lane: QueueName) -> LaneQueue:
    """RQ's object for a lane: what a worker listens to."""
    return LaneQueue(f"{_OURS}{lane}", connection=redis, serializer="json", job_class=StepJob)


def _batches(steps: Sequence[StepRef]) -> Iterator[tuple[str, Sequence[StepRef]]]:
    """The steps in order, cut where the tenant changes, and so that no batch is too large."""
    for tenant, group in groupby(steps, attrgetter("tenant")):
        theirs = list(group)
        for start in range(0, len(theirs), _BATCH):
            yield tenant, theirs[start : start + _BATCH]


def _entry(step: StepRef) -> Any:
    return Queue.prepare_data(
        STEP,
        args=[step.tenant, step.job_id, step.stage, step.index, step.attempt],
        job_id=step.name,
        description=step.name,
        timeout=-1,  # We stop steps ourselves.
        result_ttl=0,
        failure_ttl=_KEEP_FAILED_SECONDS,
    )

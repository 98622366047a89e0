"""The way of steps to workers: RQ, used as transport only. What a job is and how it does is ours.

What lies in Redis can be written by whoever gets there, so a queued entry is only ever a name:
one function that is never imported, and five plain arguments. RQ's callbacks, webhooks and
retries, which are free to name any function or host, are not looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import clean_registries
from rq.worker_registration import clean_worker_registry

from workers.flows import QueueName
from workers.redis_client import unavailable
from workers.steps import StepRef

STEP = "handsoff.step"
"""What every entry names as its function; the worker knows what is meant."""

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
        self._queues = {name: rq_queue(redis, name) for name in QueueName}
        self._left_over: set[str] = set()

    def put(self, queue: QueueName, steps: Sequence[StepRef]) -> None:
        """See `TaskQueue`."""
        for start in range(0, len(steps), _BATCH):
            with unavailable():
                self._queues[queue].enqueue_many(
                    [_entry(step) for step in steps[start : start + _BATCH]]
                )

    def waiting(self, queue: QueueName) -> set[str]:
        """See `TaskQueue`."""
        with unavailable():
            return set(self._queues[queue].get_job_ids())

    def depths(self) -> Mapping[str, int]:
        """See `TaskQueue`."""
        with unavailable():
            return {str(name): int(queue.count) for name, queue in self._queues.items()}

    def clean(self) -> None:
        """See `TaskQueue`. In a process's main thread only: RQ sets signal handlers."""
        with unavailable():
            for queue in self._queues.values():
                clean_registries(queue, [])
                clean_worker_registry(queue)
            self._drop_left_over()

    def _drop_left_over(self) -> None:
        """Entries that a worker took out but never began, seen here for the second time."""
        found: dict[str, str] = {}
        for queue in self._queues.values():
            found |= dict.fromkeys(queue.intermediate_queue.get_job_ids(), queue.key)
        for name in self._left_over & found.keys():
            self._redis.lrem(f"{found.pop(name)}:intermediate", 0, name)
        self._left_over = set(found)


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


def rq_queue(redis: Redis, name: QueueName) -> Queue:
    """RQ's object for one of our queues."""
    return Queue(f"handsoff-{name}", connection=redis, serializer="json", job_class=StepJob)


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

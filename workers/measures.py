"""Sums over all processes, for the service's `/metrics`: kept in Redis, as workers have no port.

They begin at 0 where Redis was emptied, which is what Prometheus expects of a restart. An event
that is handled twice is counted twice.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from redis import Redis

from workers import redis_names as names
from workers.jobs import JobRecord
from workers.redis_client import unavailable

STEPS = "steps"
"""Labels: task, outcome."""

STEP_SECONDS = "step_seconds"
"""Labels: task, outcome."""

UNITS = "units"
"""What steps said they have done. Labels: task, unit."""

JOBS = "jobs"
"""Jobs that ended. Labels: kind, state, code of the error or nothing."""

JOB_SECONDS = "job_seconds"
"""From a job's beginning to its end. Labels: kind, state."""

DELIVERIES = "deliveries"
"""Attempts to tell a webhook. Labels: what became of it."""

_JOIN = "|"


class Measures:
    """Adds to the sums, and reads them.

    Args:
        redis: a client of `workers.redis_client.connect`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Add to sums, each named by its measure and the values of its labels.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """
        with unavailable(), self._redis.pipeline(transaction=False) as pipeline:
            for name, value in values.items():
                pipeline.hincrbyfloat(names.MEASURES, _JOIN.join(name), value)
            pipeline.execute()

    def job_ended(self, record: JobRecord) -> None:
        """Count a job that has ended."""
        state, code = str(record.state), record.error.code if record.error else ""
        self.add(
            {
                (JOBS, str(record.kind), state, code): 1,
                (JOB_SECONDS, str(record.kind), state): _seconds(
                    record.started_at, record.finished_at
                ),
            }
        )

    def step_ended(self, task: str, outcome: str, seconds: float, done: int, unit: str) -> None:
        """Count a step.

        Args:
            task: what it did.
            outcome: what became of it: `done`, `failed`, `again` …
            seconds: how long it took.
            done: how many units it said it has done.
            unit: of these; empty where it said none.
        """
        values: dict[tuple[str, ...], float] = {
            (STEPS, task, outcome): 1,
            (STEP_SECONDS, task, outcome): seconds,
        }
        if unit:
            values[UNITS, task, unit] = done
        self.add(values)

    def read(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """Every sum: its measure, the values of its labels, its value."""
        found = self._redis.hgetall(names.MEASURES)
        for name, value in sorted(found.items()):
            measure, *labels = str(name).split(_JOIN)
            yield measure, tuple(labels), float(value)


def _seconds(begin: datetime | None, end: datetime | None) -> float:
    return (end - begin).total_seconds() if begin and end else 0.0

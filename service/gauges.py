"""What is measured when Prometheus asks: the whole deployment, the same from every process.

Sums that workers and the reaper keep in Redis are told as counters. Where Redis does not answer
only that is told.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from workers import measures
from workers import redis_names as names
from workers.errors import WorkersError
from workers.flows import FLOWS, QueueName
from workers.jobs import JobRecord
from workers.measures import Measures
from workers.parts import Parts
from workers.presence import REAPER, Process, processes
from workers.steps import step_at

_PATIENCE_SECONDS = 2.0

# What workers sum up: by measure its name, its help, its labels.
_SUMS: Mapping[str, tuple[str, str, list[str]]] = {
    measures.STEPS: ("handsoff_steps", "Steps that ended.", ["task", "outcome"]),
    measures.STEP_SECONDS: (
        "handsoff_step_seconds",
        "Seconds that steps took, each from its claim to its end.",
        ["task", "outcome"],
    ),
    measures.UNITS: (
        "handsoff_units",
        "What steps said they have done, e.g. images; with step_seconds a rate.",
        ["task", "unit"],
    ),
    measures.JOBS: (
        "handsoff_jobs_ended",
        "Jobs that ended; code is that of the error.",
        ["kind", "state", "code"],
    ),
    measures.JOB_SECONDS: (
        "handsoff_job_seconds",
        "Seconds from jobs' beginnings to their ends.",
        ["kind", "state"],
    ),
    measures.DELIVERIES: (
        "handsoff_webhook_attempts",
        "Attempts to tell a webhook: delivered, failed, or given_up for good.",
        ["outcome"],
    ),
}


class Gauges(Collector):
    """Asks Redis and the store when it is scraped."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._measures = Measures(parts.redis)
        # One thread: while a store hangs, no second scrape begins to wait for it.
        self._prober = ThreadPoolExecutor(1, thread_name_prefix="store-probe")

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Everything that can be had."""
        yield from self._store()
        started = time.perf_counter()
        try:
            self._parts.redis.ping()
            seconds = time.perf_counter() - started
            known = [*self._lanes(), *self._work(), *self._processes(), *self._sums()]
        except (WorkersError, RedisError):
            yield _gauge("handsoff_redis_up", "1 if Redis answered this scrape.", 0)
            return
        yield _gauge("handsoff_redis_up", "1 if Redis answered this scrape.", 1)
        yield _gauge("handsoff_redis_seconds", "How long Redis took to answer a ping.", seconds)
        yield from known

    def _store(self) -> Iterator[Metric]:
        started = time.perf_counter()
        try:
            self._prober.submit(self._parts.store.check).result(_PATIENCE_SECONDS)
        except (WorkersError, TooLate):
            yield _gauge("handsoff_store_up", "1 if the store passed its check.", 0)
            return
        yield _gauge("handsoff_store_up", "1 if the store passed its check.", 1)
        help_ = "How long the store's check took."
        yield _gauge("handsoff_store_seconds", help_, time.perf_counter() - started)
        free = self._parts.store.free_bytes()
        if free is not None:
            yield _gauge("handsoff_store_free_bytes", "Room left in a local store.", free)

    def _lanes(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily(
            "handsoff_queue_depth", "Steps that wait for a worker.", labels=["queue"]
        )
        age = GaugeMetricFamily(
            "handsoff_queue_oldest_seconds",
            "How long the step has waited that has waited the longest.",
            labels=["queue"],
        )
        for name, waiting in self._parts.queue.depths().items():
            depth.add_metric([name], waiting)
        for name, seconds in self._parts.queue.ages().items():
            age.add_metric([name], seconds)
        yield depth
        yield age

    def _work(self) -> Iterator[Metric]:
        redis = self._parts.redis
        running = GaugeMetricFamily(
            "handsoff_running_steps", "Steps that a worker holds.", labels=["queue", "task"]
        )
        rate = GaugeMetricFamily(
            "handsoff_rate",
            "Units a second that running jobs make, e.g. images; summed up.",
            labels=["kind", "unit"],
        )
        steps, rates = self._running()
        for (queue, task), count in sorted(steps.items()):
            running.add_metric([queue, task], count)
        for (kind, unit), sum_ in sorted(rates.items()):
            rate.add_metric([kind, unit], sum_)
        yield running
        yield rate
        unfinished = int(redis.scard(names.LIVING))
        yield _gauge("handsoff_jobs_unfinished", "Jobs that are queued or run.", unfinished)
        pending = int(redis.zcard(names.DELIVERIES))
        yield _gauge("handsoff_webhook_pending", "Deliveries that are not over.", pending)

    def _running(self) -> tuple[Mapping[tuple[str, str], int], Mapping[tuple[str, str], float]]:
        """How many steps run by queue and task, and what their jobs make by kind and unit."""
        steps: dict[tuple[str, str], int] = defaultdict(int)
        jobs: dict[str, JobRecord] = {}
        for place in self._parts.redis.zrange(names.LEASES, 0, -1):
            step = step_at(str(place))
            record = self._parts.jobs.records.read(step.tenant, step.job_id)
            if record is not None:
                stage = FLOWS[record.kind][step.stage]
                steps[str(stage.queue), stage.task] += 1
                jobs[record.id] = record
        rates: dict[tuple[str, str], float] = defaultdict(float)
        for record in jobs.values():
            if record.progress and record.progress.rate:
                rates[str(record.kind), record.progress.unit] += record.progress.rate
        return steps, rates

    def _processes(self) -> Iterator[Metric]:
        found = processes(self._parts.redis)
        there = GaugeMetricFamily(
            "handsoff_processes", "Live workers by queue, and reapers.", labels=["role"]
        )
        for role in (*map(str, QueueName), REAPER):
            there.add_metric([role], sum(process.role == role for process in found))
        yield there
        yield _memory("handsoff_gpu_used_bytes", "GPU memory in use, by anybody.", found, _used)
        yield _memory("handsoff_gpu_total_bytes", "GPU memory in all.", found, _total)

    def _sums(self) -> Iterator[Metric]:
        families = {
            measure: CounterMetricFamily(name, help_, labels=labels)
            for measure, (name, help_, labels) in _SUMS.items()
        }
        for measure, labels, value in self._measures.read():
            if measure in families and len(labels) == len(_SUMS[measure][2]):
                families[measure].add_metric(labels, value)
        yield from families.values()


def _gauge(name: str, help_: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_, value=value)


def _memory(
    name: str, help_: str, found: list[Process], read: Callable[[Process], int | None]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_, labels=["host", "pid", "device"])
    for process in found:
        size = read(process)
        if size is not None:
            family.add_metric([process.host, str(process.pid), process.device.name], size)
    return family


def _used(process: Process) -> int | None:
    return process.device.used_bytes


def _total(process: Process) -> int | None:
    return process.device.total_bytes

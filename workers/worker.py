"""A worker: one process, one queue, one step at a time, its networks kept warm between steps.

    python -m workers.worker --queue cpu | compute [--burst]

It exits with 0 when it was told to end, 70 when a step could not be stopped, 71 when its device
can no longer be used, 2 when its settings are wrong. Whoever started it starts it again.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq.exceptions import StopRequested
from rq.worker import SimpleWorker

from workers.chores import doing
from workers.flows import QueueName
from workers.imports import Imports
from workers.logs import configure_logs
from workers.monitor import Limits
from workers.parts import Parts, open_parts
from workers.presence import Device, new_name, present
from workers.queue import LaneQueue, StepJob, lane_queue
from workers.scratch import remove_left_over
from workers.settings import WorkerSettings
from workers.step import StepRunner
from workers.stop import StopSwitch
from workers.tasks.registry import TASKS
from workers.tracing import open_traces

if TYPE_CHECKING:
    from workers.runtime import Runtime

EXIT_SETTINGS = 2

_WAIT_SECONDS = 1
_PAUSE_SECONDS = 5.0
_log = structlog.get_logger("workers.worker")  # Not "__main__", which is a name of no layer.


class StepWorker(SimpleWorker):  # type: ignore[misc] # RQ has no types.
    """RQ's in-process worker, without what it does about time, signals, retries and commands."""

    max_connection_wait_time = 5.0

    def __init__(
        self, name: str, queue: QueueName, transport: Redis, runner: StepRunner, switch: StopSwitch
    ) -> None:
        super().__init__(
            [lane_queue(transport, queue)],
            name=name,
            connection=transport,
            serializer="json",
            job_class=StepJob,
            queue_class=LaneQueue,
            worker_ttl=30,
            log_job_description=False,
        )
        self._runner = runner
        self._switch = switch
        self._is_busy = False

    def execute_job(self, job: Any, queue: Any) -> None:
        """Run the step that an entry names."""
        job.run = lambda *_: self._runner.run(job.step)
        self._is_busy = True
        try:
            super().execute_job(job, queue)
        finally:
            self._is_busy = False
        if self._runner.exit_status:
            self._stop_requested = True

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> Any:
        """Wait for an entry, but look up every second whether we shall end.

        RQ would be torn out of its wait by an exception, perhaps just after it took an entry.
        """
        if timeout is None:
            return super().dequeue_job_and_maintain_ttl(None, max_idle_time)
        while not self._stop_requested:
            found = super().dequeue_job_and_maintain_ttl(_WAIT_SECONDS, _WAIT_SECONDS)
            if found is not None:
                return found
        raise StopRequested

    def get_heartbeat_ttl(self, *_: Any, **__: Any) -> int:
        """Long: our own leases tell who is alive."""
        return 7 * 24 * 3600

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never: the reaper does that."""
        return False

    def subscribe(self) -> None:
        """RQ's commands are not listened to."""

    def unsubscribe(self) -> None:
        """There is nothing to end."""

    def _install_signal_handlers(self) -> None:
        self._switch.install()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end_soon())

    def _end_soon(self) -> None:
        """The first signal lets the step reach its next report, the second stops it at once."""
        if self._switch.is_draining and not self._is_busy:
            raise SystemExit(0)
        self._switch.is_hurried = self._switch.is_draining
        self._switch.is_draining = self._stop_requested = True


def main(
    argv: Sequence[str] | None = None,
    tasks: Mapping[str, str] = TASKS,
    make_runtime: "Callable[[WorkerSettings], Runtime | None] | None" = None,
) -> int:
    """Work until told to end; the process's exit status.

    Args:
        argv: the arguments; the process's own by default.
        tasks: `module:function` by task.
        make_runtime: makes what compute tasks run on.
    """
    arguments = _arguments(argv)
    try:
        settings = WorkerSettings()
        configure_logs(settings.log_format)
        parts = open_parts(settings)
        traces = open_traces(settings.otel_endpoint, "worker")
    except (ValidationError, ValueError) as error:
        sys.stderr.write(f"wrong settings (variables HANDSOFF_…): {error}\n")
        return EXIT_SETTINGS
    remove_left_over(settings.scratch)
    is_compute = arguments.queue is QueueName.COMPUTE
    runtime = (make_runtime or _runtime)(settings) if is_compute else None
    name = new_name()
    switch, limits = StopSwitch(), _limits(settings)
    imports = Imports(settings, settings.max_import_bytes)
    runner = StepRunner(
        name,
        parts.orchestrator,
        parts.store,
        switch,
        limits,
        settings.scratch,
        runtime,
        tasks,
        imports,
        traces,
    )
    _log.info("worker begins", worker=name, queue=arguments.queue)
    there = present(parts.redis, arguments.queue, name, runtime.measured if runtime else Device)
    with doing([there], patience=1):
        _serve(arguments, parts, runner, switch)
    _log.info("worker ends", worker=name, exit_status=runner.exit_status)
    traces.close()
    parts.close()
    return runner.exit_status


def _serve(
    arguments: argparse.Namespace, parts: Parts, runner: StepRunner, switch: StopSwitch
) -> None:
    """Run the queue's steps until the process is to end."""

    def make() -> StepWorker:
        return StepWorker(new_name(), arguments.queue, parts.transport, runner, switch)

    def shall_end() -> bool:
        return switch.is_draining or bool(runner.exit_status)

    work(make, shall_end, burst=arguments.burst)


def work(
    make: Callable[[], SimpleWorker],
    shall_end: Callable[[], bool],
    *,
    burst: bool,
    pause: float = _PAUSE_SECONDS,
) -> None:
    """Work until told to end, however long Redis is away.

    RQ's worker ends by itself when Redis stays away for longer than its client is patient. Another
    one takes its place then, in this process, where the networks are.

    Args:
        make: a worker, with a name that no other has in RQ.
        shall_end: whether somebody said so, or the device can no longer be used.
        burst: end when the queue is empty; then Redis has to be there.
        pause: seconds from one worker to the next.

    Raises:
        RedisError: in a burst: Redis is away.
    """
    while not shall_end():
        try:
            make().work(burst=burst)
        except (RedisConnectionError, RedisTimeoutError):
            if burst:
                raise
        if burst:
            return
        if not shall_end():
            _log.warning("begins anew: RQ's worker ended by itself, as when Redis is away")
            time.sleep(pause)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="workers.worker", description="Runs steps of jobs.")
    parser.add_argument("--queue", type=QueueName, choices=list(QueueName), required=True)
    parser.add_argument("--burst", action="store_true", help="end when the queue is empty")
    return parser.parse_args(argv)


def _limits(settings: WorkerSettings) -> Limits:
    return Limits(
        settings.lease_seconds,
        settings.job_timeout_seconds,
        settings.drain_seconds,
        settings.stop_seconds,
    )


def _runtime(settings: WorkerSettings) -> "Runtime":
    from workers.runtime import Runtime  # Imports torch.

    return Runtime(settings.device, settings.threads, settings.lpips_trunk)


if __name__ == "__main__":
    sys.exit(main())

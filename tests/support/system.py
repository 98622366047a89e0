"""The workers' layer put together for a test: real Redis, a bucket, and handles on all of it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.processes import stop

from workers import keys
from workers.clock import utc_now
from workers.flows import FLOWS
from workers.ids import new_id
from workers.job_store import JobStore
from workers.jobs import JobKind, JobRecord, JobState
from workers.orchestrator import Orchestrator, Policy
from workers.queue import TaskQueue
from workers.resources import Resource
from workers.steps import StepRef
from workers.storage.base import ObjectStore

TENANT = "default"
MAKES = {
    JobKind.REGISTER: "generators",
    JobKind.REGISTER_ENCODER: "encoders",
    JobKind.TRAIN_ENCODER: "encoders",
    JobKind.INGEST: "datasets",
    JobKind.INVERT: "inversions",
    JobKind.TRAIN: "label-generators",
    JobKind.GENERATE: "generations",
    JobKind.EVALUATE: "evaluations",
}


@dataclass
class System:
    """
    Everything a test of jobs needs.
    """

    store: ObjectStore
    jobs: JobStore
    queue: TaskQueue
    orchestrator: Orchestrator

    @classmethod
    def of(cls, redis, store, queue, clock=utc_now, **policy) -> "System":
        """
        Put together from its parts; the policy's fields may be given.
        """
        jobs = JobStore(redis, store, clock)
        policy = {"delay_seconds": 0.0} | policy
        return cls(store, jobs, queue, Orchestrator(jobs, queue, store, clock, Policy(**policy)))

    @property
    def leases(self):
        return self.orchestrator.leases

    def submit(self, kind=JobKind.INGEST, after=(), **spec) -> JobRecord:
        """
        A new job of a kind.
        """
        return self.orchestrator.submit(resource_for(kind, **spec), kind, after)

    def get(self, record: JobRecord) -> JobRecord:
        """
        The job as it stands now.
        """
        return self.jobs.get(record.tenant, record.id)

    def claim(self, step: StepRef | None = None, worker: str = "w") -> StepRef:
        """
        Take the next step out of its queue (or the one given) and claim it.
        """
        step = step or self.queue.take_any()
        assert step is not None, "nothing is queued"
        step = step.held_by(worker)
        assert self.leases.claim(step) == "claimed"
        self.orchestrator.step_begun(step)
        return step

    def finish(self, record: JobRecord) -> None:
        """
        Write the document that makes the job's resource ready.
        """
        self.store.put(keys.final(record.tenant, *record.resource), b"{}")

    def run_all(self, fan_out: int = 2) -> None:
        """
        Do every queued step as a worker would.
        """
        while step := self.queue.take_any():
            if self.leases.claim(step) != "claimed":
                continue
            record = self.orchestrator.step_begun(step)
            if step.stage == len(FLOWS[record.kind]) - 1:
                self.finish(record)
            self.orchestrator.step_done(step, fan_out)

    def wait_for(self, record: JobRecord, *states: JobState, seconds: float = 30) -> JobRecord:
        """
        The job once it is in one of the states; fails when it takes too long.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            now = self.get(record)
            if now.state in states:
                return now
            time.sleep(0.02)
        raise AssertionError(f"job is still {now.state} after {seconds} s: {now}")


def resource_for(kind: JobKind, **spec) -> Resource:
    """
    A resource that a job of this kind makes.
    """
    return Resource(
        id=new_id(MAKES[kind]),
        tenant=TENANT,
        collection=MAKES[kind],
        created_at=utc_now(),
        job_id=new_id("jobs"),
        spec=spec,
    )


@dataclass
class Processes:
    """
    Starts real workers and reapers for a Redis and a folder.
    """

    redis_url: str
    folder: Path

    def environment(self, **settings) -> dict[str, str]:
        """
        What such a process is told: short leases, and whatever a test wants.
        """
        values = {
            "redis_url": self.redis_url,
            "store_url": f"file://{self.folder}/store",
            "scratch": self.folder / "scratch",
            "lease_seconds": 1.5,
            "retry_delay_seconds": 0,
            "reap_seconds": 0.1,
        } | settings
        ours = {f"HANDSOFF_{name.upper()}": str(value) for name, value in values.items()}
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **ours}

    @contextmanager
    def worker(self, queue="cpu", *arguments, **settings) -> Iterator[subprocess.Popen]:
        """
        A worker that runs the tests' tasks.
        """
        command = [sys.executable, "-W", "error", "-m", "support.worker", "--queue", queue]
        with self._running([*command, *arguments], settings) as child:
            yield child

    @contextmanager
    def reaper(self, **settings) -> Iterator[subprocess.Popen]:
        """
        A reaper.
        """
        command = [sys.executable, "-W", "error", "-m", "workers.reaper"]
        with self._running(command, settings) as child:
            yield child

    def log(self) -> str:
        """
        What all of them have said so far.
        """
        path = self.folder / "processes.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def _running(self, command, settings) -> Iterator[subprocess.Popen]:
        with (self.folder / "processes.log").open("ab") as log:
            child = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment(**settings)
            )
        try:
            yield child
        finally:
            stop(child)

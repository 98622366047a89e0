"""What is logged of a job, by real processes: each line leads to its request."""

import json
import signal
import time

import pytest
import structlog
from fakes import FakeQueue, FakeStore
from support.system import Processes, System, resource_for
from support.waiting import until

from workers.errors import StorageUnavailable
from workers.jobs import JobKind, JobRecord, JobState, Origin
from workers.queue import RqTaskQueue
from workers.reaper import Reaper
from workers.redis_client import connect_transport
from workers.steps import StepRef
from workers.trail import words_of

LEASE = 1.5
ABOUT_PROCESSES = {"worker begins", "worker ends", "reaper begins", "comparing"}


@pytest.fixture
def system(redis, redis_url, store):
    with connect_transport(redis_url, retries=1) as transport:
        yield System.of(redis, store, RqTaskQueue(transport), lease_seconds=LEASE)


@pytest.fixture
def processes(redis_url, store, tmp_path):
    processes = Processes(redis_url, tmp_path)
    yield processes
    print(processes.log())  # noqa: T201


def submit(system, kind=JobKind.INGEST, **spec) -> JobRecord:
    """
    A new job that a request asked for.
    """
    resource = resource_for(kind, **spec)
    return system.orchestrator.submit(resource, kind, origin=Origin(request_id="req-42"))


def lines_of_work(processes) -> list[dict]:
    """
    The lines that speak of no process, but of what it does.
    """
    lines = [json.loads(line) for line in processes.log().splitlines()]
    return [line for line in lines if line["event"] not in ABOUT_PROCESSES]


def trails(lines) -> set[tuple]:
    """
    Whom the lines speak of.
    """
    return {(line.get("tenant"), line.get("job"), line.get("request_id")) for line in lines}


class TestWorkers:
    def test_say_whose_work_it_is(self, system, processes):
        """
        Each line of work has the tenant, the job, the step and the request that asked for it; a
        shard's lines have its number, and no others have one.
        """
        record = submit(system, JobKind.GENERATE, steps=2)
        with processes.worker("compute", "--burst", log_format="json") as child:
            child.wait(60)
        with processes.worker("cpu", "--burst", log_format="json") as child:
            child.wait(60)

        lines = lines_of_work(processes)
        assert JobState.SUCCEEDED is system.get(record).state
        assert {("default", record.id, "req-42")} == trails(lines)
        assert {
            (f"{record.id}-0-0-a1", None),
            (f"{record.id}-1-0-a1", 0),
            (f"{record.id}-1-1-a1", 1),
            (f"{record.id}-2-0-a1", None),
        } == {(line["step"], line.get("shard")) for line in lines}

    def test_say_it_of_failures(self, system, processes):
        """
        The traceback of an error that nobody foresaw leads to the request too.
        """
        record = submit(system, do="crash")
        with processes.worker("cpu", "--burst", log_format="json") as child:
            child.wait(60)

        (failure,) = [line for line in lines_of_work(processes) if "exception" in line]
        assert failure["event"] == "internal error"
        assert {("default", record.id, "req-42")} == trails([failure])

    def test_say_it_in_every_thread(self, system, processes):
        """
        What the threads beside a step say of it has the same words: here the watchdog's, about a
        step that cannot be stopped, and those of the one that ends the step in its place.
        """
        record = submit(system, do="work_wedged")
        patience = {"job_timeout_seconds": 0.2, "stop_seconds": 0.2}
        with processes.worker("cpu", log_format="json", **patience) as child:
            child.wait(60)

        lines = lines_of_work(processes)
        events = [line["event"] for line in lines]
        assert events == ["step begins", "step cannot be stopped; the process exits", "step ends"]
        assert {("default", record.id, "req-42")} == trails(lines)
        assert {f"{record.id}-0-0-a1"} == {line["step"] for line in lines}


def test_the_reaper_says_whose_worker_was_lost(system, processes):
    """
    The line about a worker that died leads to the request whose step it had.
    """
    record = submit(system, do="work_until_told")
    with processes.worker() as child:
        until(lambda: system.leases.held(record.tenant, record.id))
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    said = processes.log()
    with processes.reaper(log_format="json"):
        until(lambda: "worker lost" in processes.log(), 30)

    lines = [json.loads(line) for line in processes.log().removeprefix(said).splitlines()]
    (lost,) = [line for line in lines if line["event"] == "worker lost"]
    assert {("default", record.id, "req-42")} == trails([lost])
    assert f"{record.id}-0-0" == lost["step"]


class TestTheReaper:
    @pytest.fixture
    def system(self, redis):
        return System.of(redis, FakeStore(), FakeQueue(), lease_seconds=LEASE)

    def looked_after(self, system) -> list[dict]:
        """
        What a reaper says while it looks at all jobs.
        """
        reaper = Reaper(system.orchestrator, system.queue, LEASE)
        merge = structlog.contextvars.merge_contextvars
        with structlog.testing.capture_logs(processors=[merge]) as lines:
            reaper.scan()
            reaper.scan()
        return lines

    def test_says_which_step_was_lost(self, system):
        """
        So it does of a step that was in no queue.
        """
        record = submit(system)
        system.queue.take_any()

        (line,) = self.looked_after(system)
        assert line["event"] == "step was lost on its way"
        assert {("default", record.id, "req-42")} == trails([line])
        assert f"{record.id}-0-0-a1" == line["step"]

    def test_says_which_job_is_in_trouble(self, system):
        """
        So it does of a job that cannot be looked after.
        """
        record = submit(system)
        system.jobs.request_cancel(record.tenant, record.id)
        system.store.broken = StorageUnavailable("away")

        lines = self.looked_after(system)
        assert [line["event"] for line in lines] == ["a job could not be looked after"] * 2
        assert {("default", record.id, "req-42")} == trails(lines)


def test_a_job_keeps_its_request(system, redis):
    """
    The request stands in the job's document too, so that it outlives Redis.
    """
    record = submit(system)
    redis.flushall()

    assert Origin(request_id="req-42") == system.get(record).origin


def test_what_names_no_stage_is_no_shard():
    """
    What lies in a queue may name a stage that its job does not have.
    """
    at = time.time()
    record = JobRecord(
        id="job_1",
        tenant="default",
        kind=JobKind.GENERATE,
        resource=("generations", "gnn_1"),
        created_at=at,
        changed_at=at,
    )
    assert "shard" not in words_of("default", "job_1", record, StepRef("default", "job_1", 9, 0, 1))

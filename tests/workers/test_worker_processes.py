"""Real worker processes, and what is left when they are killed, told to end, or stuck."""

import os
import signal
import subprocess
import sys
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from support.system import Processes, System
from support.waiting import until

from workers.jobs import JobKind, JobState
from workers.monitor import EXIT_WEDGED
from workers.queue import STEP, RqTaskQueue, StepJob, rq_queue
from workers.reaper import Reaper
from workers.redis_client import connect_transport
from workers.step import EXIT_DEVICE
from workers.worker import EXIT_SETTINGS, main, work

ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@pytest.fixture
def transport(redis, redis_url):
    with connect_transport(redis_url, retries=1) as client:
        yield client


@pytest.fixture
def system(redis, store, transport):
    return System.of(redis, store, RqTaskQueue(transport), lease_seconds=1.5)


@pytest.fixture
def processes(redis_url, store, tmp_path):
    """
    Starts processes on the test's Redis and folder; shows what they said if the test fails.
    """
    processes = Processes(redis_url, tmp_path)
    yield processes
    print(processes.log())  # noqa: T201


@pytest.fixture
def reaper(system):
    """
    A reaper that a test moves by itself.
    """
    return Reaper(system.orchestrator, system.queue, lease_seconds=1.5)


def marks(system, record) -> dict[str, int]:
    """
    The process ids of a job's attempts, by step and attempt.
    """
    prefix = f"{record.tenant}/{record.resource[0]}/{record.resource[1]}/marks/"
    found = [info.key for info in system.store.list(prefix)]
    return {key.removeprefix(prefix): int(system.store.get(key)) for key in found}


def go(system, record) -> None:
    """
    Let the job's waiting tasks finish.
    """
    system.store.put(f"{record.tenant}/{record.resource[0]}/{record.resource[1]}/go", b"")


def reap_until_ended(system, reaper, record, seconds=30):
    """
    Let the reaper work until a job has ended.
    """

    def ended():
        reaper.round()
        return system.get(record).state in ENDED

    until(ended, seconds)
    return system.get(record)


class TestWorking:
    def test_does_what_is_queued_and_ends(self, system, processes):
        """
        Told to end when nothing is left, a worker does its queue's steps, in order, and exits.
        """
        records = [system.submit() for _ in range(3)]
        other = system.submit(JobKind.TRAIN)

        with processes.worker("cpu", "--burst") as child:
            assert child.wait(60) == 0

        assert {JobState.SUCCEEDED} == {system.get(record).state for record in records}
        assert JobState.QUEUED is system.get(other).state

    def test_two_workers_share_a_job(self, system, processes):
        """
        Shards are made by whoever is free, each once; the job ends once, in the CPU's queue.
        """
        record = system.submit(JobKind.GENERATE, steps=12)
        with processes.worker("compute"), processes.worker("compute"), processes.worker("cpu"):
            ended = system.wait_for(record, *ENDED, seconds=60)

        assert JobState.SUCCEEDED is ended.state
        assert len(marks(system, record)) == 14
        assert all(name.endswith("/1") for name in marks(system, record))

    def test_leaves_nothing_in_the_transport(self, system, processes, transport):
        """
        After its work a worker has left no entry of ours in RQ's keys.
        """
        system.submit()
        with processes.worker("cpu", "--burst") as child:
            child.wait(60)

        left = {key.decode().split(":")[1] for key in transport.keys("rq:*")}
        assert left <= {"queues", "worker", "workers"}

    def test_runs_nothing_else(self, system, processes, transport, tmp_path):
        """
        An entry that somebody else put into the queue is refused; the next one is done.
        """
        queue = rq_queue(transport, "cpu", "default")
        forged = StepJob.create(
            "os.mkdir", args=[str(tmp_path / "made")], connection=transport, serializer="json"
        )
        queue.enqueue_job(forged)
        nonsense = StepJob.create(STEP, args=["x"], connection=transport, serializer="json")
        queue.enqueue_job(nonsense)
        record = system.submit()

        with processes.worker("cpu", "--burst") as child:
            assert child.wait(60) == 0

        assert not (tmp_path / "made").exists()
        assert JobState.SUCCEEDED is system.get(record).state


class TestKilled:
    def test_steps_are_done_by_others(self, system, processes, reaper, tmp_path):
        """
        A worker that is killed in the middle of a step loses nothing: another does the step as
        the second attempt, its files are removed, and the job succeeds.
        """
        record = system.submit(do="fill_scratch")
        with processes.worker() as first:
            until(lambda: marks(system, record))
            first.send_signal(signal.SIGKILL)
            first.wait(10)
        assert len(list((tmp_path / "scratch").iterdir())) == 1
        go(system, record)
        with processes.worker() as second:
            ended = reap_until_ended(system, reaper, record)

            assert JobState.SUCCEEDED is ended.state
            assert {"ingest-0/1": first.pid, "ingest-0/2": second.pid} == marks(system, record)
            assert list((tmp_path / "scratch").iterdir()) == []

    def test_poison_ends_after_three(self, system, processes, reaper):
        """
        A step that kills every worker is given up after the third.
        """
        record = system.submit(do="die")
        for _ in range(3):
            with processes.worker() as child:
                assert child.wait(60) == -signal.SIGKILL
            until(lambda: reaper.round() or system.leases.held(record.tenant, record.id) == 0)

        ended = reap_until_ended(system, reaper, record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "too_many_attempts")
        assert len(marks(system, record)) == 3

    def test_sleepers_change_nothing_when_they_wake(self, system, processes, reaper):
        """
        A worker that was stopped for longer than its lease, and whose step another has done,
        lets go of it when it wakes.
        """
        record = system.submit(do="work_until_told")
        with processes.worker() as sleeper:
            until(lambda: marks(system, record))
            sleeper.send_signal(signal.SIGSTOP)
            go(system, record)
            with processes.worker():
                ended = reap_until_ended(system, reaper, record)
            sleeper.send_signal(signal.SIGCONT)
            following = system.submit()
            system.wait_for(following, JobState.SUCCEEDED)

        assert ended == system.get(record)
        assert JobState.SUCCEEDED is ended.state
        final = system.store.get(f"default/datasets/{record.resource[1]}/manifest.json")
        assert b'"attempt": 2' in final


class TestTold:
    def test_to_end_gives_its_step_back(self, system, processes):
        """
        At SIGTERM a worker stops its step at the next report and exits with 0, within seconds;
        the step costs no attempt and is done by the next worker.
        """
        record = system.submit(do="work_until_told")
        with processes.worker() as first:
            until(lambda: marks(system, record))
            begin = time.monotonic()
            first.terminate()
            assert first.wait(10) == 0
        assert time.monotonic() - begin < 4
        waiting = system.get(record)
        assert (waiting.state, waiting.attempt) == (JobState.QUEUED, 1)

        go(system, record)
        with processes.worker():
            assert JobState.SUCCEEDED is system.wait_for(record, *ENDED).state

    def test_to_end_twice_does_so_at_once(self, system, processes):
        """
        A second signal does not wait for a report.
        """
        record = system.submit(do="work_deaf")
        with processes.worker(drain_seconds=60) as child:
            until(lambda: marks(system, record))
            child.terminate()
            time.sleep(0.5)
            assert child.poll() is None
            child.terminate()
            assert child.wait(10) == 0

        assert JobState.QUEUED is system.get(record).state

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_to_end_while_idle(self, system, processes, number):
        """
        An idle worker exits within about a second.
        """
        record = system.submit()
        with processes.worker() as child:
            system.wait_for(record, JobState.SUCCEEDED)
            begin = time.monotonic()
            child.send_signal(number)
            assert child.wait(10) == 0

        assert time.monotonic() - begin < 4

    def test_to_cancel(self, system, processes):
        """
        A running job is cancelled within seconds, and its worker does the next one.
        """
        record = system.submit(do="work_deaf")
        with processes.worker():
            until(lambda: marks(system, record))
            begin = time.monotonic()
            system.orchestrator.cancel(record.tenant, record.id)
            system.wait_for(record, JobState.CANCELLED)
            assert time.monotonic() - begin < 5
            system.wait_for(system.submit(), JobState.SUCCEEDED)


class TestStuck:
    def test_in_a_native_call_exits(self, system, processes):
        """
        A step that no signal reaches is concluded, and its process exits with a status that says
        so.
        """
        record = system.submit(do="work_wedged")
        with processes.worker(stop_seconds=0.5) as child:
            until(lambda: marks(system, record))
            system.orchestrator.cancel(record.tenant, record.id)
            assert child.wait(20) == EXIT_WEDGED

        assert JobState.CANCELLED is system.get(record).state

    def test_for_too_long_fails_for_good(self, system, processes):
        """
        The same for a step over its time: it fails, and is not tried again.
        """
        record = system.submit(do="work_wedged")
        with processes.worker(stop_seconds=0.5, job_timeout_seconds=0.5) as child:
            assert child.wait(60) == EXIT_WEDGED

        assert system.get(record).error.code == "timed_out"
        assert system.queue.depths() == {"cpu": 0, "compute": 0}

    def test_with_a_broken_device_exits(self, system, processes):
        """
        After a device fault the process exits, and a new one does the step.
        """
        record = system.submit(JobKind.TRAIN, do="device_fault_once")
        with processes.worker("compute") as child, processes.reaper():
            assert child.wait(60) == EXIT_DEVICE
            with processes.worker("compute"):
                assert JobState.SUCCEEDED is system.wait_for(record, *ENDED).state

        assert len(set(marks(system, record).values())) == 2


class TestTheReapersProcess:
    def test_looks_after_a_killed_worker(self, system, processes):
        """
        With a reaper running, a killed worker's job ends by itself; the reaper ends when told.
        """
        record = system.submit(do="die_once")
        with processes.reaper() as reaper, processes.worker() as first:
            first.wait(60)
            with processes.worker():
                assert JobState.SUCCEEDED is system.wait_for(record, *ENDED).state
            reaper.terminate()
            assert reaper.wait(10) == 0
        assert "reaper begins" in processes.log()


class TestStarting:
    @pytest.mark.parametrize("module", ["workers.worker", "workers.reaper"])
    def test_wrong_settings_are_told(self, module, tmp_path):
        """
        Without settings, or with a URL of no kind, a process says what is wrong and exits.
        """
        command = [sys.executable, "-m", module]
        command += ["--queue", "cpu"] if module == "workers.worker" else []
        clean = {name: value for name, value in os.environ.items() if "HANDSOFF" not in name}
        wrong = {"HANDSOFF_REDIS_URL": "unix:///x", "HANDSOFF_STORE_URL": "ftp://x"}
        for settings, said in (({}, "redis_url"), (wrong, "file:///absolute/folder")):
            done = subprocess.run(
                command, env=clean | settings, capture_output=True, text=True, cwd=tmp_path
            )
            assert done.returncode == EXIT_SETTINGS
            assert said in done.stderr
            assert "Traceback" not in done.stderr

    def test_needs_a_queue_that_there_is(self, capsys):
        """
        Any other queue is refused with the ones there are.
        """
        with pytest.raises(SystemExit):
            main(["--queue", "gpu"])

        assert "cpu" in capsys.readouterr().err

    def test_a_cpu_worker_needs_no_torch(self, processes, system):
        """
        A CPU worker never imports torch.
        """
        block = "import sys; sys.modules['torch'] = None; from support.worker import *; "
        code = f"{block} sys.exit(main(['--queue', 'cpu', '--burst'], TABLE))"
        record = system.submit()

        done = subprocess.run([sys.executable, "-c", code], env=processes.environment())

        assert done.returncode == 0
        assert JobState.SUCCEEDED is system.get(record).state


class Workers:
    """
    Makes workers that do what is said of each: they raise something, or end.
    """

    def __init__(self, *fates):
        self.fates = list(fates)
        self.bursts = []

    def work(self, burst):
        self.bursts.append(burst)
        fate = self.fates.pop(0)
        if fate is not None:
            raise fate

    def make(self):
        return self


class TestLongOutages:
    def test_a_worker_begins_anew_until_it_is_told_to_end(self):
        """
        RQ's worker ends, or raises, when Redis stays away for minutes; ours goes on.
        """
        away = RedisConnectionError("away")
        workers = Workers(away, None, away, None)

        work(workers.make, lambda: not workers.fates, burst=False, pause=0)

        assert workers.bursts == [False] * 4

    def test_who_cannot_even_be_made_is_made_again(self):
        """
        RQ asks Redis before a worker works.
        """
        tries = []

        def make():
            tries.append(1)
            if len(tries) < 3:
                raise RedisConnectionError("away")
            return Workers(None)

        work(make, lambda: len(tries) == 3, burst=False, pause=0)

        assert len(tries) == 3

    def test_a_burst_ends_with_the_queue(self):
        """
        It works once, and says so when Redis is away.
        """
        work(Workers(None).make, lambda: False, burst=True, pause=0)
        with pytest.raises(RedisConnectionError):
            work(Workers(RedisConnectionError("away")).make, lambda: False, burst=True, pause=0)

    def test_other_errors_are_not_taken_for_an_outage(self):
        """
        A fault of ours ends the process, which whoever started it starts again.
        """
        with pytest.raises(RuntimeError, match="ours"):
            work(Workers(RuntimeError("ours")).make, lambda: False, burst=False, pause=0)

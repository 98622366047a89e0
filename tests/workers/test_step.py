"""One step from its claim to its conclusion, in this process: every way it can go."""

import threading
import time
from importlib import import_module

import pytest
from fakes import FakeQueue, FakeStore
from support import tasks
from support.system import System
from support.waiting import until

from workers import monitor as monitoring
from workers import redis_names as names
from workers.errors import StorageUnavailable
from workers.jobs import JobKind, JobState
from workers.leases import Leases
from workers.monitor import EXIT_WEDGED, Limits, Monitor
from workers.progress import StepReporter
from workers.redis_client import connect
from workers.settings import WorkerSettings
from workers.step import EXIT_DEVICE, StepRunner
from workers.steps import StepRef, step_at
from workers.stop import StepStopped, StopReason

LEASE = 0.4


@pytest.fixture
def system(redis):
    return System.of(redis, FakeStore(), FakeQueue(), lease_seconds=LEASE)


@pytest.fixture
def make_runner(system, switch, tmp_path):
    """
    Makes a worker's runner with its own patience.
    """

    def make(worker="w", **limits) -> StepRunner:
        patience = Limits(**{"lease_seconds": LEASE, "stop_seconds": 1.0} | limits)
        folder = tmp_path / "scratch"
        return StepRunner(
            worker, system.orchestrator, system.store, switch, patience, folder, None, tasks.TABLE
        )

    return make


@pytest.fixture
def runner(make_runner):
    return make_runner()


def at_mark(system, record, act) -> threading.Thread:
    """
    Do something in another thread once the job's task has begun.
    """

    def wait_and_act():
        until(lambda: list(system.store.list(f"{record.tenant}/{'/'.join(record.resource)}/marks")))
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def run_next(system, runner) -> None:
    """
    Run what is queued or postponed next.
    """
    step = system.queue.take_any() or next(system.leases.due())
    runner.run(step)


class TestSuccess:
    def test_ends_the_job(self, system, runner, tmp_path):
        """
        A step whose task returns is done; its scratch folder is gone.
        """
        record = system.submit()

        run_next(system, runner)

        assert JobState.SUCCEEDED is system.get(record).state
        assert list((tmp_path / "scratch").iterdir()) == []
        assert runner.exit_status == 0

    def test_leads_through_all_stages(self, system, runner):
        """
        What a plan returns is the number of the next stage's steps.
        """
        record = system.submit(JobKind.GENERATE, steps=4)
        for _ in range(6):
            run_next(system, runner)

        marks = system.store.list(f"{record.tenant}/generations/{record.resource[1]}/marks/")
        assert ["finalize-0", *(f"generate-{n}" for n in range(4)), "plan-0"] == [
            info.key.split("/")[-2] for info in marks
        ]
        assert JobState.SUCCEEDED is system.get(record).state

    def test_tells_the_last_report(self, system, runner):
        """
        What a quick task reported is in the record when it is done.
        """
        record = system.submit(do="work_until_told")
        thread = at_mark(system, record, lambda: system.store.put(place(record, "go"), b""))
        run_next(system, runner)
        thread.join()

        progress = system.get(record).progress
        assert (progress.phase, progress.total, progress.unit) == ("working", 1000, "rounds")

    def test_tells_progress_while_it_works(self, system, runner):
        """
        What a task reports is in the record while the task still works.
        """
        record = system.submit(do="work_until_told")

        def watch():
            until(lambda: system.get(record).progress)
            system.store.put(place(record, "go"), b"")

        thread = at_mark(system, record, watch)
        run_next(system, runner)
        thread.join()

        assert JobState.SUCCEEDED is system.get(record).state


class TestFailure:
    @pytest.mark.parametrize(
        ("how", "code"),
        [
            ("refuse", "bad_input"),
            ("bad_checkpoint", "checkpoint_error"),
            ("crash", "internal_error"),
            ("leave", "internal_error"),
            ("out_of_memory", "out_of_memory"),
        ],
    )
    def test_ends_the_job(self, system, runner, how, code):
        """
        A task's failure is its job's, under a code; the worker lives on.
        """
        record = system.submit(do=how)

        run_next(system, runner)

        ended = system.get(record)
        assert (JobState.FAILED, code) == (ended.state, ended.error.code)
        assert "secret" not in ended.error.model_dump_json()
        assert runner.exit_status == 0

    def test_a_plan_that_does_not_count_is_our_error(self, system, runner):
        """
        A task that returns no number where one is wanted fails its job.
        """
        record = system.submit(JobKind.GENERATE, steps=0)

        run_next(system, runner)

        assert system.get(record).error.code == "internal_error"

    def test_passing_faults_are_tried_again(self, system, runner):
        """
        After a passing fault the second attempt succeeds.
        """
        record = system.submit(do="stumble_once")

        run_next(system, runner)
        assert system.get(record).error.code == "retryable"
        run_next(system, runner)

        assert JobState.SUCCEEDED is system.get(record).state

    def test_but_not_for_ever(self, system, runner):
        """
        A fault that does not pass fails the job after the third attempt.
        """
        record = system.submit(do="stumble")
        for _ in range(3):
            run_next(system, runner)

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "too_many_attempts")
        assert "the weather" in ended.error.message

    def test_a_missing_description_fails_the_job(self, system, runner):
        """
        A job whose resource's description is gone says so.
        """
        record = system.submit()
        system.store.delete(place(record, "resource.json"))

        run_next(system, runner)

        assert system.get(record).error.code == "object_not_found"

    def test_device_faults_end_the_process(self, system, runner):
        """
        After a device fault the step waits for another worker, and this one is of no more use.
        """
        record = system.submit(do="device_fault_once")

        run_next(system, runner)

        assert runner.exit_status == EXIT_DEVICE
        assert system.get(record).error.code == "device_fault"

    def test_an_outage_at_the_end_loses_nothing(self, system, runner):
        """
        When the bucket is away while a step is concluded, the worker lives on and the job can
        still be ended.
        """
        record = system.submit(do="refuse")
        puts = system.store.put_if_absent
        system.store.put_if_absent = raising(StorageUnavailable("away"))
        run_next(system, runner)
        system.store.put_if_absent = puts

        ended = system.jobs.end(record.tenant, record.id, JobState.SUCCEEDED)

        assert ended.error.code == "bad_input"


class TestNotRun:
    def test_steps_of_ended_jobs_are_dropped(self, system, runner):
        """
        A queued step of a job that was cancelled meanwhile is not run.
        """
        record = system.submit()
        system.orchestrator.cancel(record.tenant, record.id)

        run_next(system, runner)

        assert system.store.size(place(record, "marks/ingest-0/1")) is None

    def test_a_cancelled_job_ends_at_the_claim(self, system, runner):
        """
        A job that was to be cancelled, and that nobody works on, ends when a worker meets it.
        """
        record = system.submit()
        system.jobs.request_cancel(record.tenant, record.id)

        run_next(system, runner)

        assert JobState.CANCELLED is system.get(record).state

    def test_the_same_step_twice_is_run_once(self, system, runner):
        """
        A step that comes a second time is passed over.
        """
        record = system.submit()
        step = system.queue.take_any()

        runner.run(step)
        runner.run(step)

        assert JobState.SUCCEEDED is system.get(record).state


class TestStopping:
    @pytest.mark.parametrize("how", ["work_until_told", "work_deaf"])
    def test_cancels_within_seconds(self, system, runner, how):
        """
        A task is stopped when its job shall be cancelled: at its next report, or else wherever
        it is; and the worker does the next step.
        """
        record, following = system.submit(do=how), system.submit()
        asked = []

        def cancel():
            asked.append(time.monotonic())
            system.orchestrator.cancel(record.tenant, record.id)

        thread = at_mark(system, record, cancel)
        run_next(system, runner)
        thread.join()

        assert JobState.CANCELLED is system.get(record).state
        assert time.monotonic() - asked[0] < 4
        run_next(system, runner)
        assert JobState.SUCCEEDED is system.get(following).state

    def test_stops_for_whoever_has_the_step(self, redis_url, system, runner):
        """
        A worker whose step was given to another stops, and says nothing.
        """
        record = system.submit(do="work_deaf")

        def take():
            with connect(redis_url) as client:
                leases = Leases(client, 60)
                step = StepRef(record.tenant, record.id, 0, 0, 1)
                leases.give_back(step.held_by("w"), fault=False)
                leases.claim(step.again(2).held_by("another"))

        thread = at_mark(system, record, take)
        run_next(system, runner)
        thread.join()

        assert JobState.RUNNING is system.get(record).state
        assert system.leases.held(record.tenant, record.id) == 1

    def test_losers_do_not_make_the_resource_ready(self, system, make_runner):
        """
        A task that does not know yet that its step is another's cannot write the last document.
        """
        record = system.submit(do="work_until_told")

        def take():
            step = StepRef(record.tenant, record.id, 0, 0, 1, worker="w")
            assert system.leases.give_back(step, fault=False)
            system.store.put(place(record, "go"), b"")

        thread = at_mark(system, record, take)
        run_next(system, make_runner(lease_seconds=60))  # It looks once a second.
        thread.join()

        assert system.store.size(place(record, "manifest.json")) is None
        assert JobState.RUNNING is system.get(record).state

    def test_ends_what_takes_too_long(self, system, make_runner):
        """
        A step that is over its time fails its job and is not tried again.
        """
        record = system.submit(do="work_deaf")

        run_next(system, make_runner(job_timeout_seconds=0.3))

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "timed_out")
        assert system.queue.take_any() is None

    def test_drains_at_the_next_report(self, system, runner, switch):
        """
        When the process shall end, the step stops at its next report and is queued for another
        worker; that costs no attempt.
        """
        record = system.submit(do="work_until_told")

        thread = at_mark(system, record, lambda: setattr(switch, "is_draining", True))
        run_next(system, runner)
        thread.join()

        waiting = system.get(record)
        assert (waiting.state, waiting.attempt) == (JobState.QUEUED, 1)
        assert system.queue.take_any().attempt == 2

    @pytest.mark.parametrize(("drain", "hurry"), [(0.3, False), (60, True)])
    def test_drains_by_force_in_the_end(self, system, make_runner, switch, drain, hurry):
        """
        A step that does not report is stopped when its time to do so is over, or at once when
        the process is told to hurry.
        """
        record = system.submit(do="work_deaf")

        def ask():
            switch.is_hurried, switch.is_draining = hurry, True

        thread = at_mark(system, record, ask)
        begin = time.monotonic()
        run_next(system, make_runner(drain_seconds=drain))
        thread.join()

        assert time.monotonic() - begin < 5
        assert JobState.QUEUED is system.get(record).state

    def test_a_process_that_shall_end_begins_nothing(self, system, runner, switch):
        """
        A step that comes to a worker which shall end is given back before its task begins.
        """
        record = system.submit()
        switch.is_draining = True

        run_next(system, runner)

        assert system.store.size(place(record, "marks/ingest-0/1")) is None
        assert system.queue.take_any().attempt == 2

    def test_keeps_its_lease_while_it_works(self, system, runner):
        """
        A step that takes many times its lease stays its worker's.
        """
        record = system.submit(do="work_until_told")

        def watch():
            end = time.monotonic() + 3 * LEASE
            while time.monotonic() < end:
                assert system.leases.expired() == []
                time.sleep(0.02)
            system.store.put(place(record, "go"), b"")

        thread = at_mark(system, record, watch)
        run_next(system, runner)
        thread.join()

        assert JobState.SUCCEEDED is system.get(record).state

    def test_says_so_when_it_was_only_late(self, system, redis, runner):
        """
        A worker whose step was taken for its silence lets go of it, and as it lives, the step is
        not taken for poison.
        """
        record = system.submit(do="work_until_told")
        faults = []

        def be_silent():
            [place] = redis.zrange(names.LEASES, 0, -1)
            taken = until(lambda: taken_from(place))  # A heartbeat may come in between.
            faults.append(taken.faults)

        def taken_from(place):
            redis.zadd(names.LEASES, {place: 0})
            return system.leases.take_expired(step_at(place))

        thread = at_mark(system, record, be_silent)
        run_next(system, runner)
        thread.join()

        assert faults == [1]
        assert redis.hget(names.steps(record.tenant, record.id, 0), "f:0") == "0"

    def test_is_not_forced_out_of_an_import(self, switch, tmp_path, monkeypatch):
        """
        A module is imported whole before its step is stopped: half of one would make every later
        step of this process fail.
        """
        (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.3)\nwhole = True\n")
        monkeypatch.syspath_prepend(tmp_path)
        switch.begin()

        def work():
            switch.ask(StopReason.CANCELLED)
            threading.Timer(0.1, switch.force).start()
            assert import_module("slow_to_import").whole
            switch.force()
            time.sleep(1)

        with pytest.raises(StepStopped), switch.armed():
            work()


class TestWedged:
    def test_concludes_and_exits(self, system, switch):
        """
        When a step can be stopped neither by asking nor by force, it is concluded from beside,
        and the process exits with a status of its own.
        """
        record = system.submit()
        step = system.claim()
        done = []
        monitor = Monitor(
            step,
            system.leases,
            StepReporter(step, system.orchestrator, switch.check),
            switch,
            Limits(stop_seconds=0.3),
            conclude=lambda reason: done.append(reason),
            exit=lambda status: done.append(status),
        )
        system.orchestrator.cancel(record.tenant, record.id)

        with monitor:  # Not armed: as if no signal came through.
            until(lambda: len(done) == 2)

        assert done == [StopReason.CANCELLED, EXIT_WEDGED]

    def test_is_given_up_soon_enough_for_a_cancel(self):
        """
        By default the longest way to a cancel (the wish is seen, the step asked, forced and given
        up) leaves half a second of five for the conclusion.
        """
        patience = Limits().stop_seconds
        looks = 2 * monitoring._LOOK_SECONDS
        longest = monitoring._BEAT_SECONDS + monitoring._ASKING_SECONDS + patience + looks

        assert longest <= 4.5
        assert patience == WorkerSettings.model_fields["stop_seconds"].default


def place(record, path: str) -> str:
    return f"{record.tenant}/{record.resource[0]}/{record.resource[1]}/{path}"


def raising(error):
    """
    A function that only raises.
    """

    def fail(*_):
        raise error

    return fail

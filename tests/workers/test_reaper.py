"""What the reaper finds that others left undone, and whom it leaves in peace."""

import time

import pytest
from fakes import FakeClock, FakeQueue, FakeStore
from support.system import System

from workers import redis_names as names
from workers.errors import StorageUnavailable
from workers.jobs import JobError, JobKind, JobState
from workers.leases import Leases
from workers.reaper import Reaper

LEASE = 0.05
REASON = JobError(code="weather", message="it rained", retryable=True)


class FakeSeconds:
    """
    A clock in seconds that a test moves.
    """

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def system(redis):
    return System.of(redis, FakeStore(), FakeQueue(), FakeClock(), lease_seconds=LEASE)


@pytest.fixture
def clock():
    return FakeSeconds()


@pytest.fixture
def reaper(system, clock):
    """
    A reaper that has had its first round.
    """
    reaper = Reaper(system.orchestrator, system.queue, 10.0, clock=clock)
    reaper.round()
    clock.now += 20  # The first round compares with the bucket and is peaceful afterwards.
    reaper._last_sign = clock.now
    return reaper


def expire() -> None:
    """
    Let every lease run out.
    """
    time.sleep(LEASE * 2)


class TestLostWorkers:
    def test_give_their_steps_back(self, system, reaper):
        """
        The step of a silent worker is queued again at once, as its next attempt, and says why.
        """
        record = system.submit()
        step = system.claim()
        expire()

        reaper.round()

        assert step.again(2) == system.queue.take_any()
        waiting = system.get(record)
        assert (
            waiting.state,
            waiting.error.code,
            waiting.attempt,
        ) == (JobState.QUEUED, "worker_lost", 2)

    def test_give_back_short_leases_too(self, system, clock):
        """
        A reaper that pauses for longer than half a lease between rounds still takes back leases.
        """
        reaper = Reaper(system.orchestrator, system.queue, 4.0, pause_seconds=3.0, clock=clock)
        reaper.round()
        for _ in range(2):  # After the first round's peace.
            clock.now += 3.0
            reaper.round()
        system.submit()
        step = system.claim()
        expire()

        clock.now += 3.0
        reaper.round()

        assert step.again(2) == system.queue.take_any()

    def test_keep_what_they_renew(self, redis, system, reaper):
        """
        The step of a worker that is alive stays its own.
        """
        system.submit()
        step = system.claim()
        expire()
        Leases(redis, lease_seconds=60).renew(step)

        reaper.round()

        assert system.queue.take_any() is None

    def test_poison_is_not_tried_for_ever(self, system, reaper):
        """
        A step that kills each of its workers fails after the third, with that as the reason.
        """
        record = system.submit()
        for _ in range(3):
            system.claim()
            expire()
            reaper.round()

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "too_many_attempts")
        assert "stopped answering" in ended.error.message
        assert system.queue.take_any() is None

    def test_of_a_job_to_be_cancelled_end_it(self, system, reaper):
        """
        When the worker that should have stopped is gone, the job is cancelled without it.
        """
        record = system.submit()
        system.claim()
        system.orchestrator.cancel(record.tenant, record.id)
        expire()

        reaper.round()

        assert JobState.CANCELLED is system.get(record).state
        assert system.queue.take_any() is None


class TestPeace:
    def test_after_redis_was_away(self, system, reaper, clock):
        """
        After an outage nobody is taken for dead until everybody had the time of a lease.
        """
        system.submit()
        system.claim()
        expire()

        reaper.note_outage()
        reaper.round()
        assert system.queue.take_any() is None
        clock.now += 4
        reaper.round()
        assert system.queue.take_any() is None
        clock.now += 4
        reaper.round()
        clock.now += 4
        reaper.round()

        assert system.queue.take_any() is not None

    def test_but_not_after_a_long_round(self, system, reaper, clock):
        """
        A round that takes long because there is much to do is no outage: the worker that died is
        found in the next one.
        """
        for _ in range(9):
            system.submit()
        step = system.claim()
        on_its_way = system.jobs.records.read

        def read_slowly(*of_whom):
            clock.now += 2
            return on_its_way(*of_whom)

        system.jobs.records.read = read_slowly
        reaper.scan()
        system.jobs.records.read = on_its_way
        expire()
        reaper.round()

        taken = [system.queue.take_any() for _ in range(9)]
        assert step.again(2) in taken

    def test_after_an_outage_that_was_sat_out(self, system, reaper, clock):
        """
        A question that Redis answers only after minutes, because it was away, takes no step from
        workers that could not renew their leases either.
        """
        system.submit()
        system.claim()
        expire()
        ask = system.leases.expired

        def ask_for_long():
            clock.now += 300
            return ask()

        system.leases.expired = ask_for_long
        reaper.round()
        assert system.queue.take_any() is None
        system.leases.expired = ask
        for _ in range(4):
            clock.now += 4
            reaper.round()

        assert system.queue.take_any() is not None

    def test_after_the_machine_slept(self, system, reaper, clock):
        """
        When the reaper itself was away for long, so perhaps were all others.
        """
        system.submit()
        system.claim()
        expire()
        clock.now += 3600

        reaper.round()

        assert system.queue.take_any() is None


class TestPostponed:
    def test_are_queued_when_due(self, system, reaper):
        """
        A step that shall be tried again is queued once its pause is over.
        """
        system.submit()
        step = system.claim()
        system.orchestrator.step_again(step, REASON)

        reaper.round()

        assert step.again(2) == system.queue.take_any()

    def test_are_not_taken_for_lost(self, system, reaper):
        """
        A step that waits for its time is not nowhere.
        """
        system.submit()
        step = system.claim()
        system.leases.give_back(step, fault=True)
        system.leases.postpone(step.again(2), 60)

        for _ in range(3):
            reaper.scan()

        assert system.queue.take_any() is None


class TestScan:
    def test_finds_steps_that_were_lost_on_their_way(self, system, reaper):
        """
        A step that is neither queued nor claimed nor done is queued when it is missed for the
        second time; the first time somebody may just be taking it.
        """
        system.submit()
        step = system.queue.take_any()

        reaper.scan()
        assert system.queue.take_any() is None
        reaper.scan()

        assert step == system.queue.take_any()

    def test_leaves_what_is_on_its_way(self, system, reaper):
        """
        Queued, claimed and done steps are not queued again.
        """
        system.submit(JobKind.GENERATE)
        system.orchestrator.step_done(system.claim(), 3)
        system.claim()
        system.orchestrator.step_done(system.claim(), None)
        before = system.queue.depths()

        for _ in range(3):
            reaper.scan()

        assert before == system.queue.depths()

    def test_goes_on_where_a_worker_died_between_two_stages(self, system, reaper):
        """
        A job whose next stage was begun but never queued is queued.
        """
        system.submit(JobKind.GENERATE)
        system.leases.complete(system.claim(), next_steps=2)

        reaper.scan()
        reaper.scan()

        assert system.queue.depths()["compute"] == 2

    def test_ends_jobs_whose_last_step_is_done(self, system, reaper):
        """
        A job whose worker died between its last step and its end has succeeded.
        """
        record = system.submit()
        step = system.claim()
        system.finish(record)
        system.leases.complete(step, next_steps=1)

        reaper.scan()

        assert JobState.SUCCEEDED is system.get(record).state

    def test_ends_what_was_decided(self, system, reaper):
        """
        A job that could not end because the bucket was away ends as it was decided then.
        """
        record = system.submit()
        step = system.claim()
        system.store.broken = StorageUnavailable("away")
        with pytest.raises(StorageUnavailable):
            system.orchestrator.step_failed(step, JobError(code="bad", message="it is bad"))
        system.store.broken = None
        assert JobState.RUNNING is system.get(record).state

        reaper.scan()

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "bad")

    def test_begins_jobs_that_were_forgotten_behind_others(self, system, reaper):
        """
        A job whose parent's worker died before it could begin it is begun, or fails.
        """
        parents = [system.submit(), system.submit()]
        children = [system.submit(JobKind.TRAIN, after=[parent.id]) for parent in parents]
        for parent, state in zip(parents, (JobState.SUCCEEDED, JobState.FAILED), strict=True):
            system.claim()
            system.jobs.end(parent.tenant, parent.id, state)

        reaper.scan()

        assert children[0].id == system.queue.take_any().job_id
        assert system.get(children[1]).error.code == "dependency_failed"

    def test_cancels_what_was_to_be(self, system, reaper):
        """
        A job whose wish to cancel was noted, and no more, is cancelled.
        """
        record = system.submit()
        system.jobs.request_cancel(record.tenant, record.id)

        reaper.scan()

        assert JobState.CANCELLED is system.get(record).state


class TestTrouble:
    def test_with_one_job_stops_nothing(self, redis, system, reaper):
        """
        A record that cannot be read, and a lease of a job that is gone, keep nobody else waiting.
        """
        broken, whole = system.submit(), system.submit()
        system.claim()
        system.claim()
        redis.hset(names.job(broken.tenant, broken.id), "record", "{}")
        redis.zadd(names.LEASES, {"default/job_gone/0/0": 1})
        expire()

        reaper.round()

        assert [whole.id] == [step.job_id for step in system.queue.entries["cpu"]]

    def test_with_the_bucket_is_not_trouble_with_redis(self, system, reaper):
        """
        While the bucket is away, steps still go to the workers.
        """
        poisoned, other = system.submit(), system.submit()
        system.claim()
        system.jobs.request_cancel(poisoned.tenant, poisoned.id)
        step = system.claim()
        system.orchestrator.step_again(step, REASON)
        expire()
        system.store.broken = StorageUnavailable("away")

        reaper.round()

        assert [other.id] == [step.job_id for step in system.queue.entries["cpu"]]


class TestRounds:
    def test_clean_the_transport_now_and_then(self, system, reaper):
        """
        The transport is cleaned at the first round and rarely afterwards.
        """
        for _ in range(10):
            reaper.round()

        assert system.queue.cleaned == 1

    def test_leave_nothing_of_a_finished_job(self, system, redis, reaper):
        """
        After a job's end Redis has its record and its place in the list, and nothing else but
        that its end is still to be told.
        """
        record = system.submit(JobKind.GENERATE)
        child = system.submit(JobKind.TRAIN, after=[record.id])
        system.run_all()
        reaper.round()

        records = {names.job(job.tenant, job.id) for job in (record, child)}
        expected = records | {names.index(record.tenant), names.REBUILT, names.ENDED}
        assert expected == set(redis.keys("handsoff:*"))

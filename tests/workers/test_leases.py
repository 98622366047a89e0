"""Who works on which step: claims, tokens, and the way through a job's stages."""

import threading
import time

import pytest
from fakes import FakeQueue, FakeStore
from support.system import TENANT, System

from workers import redis_names as names
from workers.jobs import JobKind, JobState
from workers.leases import Claim, Completion, Leases, Renewal
from workers.redis_client import connect
from workers.steps import StepRef, step_at


@pytest.fixture
def system(redis):
    return System.of(redis, FakeStore(), FakeQueue())


@pytest.fixture
def leases(redis):
    """
    Long leases: nothing expires unless a test says so.
    """
    return Leases(redis, lease_seconds=60)


@pytest.fixture
def step(system) -> StepRef:
    """
    The only step of a job, queued.
    """
    system.submit()
    return system.queue.take_any()


@pytest.fixture
def fan(system, leases) -> list[StepRef]:
    """
    The three steps of a job's second stage, queued.
    """
    record = system.submit(JobKind.GENERATE)
    plan = system.claim()
    leases.complete(plan, next_steps=3)
    return leases.open_steps(TENANT, record.id, 1)


def test_names_are_fit_for_everything():
    """
    An attempt's name says which it is, and its place leads back to the step.
    """
    step = StepRef("t", "job_1", 1, 23, 4)

    assert step.name == "job_1-1-23-a4"
    assert step == step_at(step.place, attempt=4)


class TestClaim:
    def test_is_exclusive(self, leases, step):
        """
        A claimed step is nobody else's, not even for a later attempt.
        """
        assert Claim.CLAIMED is leases.claim(step.held_by("one"))
        assert Claim.HELD is leases.claim(step.held_by("two"))
        assert Claim.HELD is leases.claim(step.again(2).held_by("two"))

    def test_of_many_at_once_one_wins(self, redis_url, step):
        """
        Eight workers that claim a step at the same time: one gets it.
        """
        start, found = threading.Barrier(8), []

        def claim(worker):
            with connect(redis_url) as client:
                start.wait()
                found.append(Leases(client, 60).claim(step.held_by(worker)))

        threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]

        assert sorted(found) == [Claim.CLAIMED] + [Claim.HELD] * 7

    def test_sent_twice_is_one(self, leases, step):
        """
        The same worker asking for the same attempt again has it.
        """
        assert Claim.CLAIMED is leases.claim(step.held_by("one"))
        assert Claim.CLAIMED is leases.claim(step.held_by("one"))
        assert leases.held(step.tenant, step.job_id) == 1

    def test_uses_each_attempt_once(self, leases, step):
        """
        An attempt that was given back cannot be claimed again; the next one can.
        """
        leases.claim(step)
        leases.give_back(step, fault=False)

        assert Claim.STALE is leases.claim(step)
        assert Claim.CLAIMED is leases.claim(step.again(2))

    def test_needs_a_job_that_goes_on(self, system, leases, step):
        """
        Steps of a job that has ended, that shall be cancelled or that nobody knows are not given.
        """
        system.jobs.request_cancel(step.tenant, step.job_id)
        assert Claim.CANCELLED is leases.claim(step)
        system.jobs.end(step.tenant, step.job_id, JobState.CANCELLED)
        assert Claim.ENDED is leases.claim(step)
        assert Claim.ENDED is leases.claim(StepRef("t", "job_x", 0, 0, 1))

    def test_needs_a_step_that_is_to_be_done(self, leases, fan):
        """
        Done steps, steps of another stage and steps beyond the last are not given.
        """
        leases.claim(fan[0])
        leases.complete(fan[0], 1)

        assert Claim.OVER is leases.claim(fan[0].again(2))
        assert Claim.OVER is leases.claim(StepRef(TENANT, fan[0].job_id, 0, 0, 9))
        assert Claim.OVER is leases.claim(StepRef(TENANT, fan[0].job_id, 1, 3, 1))


class TestRenew:
    def test_keeps_the_step(self, redis, step):
        """
        A step whose lease is renewed never expires; one left alone does.
        """
        leases = Leases(redis, lease_seconds=0.3)
        leases.claim(step)
        for _ in range(4):
            time.sleep(0.1)
            assert Renewal.KEPT is leases.renew(step)
            assert leases.expired() == []
        time.sleep(0.4)

        assert [step.again(0)] == leases.expired()

    def test_saves_what_nobody_took(self, redis, step):
        """
        A worker that comes back late, but before anybody noticed, goes on.
        """
        leases = Leases(redis, lease_seconds=0.05)
        leases.claim(step)
        time.sleep(0.1)

        assert Renewal.KEPT is Leases(redis, 60).renew(step)
        assert leases.take_expired(step) is None

    def test_tells_the_loser(self, redis, step):
        """
        A worker whose step was taken back hears it, whether or not another has it by now.
        """
        leases = Leases(redis, lease_seconds=0.05)
        leases.claim(step)
        time.sleep(0.1)
        leases.take_expired(step)
        assert Renewal.LOST is leases.renew(step)

        leases.claim(step.again(2))
        assert Renewal.LOST is leases.renew(step)

    def test_tells_of_a_wish_to_cancel(self, system, leases, step):
        """
        Whoever keeps a step hears that its job shall be cancelled.
        """
        leases.claim(step)
        system.orchestrator.cancel(step.tenant, step.job_id)

        assert Renewal.CANCEL is leases.renew(step)

    def test_tells_when_the_job_is_over(self, system, leases, fan):
        """
        When a job ends, all who work on it find their steps lost.
        """
        leases.claim(fan[0])
        record = system.jobs.end(TENANT, fan[0].job_id, JobState.FAILED)
        system.orchestrator.finish(record)

        assert Renewal.LOST is leases.renew(fan[0])
        assert leases.held(TENANT, fan[0].job_id) == 0

    def test_tells_when_redis_was_emptied(self, redis, leases, step):
        """
        A worker whose job Redis has forgotten stops.
        """
        leases.claim(step)
        redis.flushall()

        assert Renewal.LOST is leases.renew(step)


class TestComplete:
    def test_refuses_old_attempts(self, redis, leases, step):
        """
        A worker that wakes up after its step was given to another counts for nothing.
        """
        short = Leases(redis, lease_seconds=0.05)
        short.claim(step)
        time.sleep(0.1)
        short.take_expired(step)
        assert Completion.LOST is leases.complete(step, 1)
        leases.claim(step.again(2))
        assert Completion.LOST is leases.complete(step, 1)

        assert Completion.ADVANCED is leases.complete(step.again(2), 1)
        assert Completion.LOST is leases.complete(step, 1)

    def test_refuses_the_same_number_in_other_hands(self, redis, leases, step):
        """
        A Redis that lost its last second gives the same attempt out twice: the first worker has
        lost it all the same.
        """
        one, two = step.held_by("one"), step.held_by("two")
        leases.claim(one)
        redis.delete(names.steps(TENANT, step.job_id, 0), names.LEASES)
        assert Claim.CLAIMED is leases.claim(two)

        assert Renewal.LOST is leases.renew(one)
        assert Completion.LOST is leases.complete(one, 1)
        assert leases.progress(one, "making", 1, 2) is None
        assert leases.give_back(one, fault=False) is None
        assert Completion.ADVANCED is leases.complete(two, 1)
        assert Completion.LOST is leases.complete(one, 1)

    def test_the_last_step_advances(self, leases, fan):
        """
        Only the last of a stage's steps moves the job on, in whatever order they come.
        """
        for step in fan:
            leases.claim(step)

        found = [leases.complete(step, 1) for step in (fan[1], fan[2], fan[0])]

        assert found == [Completion.COUNTED, Completion.COUNTED, Completion.ADVANCED]
        assert leases.stage(TENANT, fan[0].job_id) == 2

    def test_advances_exactly_once(self, redis_url, system, leases):
        """
        Workers that complete the steps of a stage at the same time: one of them, and only one,
        moves the job on; twenty times over.
        """
        for _ in range(20):
            record = system.submit(JobKind.GENERATE)
            leases.complete(system.claim(), next_steps=4)
            steps = leases.open_steps(TENANT, record.id, 1)
            start, found = threading.Barrier(4), []

            def work(step, start=start, found=found):
                with connect(redis_url) as client:
                    mine = Leases(client, 60)
                    mine.claim(step)
                    start.wait()
                    found.append(mine.complete(step, 1))

            threads = [threading.Thread(target=work, args=(step,)) for step in steps]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]

            assert sorted(found) == [Completion.COUNTED] * 3 + [Completion.ADVANCED]
            assert leases.stage(TENANT, record.id) == 2

    def test_sent_twice_is_one(self, leases, fan):
        """
        A completion whose answer was lost gives the same answer again and counts once.
        """
        for step in fan[:2]:
            leases.claim(step)
            assert Completion.COUNTED is leases.complete(step, 1)
            assert Completion.COUNTED is leases.complete(step, 1)
        leases.claim(fan[2])

        assert Completion.ADVANCED is leases.complete(fan[2], 1)
        assert Completion.ADVANCED is leases.complete(fan[2], 1)
        assert leases.stage(TENANT, fan[0].job_id) == 2

    def test_leaves_nothing_of_the_stage(self, redis, leases, fan):
        """
        When a stage is done, its steps and their leases are gone.
        """
        for step in fan:
            leases.claim(step)
            leases.complete(step, 1)

        assert redis.zcard(names.LEASES) == 0
        assert not redis.exists(names.steps(TENANT, fan[0].job_id, 1))


class TestTakingBack:
    def test_counts_faults_and_others(self, leases, fan):
        """
        What is given back says how often the step failed and how many others are worked on.
        """
        for step in fan:
            leases.claim(step)

        drained = leases.give_back(fan[0], fault=False)
        failed = leases.give_back(fan[1], fault=True)
        waits = leases.give_back(fan[2], fault=False, outage=True)

        assert (drained.attempt, drained.faults, drained.others) == (1, 0, 2)
        assert (failed.attempt, failed.faults, failed.others) == (1, 1, 1)
        assert (waits.faults, waits.outages, waits.others) == (0, 1, 0)

    def test_happens_once(self, redis, step):
        """
        Of two who take an expired step, one gets it; of what was taken nothing can be given back.
        """
        leases = Leases(redis, lease_seconds=0.5)
        leases.claim(step)
        assert leases.take_expired(step) is None
        time.sleep(0.6)

        assert leases.take_expired(step) is not None
        assert leases.take_expired(step) is None
        assert leases.give_back(step, fault=True) is None

    def test_silence_is_forgiven_to_the_living(self, redis, step):
        """
        A worker that was only late takes its fault back, once an attempt, and so often only: what
        silences each worker is at fault in the end.
        """
        leases = Leases(redis, lease_seconds=0.001)
        faults = []
        for attempt in range(1, 14):
            late = step.again(attempt).held_by("w")
            leases.claim(late)
            time.sleep(0.02)
            assert not leases.woke(late)
            faults.append(leases.take_expired(step).faults)
            assert leases.woke(late) == (attempt <= 10)
            assert not leases.woke(late)

        assert faults == [1] * 11 + [2, 3]

    def test_silence_does_not_keep_what_is_over(self, redis, step):
        """
        A worker that wakes when its job has long ended leaves no trace.
        """
        leases = Leases(redis, lease_seconds=0.001)
        leases.claim(step)
        time.sleep(0.02)
        leases.take_expired(step)
        leases.forget(step.tenant, step.job_id)

        assert not leases.woke(step)
        assert not redis.exists(names.steps(step.tenant, step.job_id, step.stage))

    def test_open_steps_are_those_that_nobody_has(self, leases, fan):
        """
        Neither done nor claimed: such steps are open, as their next attempt.
        """
        leases.claim(fan[0])
        leases.claim(fan[1])
        leases.complete(fan[0], 1)
        leases.give_back(fan[1], fault=True)
        job_id = fan[0].job_id

        assert [fan[1].again(2), fan[2]] == leases.open_steps(TENANT, job_id, 1)
        assert leases.open_steps(TENANT, job_id, 0) == []


class TestPostponing:
    def test_gives_each_when_its_time_has_come(self, leases, step):
        """
        A postponed attempt is due after its delay, once.
        """
        leases.postpone(step, 0.2)
        assert ([], {step.name}) == (list(leases.due()), leases.postponed())
        time.sleep(0.25)

        assert [step] == list(leases.due())
        assert ([], set()) == (list(leases.due()), leases.postponed())


class TestProgress:
    def test_adds_up_over_the_stage(self, leases, fan):
        """
        A stage's progress is the sum over its steps: what was told, plus a step of the largest
        size for each that is silent; those that ended without a word count as done.
        """
        for step in fan:
            leases.claim(step)

        assert counts(leases.progress(fan[0], "making", 4, 10)) == (4, 30)
        assert counts(leases.progress(fan[1], "making", 2, 10)) == (6, 30)
        assert counts(leases.progress(fan[0], "making", 9, 10)) == (11, 30)
        leases.complete(fan[0], 1)  # One unit was never told.
        assert counts(leases.progress(fan[1], "making", 3, 10)) == (13, 30)
        leases.complete(fan[2], 1)  # Nothing was ever told.

        assert counts(leases.progress(fan[1], "making", 10, 10)) == (30, 30)

    def test_forgets_what_an_earlier_attempt_did(self, leases, step):
        """
        A step that is tried again begins again.
        """
        leases.claim(step)
        leases.progress(step, "making", 9, 10)
        leases.give_back(step, fault=True)
        leases.claim(step.again(2))

        assert counts(leases.progress(step.again(2), "making", 1, 10)) == (1, 10)

    def test_measures_from_the_phases_beginning(self, leases, step):
        """
        Time and units are counted from when the phase was first heard of.
        """
        leases.claim(step)
        leases.progress(step, "loading", 1, 1)
        begun = leases.progress(step, "making", 5, 100)
        time.sleep(0.2)
        now = leases.progress(step, "making", 25, 100)

        assert (begun.begun_at, begun.seconds) == (5, 0.0)
        assert now.begun_at == 5
        assert 0.2 <= now.seconds < 2

    def test_is_not_told_by_losers(self, leases, step):
        """
        An old attempt's progress is not taken.
        """
        leases.claim(step)
        leases.give_back(step, fault=True)
        assert leases.progress(step, "making", 5, 10) is None

        leases.claim(step.again(2))
        assert leases.progress(step, "making", 5, 10) is None


def counts(progress) -> tuple[int, int]:
    """
    What a bar would show.
    """
    return progress.done, progress.total

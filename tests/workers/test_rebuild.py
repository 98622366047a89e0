"""After Redis lost everything, or a little: nothing that was promised is lost."""

import json

import pytest
from fakes import FakeClock, FakeQueue, FakeStore
from support.system import TENANT, System

from workers import redis_names as names
from workers.errors import LeaseLost
from workers.jobs import JobError, JobKind, JobState
from workers.reaper import Reaper
from workers.rebuild import rebuild, rebuild_if_needed

BAD = JobError(code="bad_input", message="the input is bad")


@pytest.fixture
def system(redis):
    return System.of(redis, FakeStore(), FakeQueue(), FakeClock())


@pytest.fixture
def reaper(system):
    return Reaper(system.orchestrator, system.queue, lease_seconds=60)


def empty(system, redis) -> None:
    """
    Redis loses everything, its queues too.
    """
    redis.flushall()
    system.queue = FakeQueue()


def forget(system, redis) -> System:
    """
    The same parts over a Redis that has lost everything, its queues too.
    """
    redis.flushall()
    return System.of(redis, system.store, FakeQueue(), FakeClock())


def rounds(system) -> None:
    """
    What a reaper does that has just been started.
    """
    reaper = Reaper(system.orchestrator, system.queue, lease_seconds=60)
    for _ in range(6):
        reaper.round()


class TestEmptiedRedis:
    def test_finds_every_job_again(self, system, redis):
        """
        Jobs of all states come back as they were; the unfinished ones are queued and succeed.
        """
        succeeded = system.submit()
        system.run_all()
        failed = system.submit()
        system.orchestrator.step_failed(system.claim(), BAD)
        cancelled = system.submit()
        system.orchestrator.cancel(TENANT, cancelled.id)
        running = system.submit(JobKind.TRAIN)
        system.claim(next_of(system, running))
        queued = system.submit(JobKind.INVERT)
        records = [succeeded, failed, cancelled, running, queued]
        order = [record.id for record in system.jobs.list(TENANT, 10)[0]]
        system = forget(system, redis)

        rounds(system)

        assert order == [record.id for record in system.jobs.list(TENANT, 10)[0]]
        assert [system.get(record).state for record in records] == [
            JobState.SUCCEEDED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.QUEUED,
            JobState.QUEUED,
        ]
        assert system.get(failed).error == BAD
        system.run_all()
        assert {JobState.SUCCEEDED} == {system.get(r).state for r in (running, queued)}

    def test_jobs_behind_others_still_wait(self, system, redis):
        """
        What a job waits for is known again.
        """
        parent = system.submit()
        child = system.submit(JobKind.TRAIN, after=[parent.id])
        system = forget(system, redis)

        rounds(system)

        assert system.queue.depths() == {"cpu": 1, "compute": 0}
        system.run_all()
        assert JobState.SUCCEEDED is system.get(child).state

    def test_cancelled_jobs_stay_cancelled(self, system, redis):
        """
        A job that was to be cancelled, and whose worker had not stopped yet, is cancelled.
        """
        record = system.submit()
        system.claim()
        system.orchestrator.cancel(TENANT, record.id)
        system = forget(system, redis)

        rounds(system)

        assert JobState.CANCELLED is system.get(record).state
        assert system.queue.take_any() is None
        assert (
            json.loads(system.store.get(f"{TENANT}/jobs/{record.id}/end.json"))["state"]
            == "cancelled"
        )

    def test_workers_of_the_life_before_count_for_nothing(self, system, redis):
        """
        A worker that still runs a step from before cannot complete it, and the attempts of this
        life have numbers that it never had.
        """
        record = system.submit()
        old = system.claim()
        system = forget(system, redis)
        rounds(system)

        with pytest.raises(LeaseLost):
            system.orchestrator.step_done(old, None)
        assert system.claim().attempt > 1000
        assert JobState.RUNNING is system.get(record).state

    def test_one_broken_document_stops_nothing(self, system, redis):
        """
        A job whose document cannot be read is left out; all others come back.
        """
        broken, whole = system.submit(), system.submit()
        system.store.put(f"{TENANT}/jobs/{broken.id}/spec.json", b"{}")
        system.store.put(f"{TENANT}/jobs/notes.txt", b"not ours")
        system = forget(system, redis)

        rounds(system)

        assert [whole.id] == [record.id for record in system.jobs.list(TENANT, 5)[0]]


class TestALittleLost:
    def test_ends_what_the_bucket_knows_ended(self, system, redis):
        """
        A Redis that came back with yesterday's file takes a job for running that has ended: it
        ends as the bucket says, and what waits for it begins.
        """
        parent = system.submit()
        child = system.submit(JobKind.TRAIN, after=[parent.id])
        running = system.get(parent).step(JobState.RUNNING, parent.created_at)
        system.jobs.documents.close(running.step(JobState.SUCCEEDED, parent.created_at))

        rebuild(system.orchestrator)

        assert JobState.SUCCEEDED is system.get(parent).state
        assert child.id == next_of(system, child).job_id

    def test_enters_what_redis_never_heard_of(self, system, redis):
        """
        A job of the last second, that only the bucket knows, is entered.
        """
        kept, lost = system.submit(), system.submit()
        redis.delete(names.job(TENANT, lost.id))
        redis.srem(names.LIVING, f"{TENANT}/{lost.id}")
        version = system.get(kept).version

        rebuild(system.orchestrator)

        assert {(TENANT, kept.id), (TENANT, lost.id)} == set(system.jobs.records.living())
        assert version == system.get(kept).version

    def test_a_job_whose_step_was_just_beginning_goes_on(self, system, redis):
        """
        A worker that had claimed a step when Redis was emptied finds the job again and shows it
        as running; its claim is gone, and the job begins anew all the same.
        """
        record = system.submit()
        step = system.claim()
        system = forget(system, redis)
        system.orchestrator.step_begun(step)
        assert system.get(record).state is JobState.RUNNING

        rounds(system)

        assert system.get(record).error.code == "queue_lost"
        system.run_all()
        assert system.get(record).state is JobState.SUCCEEDED


class TestOnce:
    def test_compares_once_in_a_life_of_redis(self, system, redis):
        """
        Redis is compared with the bucket when it was emptied and when it was started anew, not
        otherwise.
        """
        assert rebuild_if_needed(system.orchestrator)
        assert not rebuild_if_needed(system.orchestrator)
        redis.flushall()
        assert rebuild_if_needed(system.orchestrator)
        redis.set(names.REBUILT, "of another server")
        assert rebuild_if_needed(system.orchestrator)

    def test_is_done_by_the_reaper(self, system, redis, reaper):
        """
        The reaper's first round brings back what Redis has forgotten.
        """
        record = system.submit()
        empty(system, redis)

        reaper.round()

        assert [(TENANT, record.id)] == system.jobs.records.living()


def next_of(system, record):
    """
    The queued step of one job.
    """
    found = [s for queue in system.queue.entries.values() for s in queue if s.job_id == record.id]
    return found[0]

import asyncio
import time
from datetime import UTC, datetime

import pytest

from service.watch import JobWatch
from workers.errors import NotFound
from workers.job_store import JobStore
from workers.jobs import JobKind, JobRecord, JobState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def jobs(redis, store):
    return JobStore(redis, store)


@pytest.fixture
def job(jobs):
    """
    A queued job.
    """
    return jobs.create(
        JobRecord(
            id="job_1",
            tenant="t",
            kind=JobKind.REGISTER,
            resource=("generators", "gen_1"),
            created_at=NOON,
            changed_at=NOON,
        )
    )


@pytest.fixture
def watched(redis_url, jobs):
    """
    Runs what is to be done with a watch, and closes it.
    """

    def run(body):
        async def whole():
            watch = JobWatch(redis_url, jobs)
            try:
                return await body(watch)
            finally:
                await watch.close()

        return asyncio.run(whole())

    return run


def step(jobs, state):
    """
    Let the job take a step.
    """
    return jobs.change("t", "job_1", lambda record: record.step(state, NOON))


def test_snapshots_tell_each_change_until_the_end(watched, jobs, job):
    """
    A listener that keeps up hears of every state in order; the job's end is the end.
    """
    steps = [JobState.RUNNING, JobState.QUEUED, JobState.RUNNING, JobState.FAILED]

    async def listen(watch):
        heard, ahead = [], list(steps)
        async for record in watch.snapshots(job):
            heard.append(record.state)
            if ahead:
                await asyncio.to_thread(step, jobs, ahead.pop(0))
        return heard

    assert [JobState.QUEUED, *steps] == watched(listen)


def test_until_returns_what_is_already_so(watched, job):
    """
    Where there is nothing to wait for, nobody waits and nothing is asked.
    """
    assert job is watched(lambda watch: watch.until(job, lambda _: True, 60))


def test_until_is_told_and_does_not_poll(watched, jobs, job):
    """
    A change is heard of at once, long before anybody would look by himself.
    """

    async def wait(watch):
        waiting = asyncio.create_task(
            watch.until(job, lambda record: record.state is JobState.RUNNING, 60)
        )
        await asyncio.sleep(0.5)
        started = time.monotonic()
        await asyncio.to_thread(step, jobs, JobState.RUNNING)
        return await waiting, time.monotonic() - started

    record, seconds = watched(wait)

    assert record.state == JobState.RUNNING
    assert seconds < 3


def test_until_gives_up_in_time(watched, job):
    """
    When the time is up the job is given as it stands.
    """
    started = time.monotonic()
    record = watched(lambda watch: watch.until(job, lambda _: False, 0.3))

    assert job == record
    assert time.monotonic() - started >= 0.3


def test_a_job_that_vanishes_is_an_error(watched, jobs, job, redis, store):
    """
    Who waits for a job that neither Redis nor the bucket knows any more is told so.
    """

    async def wait(watch):
        redis.flushall()
        for info in list(store.list("")):
            store.delete(info.key)
        await watch.until(job, lambda _: False, 60)

    with pytest.raises(NotFound, match="job_1"):
        watched(wait)


def test_nobody_is_remembered(watched, job):
    """
    Those who have stopped waiting leave nothing behind.
    """

    async def wait(watch):
        await asyncio.gather(*(watch.until(job, lambda _: False, 0.1) for _ in range(5)))
        return dict(watch._waiting)

    assert watched(wait) == {}

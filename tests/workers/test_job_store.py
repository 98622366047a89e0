"""The records of jobs: durable first, changed one at a time, found again after Redis forgot."""

import json
import threading
from datetime import timedelta
from itertools import product

import pytest
from fakes import FakeClock, FakeStore
from support.waiting import until

from workers import redis_names as names
from workers.clock import utc_now
from workers.errors import IllegalTransition, NotFound, QueueUnavailable, StorageUnavailable
from workers.job_store import JobStore
from workers.jobs import NEXT, JobError, JobKind, JobRecord, JobState, Progress
from workers.redis_client import connect

REASON = JobError(code="bad", message="it is bad")


@pytest.fixture
def bucket():
    return FakeStore()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def jobs(redis, bucket, clock):
    """
    A store of jobs over a real Redis.
    """
    return JobStore(redis, bucket, clock)


def job(job_id="job_1", tenant="t", at=None, **fields) -> JobRecord:
    """
    A job as the service makes it.
    """
    at = at or FakeClock()()
    defaults = {"kind": JobKind.INGEST, "resource": ("datasets", "dst_1")}
    return JobRecord(id=job_id, tenant=tenant, created_at=at, changed_at=at, **defaults | fields)


def in_state(jobs, state: JobState) -> JobRecord:
    """
    A stored job that went the shortest way to a state.
    """
    record = jobs.create(job())
    if state in (JobState.RUNNING, JobState.SUCCEEDED):
        record = step(jobs, JobState.RUNNING)
    return record if record.state is state else step(jobs, state)


def step(jobs, state: JobState) -> JobRecord:
    return jobs.change("t", "job_1", lambda r: r.step(state, utc_now()))


class TestCreate:
    def test_is_durable_before_it_is_known(self, jobs, bucket, redis):
        """
        A job whose document cannot be written is not taken up at all.
        """
        bucket.broken = StorageUnavailable("away")

        with pytest.raises(StorageUnavailable):
            jobs.create(job())

        assert redis.keys("handsoff:*") == []

    def test_keeps_the_whole_record(self, jobs):
        """
        What is read is what was written.
        """
        record = job(after=("job_0",))

        assert record == jobs.create(record) == jobs.get("t", "job_1")

    def test_twice_is_once(self, jobs):
        """
        The same id again gives the job that is there, as it stands by now.
        """
        jobs.create(job())
        running = step(jobs, JobState.RUNNING)

        assert running == jobs.create(job(kind=JobKind.TRAIN))
        assert len(jobs.list("t", 10)[0]) == 1

    def test_goes_on_where_it_broke_off(self, jobs, bucket):
        """
        A job that reached the bucket and not Redis is taken up by the next try.
        """
        jobs.documents.open(job())

        created = jobs.create(job())

        assert created.state is JobState.QUEUED
        assert created == jobs.get("t", "job_1")
        assert jobs.records.living() == [("t", "job_1")]


class TestGet:
    @pytest.mark.parametrize(
        "job_id", ["job_2", "", "../x", "job_1/..", "JOB_1", "job_" + "1" * 99]
    )
    def test_names_what_is_not_there(self, jobs, job_id):
        """
        Neither an unknown id nor something that is no id is found, in whatever form it comes.
        """
        jobs.create(job())

        with pytest.raises(NotFound, match="there is no job"):
            jobs.get("t", job_id)

    def test_keeps_tenants_apart(self, jobs):
        """
        Another tenant's job is not there.
        """
        jobs.create(job())

        with pytest.raises(NotFound, match="job_1"):
            jobs.get("u", "job_1")

    def test_takes_one_round_trip(self, jobs, redis):
        """
        Reading a job is one command.
        """
        jobs.create(job())
        before = redis.info("stats")["total_commands_processed"]

        jobs.get("t", "job_1")

        # The second INFO counts itself.
        assert redis.info("stats")["total_commands_processed"] - before == 2


class TestChange:
    @pytest.mark.parametrize(("now", "then"), list(product(JobState, JobState)))
    def test_keeps_to_the_drawing(self, jobs, now, then):
        """
        Stored jobs take the drawn steps and no others; what is refused changes nothing.
        """
        record = in_state(jobs, now)
        if then in NEXT[now]:
            assert then is step(jobs, then).state
            assert then is jobs.get("t", "job_1").state
        else:
            with pytest.raises(IllegalTransition):
                step(jobs, then)
            assert record == jobs.get("t", "job_1")

    def test_loses_no_update(self, redis_url, redis, bucket):
        """
        Four writers that change a job at the same time all have their way, one after the other.
        """
        JobStore(redis, bucket).create(job())

        def work():
            with connect(redis_url) as client:
                mine = JobStore(client, bucket)
                for _ in range(25):
                    mine.change("t", "job_1", lambda r: r.with_changes(NOW, attempt=r.attempt + 1))

        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        record = JobStore(redis, bucket).get("t", "job_1")

        assert (record.attempt, record.version) == (101, 101)

    def test_nothing_is_no_version(self, jobs):
        """
        A change that changes nothing is none.
        """
        jobs.create(job())

        assert jobs.change("t", "job_1", lambda record: record).version == 1

    def test_ended_jobs_stay(self, jobs):
        """
        Nothing of a job that has ended changes, not even its progress.
        """
        ended = in_state(jobs, JobState.FAILED)
        progress = Progress(phase="late")

        with pytest.raises(IllegalTransition, match="is failed; it cannot change"):
            jobs.change("t", "job_1", lambda r: r.with_changes(NOW, progress=progress))

        assert ended == jobs.get("t", "job_1")

    def test_sent_twice_happens_once(self, jobs):
        """
        A swap whose answer was lost is sent again and counts once.
        """
        record = jobs.create(job())
        changed = record.with_changes(NOW, attempt=2)
        script = jobs.records._swap_script
        jobs.records._swap_script = lambda **words: (script(**words), script(**words))[1]

        assert jobs.records.swap(record, changed).name == "DONE"
        assert changed == jobs.get("t", "job_1")


class TestEnd:
    def test_is_durable_before_it_is_known(self, jobs, bucket):
        """
        A job ends in the bucket first: with the bucket away it goes on, and the end can be
        repeated with what was decided then.
        """
        in_state(jobs, JobState.RUNNING)
        bucket.broken = StorageUnavailable("away")
        with pytest.raises(StorageUnavailable):
            jobs.end("t", "job_1", JobState.FAILED, REASON)
        assert jobs.get("t", "job_1").state is JobState.RUNNING
        bucket.broken = None

        ended = jobs.end("t", "job_1", JobState.SUCCEEDED)

        assert (ended.state, ended.error) == (JobState.FAILED, REASON)
        assert ended == JobRecord.model_validate_json(bucket.get("t/jobs/job_1/end.json"))

    def test_the_first_decides(self, redis_url, redis, bucket):
        """
        Of many that end a job in different ways at the same time, one decides for all, and Redis
        and the bucket agree.
        """
        for number in range(10):
            jobs, job_id = JobStore(redis, bucket), f"job_{number}"
            jobs.create(job(job_id, state=JobState.RUNNING))
            found = []

            def work(state, job_id=job_id, found=found):
                with connect(redis_url) as client:
                    found.append(JobStore(client, bucket).end("t", job_id, state).state)

            states = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
            threads = [threading.Thread(target=work, args=(state,)) for state in states]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]

            assert len(found) == 3
            assert {jobs.get("t", job_id).state} == set(found)
            assert found[0] == json.loads(bucket.get(f"t/jobs/{job_id}/end.json"))["state"]

    def test_follows_the_bucket(self, jobs):
        """
        How a job ended in the bucket is how it ended, whatever is asked for later.
        """
        record = in_state(jobs, JobState.RUNNING)
        jobs.documents.close(record.step(JobState.FAILED, NOW, REASON))

        ended = jobs.end("t", "job_1", JobState.SUCCEEDED)

        assert (ended.state, ended.error) == (JobState.FAILED, REASON)

    def test_follows_the_bucket_against_what_was_decided(self, jobs, bucket):
        """
        Where Redis had decided one way and the bucket knows another, the bucket's end counts.
        """
        record = in_state(jobs, JobState.RUNNING)
        bucket.put_if_absent = raising(StorageUnavailable("away"))
        with pytest.raises(StorageUnavailable):
            jobs.end("t", "job_1", JobState.SUCCEEDED)
        del bucket.put_if_absent
        wished = record.with_changes(NOW, cancel_requested_at=NOW)
        jobs.documents.close(wished.step(JobState.CANCELLED, NOW))

        assert JobState.CANCELLED is jobs.end("t", "job_1", JobState.SUCCEEDED).state

    def test_takes_it_off_the_living(self, jobs):
        """
        A job is among the living until it ends.
        """
        in_state(jobs, JobState.RUNNING)
        assert jobs.records.living() == [("t", "job_1")]

        jobs.end("t", "job_1", JobState.FAILED, REASON)

        assert jobs.records.living() == []


class TestRequestCancel:
    def test_is_durable_before_it_is_answered(self, jobs, bucket):
        """
        The wish is in the bucket, then in the record.
        """
        in_state(jobs, JobState.RUNNING)

        record = jobs.request_cancel("t", "job_1")

        assert JobState.RUNNING is record.state
        wished = json.loads(bucket.get("t/jobs/job_1/cancel.json"))["requested_at"]
        assert record.cancel_requested_at.isoformat() == wished

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
    def test_comes_before_every_end(self, jobs, state):
        """
        A job that was to be cancelled ends as cancelled, whatever it would have become.
        """
        in_state(jobs, JobState.RUNNING)
        jobs.request_cancel("t", "job_1")

        assert JobState.CANCELLED is jobs.end("t", "job_1", state).state

    def test_comes_too_late_for_a_decided_end(self, jobs, bucket):
        """
        When it has been decided that a job succeeds, a wish to cancel it finds it succeeded.
        """
        in_state(jobs, JobState.RUNNING)
        bucket.put_if_absent = raising(StorageUnavailable("away"))
        with pytest.raises(StorageUnavailable):
            jobs.end("t", "job_1", JobState.SUCCEEDED)
        del bucket.put_if_absent

        assert JobState.SUCCEEDED is jobs.request_cancel("t", "job_1").state

    def test_leaves_ended_jobs_alone(self, jobs, bucket):
        """
        A job that has ended stays as it is, and nothing is noted.
        """
        ended = in_state(jobs, JobState.SUCCEEDED)

        assert ended == jobs.request_cancel("t", "job_1")
        assert bucket.size("t/jobs/job_1/cancel.json") is None

    def test_keeps_its_first_time(self, jobs):
        """
        A repeated wish changes nothing.
        """
        in_state(jobs, JobState.RUNNING)

        assert jobs.request_cancel("t", "job_1") == jobs.request_cancel("t", "job_1")

    def test_never_ends_as_succeeded(self, redis_url, redis, bucket):
        """
        However a wish to cancel and a success meet: if the wish was noted, the job was cancelled.
        """
        for number in range(20):
            jobs, job_id = JobStore(redis, bucket), f"job_{number}"
            jobs.create(job(job_id, state=JobState.RUNNING))
            start = threading.Barrier(2)

            def succeed(job_id=job_id, start=start):
                with connect(redis_url) as client:
                    start.wait()
                    JobStore(client, bucket).end("t", job_id, JobState.SUCCEEDED)

            thread = threading.Thread(target=succeed)
            thread.start()
            start.wait()
            jobs.request_cancel("t", job_id)
            thread.join()
            record = jobs.get("t", job_id)

            wished = record.cancel_requested_at is not None
            assert (JobState.CANCELLED if wished else JobState.SUCCEEDED) is record.state


class TestList:
    def test_pages_from_new_to_old(self, jobs):
        """
        Pages that follow each other's cursors show every job once, newest first, jobs of the very
        same moment too.
        """
        moments = [NOW + timedelta(seconds=n // 3) for n in range(10)]
        for number, moment in enumerate(moments):
            jobs.create(job(f"job_{number}", at=moment))
        jobs.create(job("job_x", tenant="u"))

        seen, cursor = [], None
        while True:
            page, cursor = jobs.list("t", 4, after=cursor)
            seen += [record.id for record in page]
            if cursor is None:
                break

        assert [f"job_{n}" for n in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)] == seen

    def test_a_full_last_page_has_no_cursor(self, jobs):
        """
        Where nothing follows, no cursor says so.
        """
        for number in range(4):
            jobs.create(job(f"job_{number}"))

        assert jobs.list("t", 4)[1] is None
        assert jobs.list("t", 3)[1] is not None

    def test_filters(self, jobs):
        """
        Only jobs of the asked state and kind count towards a page, over more than one read.
        """
        for number in range(450):
            kind = JobKind.TRAIN if number % 100 == 0 else JobKind.INGEST
            jobs.create(job(f"job_{number}", at=NOW + timedelta(seconds=number), kind=kind))
        jobs.end("t", "job_200", JobState.FAILED, REASON)

        first, cursor = jobs.list("t", 3, kind=JobKind.TRAIN)
        second, end = jobs.list("t", 3, kind=JobKind.TRAIN, after=cursor)
        failed, _ = jobs.list("t", 3, state=JobState.FAILED)

        assert [record.id for record in first] == ["job_400", "job_300", "job_200"]
        assert ([record.id for record in second], end) == (["job_100", "job_0"], None)
        assert [record.id for record in failed] == ["job_200"]

    @pytest.mark.parametrize("cursor", ["", "x", "é", "bm9uc2Vuc2U=", "KzE=", "[", "a" * 1000])
    def test_refuses_what_is_no_cursor(self, jobs, cursor):
        """
        A cursor that we did not make is refused by name.
        """
        with pytest.raises(ValueError, match="is no cursor of this list"):
            jobs.list("t", 3, after=cursor)


class TestTelling:
    def test_changes_are_told_to_whoever_listens(self, jobs, redis):
        """
        Each change's version goes to the job's channel after the record can be read.
        """
        jobs.create(job())
        jobs.create(job("job_2"))
        with redis.pubsub(ignore_subscribe_messages=True) as listener:
            listener.subscribe(names.changes("t", "job_1"))
            until(lambda: listener.get_message() is None)
            step(jobs, JobState.RUNNING)
            jobs.request_cancel("t", "job_2")
            jobs.end("t", "job_1", JobState.FAILED, REASON)

            told = [until(lambda: listener.get_message(timeout=1))["data"] for _ in range(2)]
            assert listener.get_message(timeout=0.05) is None

        assert told == ["2", "3"]


class TestForgotten:
    def test_ended_jobs_come_back_as_they_ended(self, jobs, redis):
        """
        An emptied Redis does not change how a job ended; its version is new, so that nobody takes
        an older answer for it.
        """
        ended = in_state(jobs, JobState.FAILED)
        redis.flushall()

        found = jobs.get("t", "job_1")

        assert ended == found.model_copy(update={"version": ended.version})
        assert found.version > ended.version + 1000
        assert [found] == jobs.list("t", 5)[0]
        assert jobs.records.living() == []

    def test_unfinished_jobs_come_back_queued(self, jobs, redis):
        """
        A job that ran is queued again, with versions and attempts that nobody has seen.
        """
        running = in_state(jobs, JobState.RUNNING)
        redis.flushall()

        found = jobs.get("t", "job_1")

        assert JobState.QUEUED is found.state
        assert found.version > running.version + 1000
        assert redis.hget(names.job("t", "job_1"), "base") == "1000"
        assert jobs.records.living() == [("t", "job_1")]

    def test_each_time_begins_another_life(self, jobs, redis):
        """
        Forgotten twice, a job's attempts begin still higher.
        """
        jobs.create(job())
        for _ in range(2):
            redis.flushall()
            jobs.get("t", "job_1")

        assert redis.hget(names.job("t", "job_1"), "base") == "2000"

    def test_wishes_to_cancel_come_back(self, jobs, redis):
        """
        A job that was to be cancelled is still to be, since the same time.
        """
        in_state(jobs, JobState.RUNNING)
        wished = jobs.request_cancel("t", "job_1").cancel_requested_at
        redis.flushall()

        assert wished == jobs.get("t", "job_1").cancel_requested_at
        assert JobState.CANCELLED is jobs.end("t", "job_1", JobState.FAILED).state

    def test_changes_find_it_too(self, jobs, redis):
        """
        A change of a forgotten job brings it back first.
        """
        jobs.create(job())
        redis.flushall()

        assert JobState.RUNNING is step(jobs, JobState.RUNNING).state


class TestRedisAway:
    def test_is_said_in_our_words(self, bucket, tmp_path):
        """
        Without Redis every method says so; nothing is taken for missing.
        """
        with connect(f"unix://{tmp_path}/none.sock", retries=0) as client:
            jobs = JobStore(client, bucket)
            uses = [
                lambda: jobs.get("t", "job_1"),
                lambda: jobs.create(job()),
                lambda: jobs.list("t", 5),
                lambda: jobs.records.living(),
            ]
            for use in uses:
                with pytest.raises(QueueUnavailable, match="Redis cannot be reached"):
                    use()


NOW = FakeClock()()


def raising(error):
    """
    A function that only raises.
    """

    def fail(*_):
        raise error

    return fail

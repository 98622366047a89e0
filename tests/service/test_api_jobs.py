import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from support.api import problem
from support.waiting import until

from service.routes.jobs import seconds_to_next_look
from workers.jobs import JobKind, JobRecord, JobState, Progress

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def generator(api):
    """
    A generator that is being registered.
    """
    return api.generator()


@pytest.fixture
def path(generator):
    """
    Where its job is.
    """
    return f"/v1/jobs/job_{generator.partition('_')[2]}"


def record(age, **changes):
    """
    A job that was made so many seconds before noon.
    """
    made = NOON - timedelta(seconds=age)
    return JobRecord(
        id="job_1",
        tenant="t",
        kind=JobKind.REGISTER,
        resource=("generators", "gen_1"),
        created_at=made,
        changed_at=made,
        **changes,
    )


def events(answer):
    """
    The server-sent events of an answer: (id, job).
    """
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    assert {"job"} >= {field["event"] for field in fields}
    return [(field["id"], json.loads(field["data"])) for field in fields]


class TestReading:
    def test_tells_how_far_it_is(self, api, generator, path):
        """
        The record, where its resource is, and how to follow or cancel it.
        """
        answer = api.get(path)

        body = answer.json()
        assert (
            answer.status_code,
            body["kind"],
            body["state"],
            body["attempt"],
        ) == (200, "register", "queued", 1)
        assert {
            "self": path,
            "resource": f"/v1/generators/{generator}",
            "events": f"{path}/events",
            "cancel": f"{path}/cancel",
        } == body["links"]
        assert f'"{body["version"]}"' == answer.headers["etag"]
        assert answer.headers["retry-after"] == "2"

    def test_says_nothing_new_in_no_bytes(self, api, generator, path):
        """
        An unchanged job is a 304; any change makes another ETag.
        """
        etag = api.get(path).headers["etag"]
        unchanged = api.get(path, headers={"If-None-Match": etag})
        api.run(generator)
        changed = api.get(path, headers={"If-None-Match": etag})

        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert (changed.status_code, changed.json()["state"]) == (200, "running")

    def test_an_ended_job_asks_for_no_more_looks(self, api, generator, path):
        """
        Once it has ended there is nothing to come back for, and nothing to cancel.
        """
        api.finish("generators", generator)

        answer = api.get(path)

        assert "retry-after" not in answer.headers
        assert "cancel" not in answer.json()["links"]

    def test_outlives_redis(self, api, generator, path, redis):
        """
        With Redis emptied the record comes from the bucket.
        """
        api.finish("generators", generator)
        redis.flushall()

        assert api.get(path).json()["state"] == "succeeded"

    @pytest.mark.parametrize(
        ("age", "eta", "seconds"),
        [
            (0, None, 2),
            (100, None, 10),
            (9999, None, 15),
            (9999, 3.2, 3),
            (100, 999, 10),
            (5, 0, 2),
        ],
    )
    def test_the_next_look_is_worth_its_while(self, age, eta, seconds):
        """
        Young jobs are looked at often, old ones rarely, unless their end is near.
        """
        progress = None if eta is None else Progress(phase="x", eta_seconds=eta)

        assert seconds == seconds_to_next_look(record(age, progress=progress), NOON)


class TestWaiting:
    def test_answers_at_the_next_change(self, api, generator, path):
        """
        A long poll against the ETag that is known returns when that changes.
        """
        etag = api.get(path).headers["etag"]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(api.get, f"{path}?wait=20", headers={"If-None-Match": etag})
            time.sleep(0.2)
            assert not waiting.done()
            started = time.monotonic()
            api.run(generator)
            answer = waiting.result(10)

        assert answer.json()["state"] == "running"
        assert time.monotonic() - started < 15

    def test_without_an_etag_answers_at_the_end(self, api, generator, path):
        """
        A long poll that knows nothing waits for the job's end.
        """
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(api.get, f"{path}?wait=20")
            api.run(generator)
            time.sleep(0.2)
            assert not waiting.done()
            api.step(generator, JobState.CANCELLED)
            answer = waiting.result(10)

        assert answer.json()["state"] == "cancelled"

    def test_gives_up_in_time(self, api, path):
        """
        Where nothing changes the answer is 304 after the time that was given.
        """
        etag = api.get(path).headers["etag"]
        started = time.monotonic()

        answer = api.get(f"{path}?wait=0.3", headers={"If-None-Match": etag})

        assert answer.status_code == 304
        assert 0.3 <= time.monotonic() - started < 2

    def test_many_may_wait_while_others_are_served(self, api, generator, path):
        """
        Waiting holds no thread: a hundred long polls do not keep a plain request waiting.
        """
        with ThreadPoolExecutor(100) as pool:
            waiting = [pool.submit(api.get, f"{path}?wait=30") for _ in range(100)]
            time.sleep(0.5)
            started = time.monotonic()
            assert api.get("/v1/generators").status_code == 200
            seconds = time.monotonic() - started
            api.step(generator, JobState.CANCELLED)
            states = {answer.result(20).json()["state"] for answer in waiting}

        assert seconds < 15
        assert {"cancelled"} == states

    @pytest.mark.parametrize("wait", ["-1", "61", "soon"])
    def test_has_bounds(self, api, path, wait):
        """
        A wait that no proxy would sit out is refused.
        """
        told = problem(api.get(f"{path}?wait={wait}"), 422, "invalid_request")

        assert (told["errors"][0]["pointer"], told["errors"][0]["in"]) == ("/wait", "query")


class TestEvents:
    def test_of_an_ended_job_are_its_end(self, api, generator, path):
        """
        The stream begins with the job as it stands; where that is its end, it ends too.
        """
        api.finish("generators", generator)

        answer = api.get(f"{path}/events")

        assert answer.headers["content-type"].startswith("text/event-stream")
        ((_, job),) = events(answer)
        assert api.get(path).json() == job

    def test_begin_with_the_present_and_end_with_the_end(self, api, generator, path):
        """
        Whoever listens hears how the job stands, then of its changes until there are no more.
        """
        with ThreadPoolExecutor(1) as pool:
            listening = pool.submit(api.get, f"{path}/events")
            until(lambda: api.services.watch._waiting)
            api.run(generator)
            api.step(generator, JobState.FAILED)
            heard = events(listening.result(20))

        states = [job["state"] for _, job in heard]
        assert (states[0], states[-1]) == ("queued", "failed")
        assert [number for number, _ in heard] == [str(job["version"]) for _, job in heard]

    def test_that_were_seen_are_not_sent_again(self, api, generator, path):
        """
        A browser that reconnects after the end is told to stop.
        """
        api.finish("generators", generator)
        ((last, _),) = events(api.get(f"{path}/events"))

        answer = api.get(f"{path}/events", headers={"Last-Event-ID": last})

        assert (answer.status_code, answer.content) == (204, b"")

    def test_of_an_unknown_job_are_a_problem(self, api):
        """
        The stream does not begin before the job was found.
        """
        problem(api.get("/v1/jobs/job_none/events"), 404, "not_found")


class TestCancelling:
    def test_a_queued_job_ends_at_once(self, api, generator, path):
        """
        Nothing of it runs, so it is cancelled when the answer comes; its resource too.
        """
        answer = api.post(f"{path}/cancel")

        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        assert api.get(f"/v1/generators/{generator}").json()["state"] == "cancelled"

    def test_a_running_job_is_asked_to_stop(self, api, generator, path):
        """
        The wish is noted; asking twice is harmless.
        """
        api.run(generator)

        for _ in range(2):
            answer = api.post(f"{path}/cancel")
            assert answer.status_code == 202
            assert answer.json()["cancel_requested_at"]

    def test_an_ended_job_is_left_alone(self, api, generator, path):
        """
        What has succeeded cannot be cancelled any more.
        """
        api.finish("generators", generator)

        told = problem(api.post(f"{path}/cancel"), 409, "job_ended")

        assert "has succeeded" in told["detail"]

    def test_an_unknown_job_is_named(self, api):
        """
        The refusal names the job.
        """
        told = problem(api.post("/v1/jobs/job_none/cancel"), 404, "not_found")

        assert "job_none" in told["detail"]


class TestListing:
    def test_by_state_and_kind(self, api):
        """
        Filters may be combined; the newest job comes first.
        """
        generators = [api.generator() for _ in range(3)]
        dataset = api.dataset()
        api.run(generators[1])

        def resources(query):
            data = api.get(f"/v1/jobs?{query}").json()["data"]
            return [job["resource"][1] for job in data]

        assert [dataset, *generators[::-1]] == resources("")
        assert generators[::-1] == resources("kind=register")
        assert [generators[1]] == resources("state=running")
        assert [generators[2], generators[0]] == resources("state=queued&kind=register")

    def test_in_pages(self, api):
        """
        Following the Link header shows each job once.
        """
        generators = [api.generator() for _ in range(5)]
        path, found = "/v1/jobs?limit=2&kind=register", []
        while path:
            answer = api.get(path)
            found += [job["resource"][1] for job in answer.json()["data"]]
            path = answer.links.get("next", {}).get("url")

        assert generators[::-1] == found

    @pytest.mark.parametrize("query", ["state=lost", "kind=magic", "after=x"])
    def test_wrong_filters_are_named(self, api, query):
        """
        A word that is no state, no kind or no cursor is refused.
        """
        told = problem(api.get(f"/v1/jobs?{query}"), 422, "invalid_request")

        assert f"/{query.partition('=')[0]}" == told["errors"][0]["pointer"]

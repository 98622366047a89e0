import itertools

import httpx
import pytest
from support.fake_service import FakeService, body, job, problem

from service.client import (
    Client,
    ConnectionFailed,
    JobCancelled,
    JobFailed,
    Misused,
    Resource,
    Timeout,
)

GENERATION = {"id": "gnn_1", "state": "pending", "job": {"id": "job_1", "state": "queued"}}
REFUSED = httpx.ConnectError("Connection refused")


@pytest.fixture
def service():
    """
    A service without routes.
    """
    return FakeService()


@pytest.fixture
def pauses():
    """
    How long the client paused, each time.
    """
    return []


@pytest.fixture
def client(service, pauses):
    """
    A client of that service, which does not really sleep.
    """
    with Client("http://handsoff.test", api_key="secret", transport=service) as client:
        client.transport.sleep = pauses.append
        yield client


class TestWaiting:
    def test_tells_every_change_and_returns_the_end(self, client, service):
        """
        The service is asked to answer at the next change; an answer without news is not told.
        """
        halfway = {"phase": "generating", "done": 5, "total": 10}
        service.on(
            "GET",
            "/v1/jobs/job_1",
            job("queued", 1),
            httpx.Response(304, headers={"ETag": '"1"'}),
            job("running", 2, progress=halfway),
            job("succeeded", 3),
        )
        told = []

        ended = client.wait("job_1", told.append)

        assert ended.state == "succeeded"
        assert [seen.state for seen in told] == ["queued", "running", "succeeded"]
        assert told[1].progress.done == 5
        asked = [request.headers.get("If-None-Match") for request in service.seen]
        assert asked == [None, '"1"', '"1"', '"2"']
        assert service.seen[1].url.params["wait"] == "20"

    def test_a_resource_is_returned_ready(self, client, service):
        """
        Waiting for a resource waits for its job and returns the resource with its result.
        """
        service.on("GET", "/v1/jobs/job_1", job("succeeded"))
        ready = {**GENERATION, "state": "ready", "result": {"samples": 5}}
        service.on("GET", "/v1/generations/gnn_1", body(ready))

        generation = client.wait(Resource.model_validate(GENERATION))

        assert generation.result == {"samples": 5}

    def test_an_open_dataset_cannot_be_waited_for(self, client):
        """
        Nothing makes a dataset ready before it is sealed, and the error says so.
        """
        with pytest.raises(Misused, match="seal it first"):
            client.wait(Resource(id="dst_1", state="open"))

    def test_a_failed_job_raises_its_reason(self, client, service):
        """
        The error carries the job, its code and its message.
        """
        reason = {"code": "invalid_dataset", "message": "b.png is no image"}
        service.on("GET", "/v1/jobs/job_1", job("failed", error=reason))

        with pytest.raises(JobFailed, match=r"b\.png is no image") as caught:
            client.wait("job_1")

        assert caught.value.code == "invalid_dataset"

    def test_a_cancelled_job_raises(self, client, service):
        """
        Whoever waits for a job learns that somebody cancelled it.
        """
        service.on("GET", "/v1/jobs/job_1", job("cancelled"))

        with pytest.raises(JobCancelled, match="job_1 was cancelled"):
            client.wait("job_1")

    def test_patience_has_an_end(self, client, service):
        """
        After the timeout the error says that the job goes on, and how to find it.
        """
        service.on("GET", "/v1/jobs/job_1", job("running"), httpx.Response(304))
        ticks = itertools.count(step=7)
        client.jobs.clock = lambda: next(ticks)

        with pytest.raises(Timeout, match="still running after 30 s") as caught:
            client.wait("job_1", timeout=30)

        assert "handsoff jobs watch job_1" in caught.value.remedy

    def test_a_restart_of_the_service_is_sat_out(self, client, service):
        """
        A service that is away for less than a minute does not end the waiting.
        """
        gone = [REFUSED] * 9 + [problem(503, "queue_unavailable", "Redis does not answer")] * 4
        service.on("GET", "/v1/jobs/job_1", job("running"), *gone, job("succeeded", 2))

        assert client.wait("job_1").state == "succeeded"

    def test_a_service_that_stays_away_ends_the_waiting(self, client, service):
        """
        After a minute without an answer the waiting ends, with the reason.
        """
        service.on("GET", "/v1/jobs/job_1", job("running"), REFUSED)
        ticks = itertools.count(step=7)
        client.jobs.clock = lambda: next(ticks)

        with pytest.raises(ConnectionFailed):
            client.wait("job_1")

    def test_cancelling_asks_the_service(self, client, service):
        """
        Cancelling is a request; the job as it then stands comes back.
        """
        service.on("POST", "/v1/jobs/job_1/cancel", job("running"))

        assert client.jobs.cancel("job_1").state == "running"

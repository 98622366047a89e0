"""From a request to the lines about its job, through every process."""

import json

import pytest
from support.system import Processes

from workers.jobs import JobState


@pytest.fixture
def processes(redis_url, tmp_path):
    processes = Processes(redis_url, tmp_path)
    yield processes
    print(processes.log())  # noqa: T201


def test_a_request_can_be_followed_into_the_worker(api, processes):
    """
    The id that a client gave its request is in every line that the worker writes about the job.
    """
    upload = api.upload()
    sent = {"X-Request-ID": "from-afar"}
    made = api.post("/v1/generators", {"upload_id": upload}, headers=sent).json()
    with processes.worker("compute", "--burst", log_format="json") as child:
        child.wait(60)

    lines = [json.loads(line) for line in processes.log().splitlines()]
    events = [line["event"] for line in lines if line.get("request_id") == "from-afar"]
    assert events == ["step begins", "step ends"]
    job = api.services.jobs.get("default", made["job"]["id"])
    assert (job.state, job.origin.request_id) == (JobState.SUCCEEDED, "from-afar")


def test_a_repeated_request_changes_nothing(api):
    """
    The job remains that of the request that was first.
    """
    body = {"upload_id": api.upload()}
    for request in ("first", "second"):
        headers = {"Idempotency-Key": "k", "X-Request-ID": request}
        made = api.post("/v1/generators", body, headers=headers).json()

    assert api.services.jobs.get("default", made["job"]["id"]).origin.request_id == "first"

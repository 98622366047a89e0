"""What Prometheus is told of the whole deployment."""

import re

import pytest
from fakes import FakeStore
from support.api import parts_on, serve

from service.door import AuthMode
from service.services import connect_services
from workers.errors import StorageUnavailable
from workers.flows import QueueName
from workers.jobs import JobError, JobRecord, JobState
from workers.measures import Measures
from workers.presence import Device, new_name, present
from workers.steps import StepRef


def value(text: str, name: str) -> float:
    """
    The value of one series.
    """
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


@pytest.fixture
def running(api) -> JobRecord:
    """
    A generator's job, whose step a worker holds.
    """
    generator = api.generator()
    job = f"job_{generator.partition('_')[2]}"
    step = StepRef("default", job, 0, 0, 1).held_by("w")
    assert api.services.orchestrator.leases.claim(step) == "claimed"
    return api.services.orchestrator.step_begun(step)


def test_the_oldest_step_s_age_is_told(api):
    """
    By queue; an empty one has no age.
    """
    api.generator()

    text = api.get("/metrics").text

    assert 0 < value(text, 'handsoff_queue_oldest_seconds{queue="compute"}') < 60
    assert value(text, 'handsoff_queue_oldest_seconds{queue="cpu"}') == 0


def test_what_runs_is_told(api, running):
    """
    Steps by queue and task, unfinished jobs, and how many units a second they make.
    """
    from workers.jobs import Progress

    told = Progress(phase="reading", done=3, total=9, unit="images", rate=2.5)
    api.services.jobs.change(
        "default", running.id, lambda r: r.with_changes(r.changed_at, progress=told)
    )

    text = api.get("/metrics").text

    assert value(text, 'handsoff_running_steps{queue="compute",task="register"}') == 1
    assert value(text, 'handsoff_rate{kind="register",unit="images"}') == 2.5
    assert value(text, "handsoff_jobs_unfinished") == 1


def test_what_ended_is_summed_up(api, running):
    """
    Steps with their seconds and units, jobs by the code of their error: from all processes.
    """
    measures = Measures(api.services.redis)
    for _ in range(2):
        measures.step_ended("generate", "done", 1.5, 100, "images")
    failed = running.step(
        JobState.FAILED, running.changed_at, JobError(code="bad_file", message="bad")
    )
    measures.job_ended(failed)

    text = api.get("/metrics").text

    labels = 'outcome="done",task="generate"'
    assert value(text, f"handsoff_steps_total{{{labels}}}") == 2
    assert value(text, f"handsoff_step_seconds_total{{{labels}}}") == 3
    assert value(text, 'handsoff_units_total{task="generate",unit="images"}') == 200
    labels = 'code="bad_file",kind="register",state="failed"'
    assert value(text, f"handsoff_jobs_ended_total{{{labels}}}") == 1


def test_processes_and_their_gpus_are_told(api):
    """
    Memory of a GPU where there is one; queues that nobody listens to as 0.
    """
    gpu = Device(name="Some GPU", used_bytes=3, total_bytes=80)
    present(api.services.redis, QueueName.COMPUTE, new_name(), lambda: gpu).act()

    text = api.get("/metrics").text

    assert value(text, 'handsoff_processes{role="compute"}') == 1
    assert value(text, 'handsoff_processes{role="cpu"}') == 0
    used = re.findall(r'handsoff_gpu_used_bytes\{device="Some GPU",.*\} 3.0', text)
    assert len(used) == 1


def test_latencies_are_told(api):
    """
    Of a ping of Redis and of the store's check.
    """
    text = api.get("/metrics").text

    assert 0 < value(text, "handsoff_redis_seconds") < 5
    assert 0 < value(text, "handsoff_store_seconds") < 5
    assert value(text, "handsoff_store_free_bytes") > 0


def test_a_store_that_is_away_is_told(settings):
    """
    The rest is told all the same, to who needs no key; keys are in the store.
    """
    settings = settings.model_copy(update={"auth": AuthMode.OFF})
    store = FakeStore()
    store.broken = StorageUnavailable("away")
    for api in serve(settings, connect_services(settings, parts_on(settings, store))):
        text = api.get("/metrics").text

        assert value(text, "handsoff_store_up") == 0
        assert value(text, "handsoff_redis_up") == 1


class TestReadiness:
    def announce(self, api, *roles):
        for role in roles:
            present(api.services.redis, role, new_name()).act()

    def test_tells_who_is_there(self, api):
        """
        Without workers jobs wait, and everything else is served: ready, but said so.
        """
        self.announce(api, "cpu", "cpu")
        answer = api.get("/readyz")

        assert answer.status_code == 200
        assert answer.json()["workers"] == {"cpu": 2, "compute": 0}
        assert answer.json()["can_work"] is False

    def test_counts_missing_workers_for_who_asks(self, api):
        """
        A check that wants work to be done names the queue where nobody is.
        """
        self.announce(api, "cpu")
        refused = api.get("/readyz", params={"workers": "required"})
        assert refused.status_code == 503
        assert [e["pointer"] for e in refused.json()["errors"]] == ["/workers/compute"]

        self.announce(api, "compute")

        answer = api.get("/readyz", params={"workers": "required"})
        assert answer.status_code == 200
        assert answer.json()["can_work"] is True

    def test_wants_a_store_that_can_be_written(self, settings):
        """
        One that only answers takes no job.
        """

        class ReadOnly(FakeStore):
            def put(self, key, data, content_type=""):
                raise StorageUnavailable("read only")

        for api in serve(settings, connect_services(settings, parts_on(settings, ReadOnly()))):
            answer = api.get("/readyz")

            assert answer.status_code == 503
            assert [e["pointer"] for e in answer.json()["errors"]] == ["/store"]

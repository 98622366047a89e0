"""Traces lead from a client's request to the steps of its job, where somebody collects them."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
from support.api import serve
from support.collector import collector
from support.system import Processes
from support.waiting import until

from service.services import connect_services
from workers.jobs import JobState
from workers.tracing import NoTraces, open_traces

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_INSTALLED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith('opentelemetry.sdk'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def server():
    with collector() as server:
        yield server


@pytest.fixture
def traced(settings, server):
    """
    The application with a collector, and a client of it.
    """
    settings = settings.model_copy(update={"otel_endpoint": server.url})
    yield from serve(settings, connect_services(settings))


@pytest.fixture
def processes(redis_url, tmp_path):
    processes = Processes(redis_url, tmp_path)
    yield processes
    print(processes.log())  # noqa: T201


def sent(traced, server) -> dict:
    """
    What the service has sent so far, by name.
    """
    traced.services.traces.provider.force_flush()
    return {span.name: span for span in server.spans()}


class TestATrace:
    def test_leads_from_the_client_to_the_worker(self, traced, server, processes):
        """
        Its request's span is below the one that the client named; the job that was accepted, and
        the step that a worker ran, are below the request's. All say whose they are.
        """
        headers = {"traceparent": CLIENT, "X-Request-ID": "req-42"}
        upload = traced.upload()
        made = traced.post("/v1/generators", {"upload_id": upload}, headers=headers).json()
        with processes.worker("compute", "--burst", otel_endpoint=server.url) as child:
            assert child.wait(60) == 0
        traced.services.traces.provider.force_flush()

        spans = [span for span in server.spans() if span.trace == CLIENT.split("-")[1]]
        request, accepted, step = spans
        assert [(span.process, span.name) for span in spans] == [
            ("handsoff-service", "POST /v1/generators"),
            ("handsoff-service", "job accepted"),
            ("handsoff-worker", "step register"),
        ]
        assert [span.parent for span in spans] == [CLIENT.split("-")[2], request.id, request.id]
        assert {span.attributes["handsoff.request_id"] for span in spans} == {"req-42"}
        job = made["job"]["id"]
        assert [span.attributes["handsoff.job"] for span in (accepted, step)] == [job, job]
        assert step.attributes["handsoff.step"] == f"{job}-0-0-a1"
        assert step.attributes["handsoff.outcome"] == "done"

    def test_has_a_span_for_each_shard(self, traced, server, processes):
        """
        A generation's steps are all below the request, each with its shard's number.
        """
        label_generator = traced.label_generator()
        traced.finish("label-generators", label_generator, {"schema_version": 1})
        body = {"label_generator_ids": [label_generator], "count": 3}
        made = traced.post("/v1/generations", body, headers={"traceparent": CLIENT}).json()
        for queue in ("compute", "cpu"):
            with processes.worker(queue, "--burst", otel_endpoint=server.url) as child:
                assert child.wait(60) == 0

        steps = [span for span in server.spans() if span.process == "handsoff-worker"]
        ours = [span for span in steps if span.attributes["handsoff.job"] == made["job"]["id"]]
        shards = [span.attributes.get("handsoff.shard") for span in ours]
        assert {span.trace for span in ours} == {CLIENT.split("-")[1]}
        assert (ours[0].name, ours[-1].name) == ("step plan", "step finalize")
        assert shards == [None, 0, 1, 2, None]

    def test_tells_failures_without_their_words(self, traced, server, processes):
        """
        A step that fails is marked; what its error says stays in the log.
        """
        traced.post("/v1/generators", {"upload_id": traced.upload()})
        place = next(key for key in traced.stored() if key.endswith("/resource.json"))
        document = json.loads(traced.services.store.get(place))
        document["spec"]["do"] = "crash"
        traced.services.store.put(place, json.dumps(document).encode())
        with processes.worker("compute", "--burst", otel_endpoint=server.url) as child:
            assert child.wait(60) == 0

        (step,) = [span for span in server.spans() if span.process == "handsoff-worker"]
        assert (step.is_failure, step.attributes["handsoff.outcome"]) == (True, "failed")
        assert "secret detail" not in str(step)
        assert step.events == 0

    def test_begins_here_where_the_client_named_none(self, traced, server):
        """
        A request without the header, or with nonsense in it, is the first of its trace.
        """
        for number, header in enumerate(({}, {"traceparent": "nonsense"})):
            traced.get(f"/v1/jobs?limit={number + 1}", headers=header)

        request = sent(traced, server)["GET /v1/jobs"]
        assert request.parent == ""
        assert len({span.trace for span in server.spans()}) == 2


class TestRequests:
    def test_keep_their_secrets(self, traced, server):
        """
        No query is sent, and no key that somebody put into a path.
        """
        key = "ho_" + "a" * 12 + "_" + "b" * 52
        traced.get(f"/v1/jobs/{key}?token=hunter2", headers={"Authorization": f"Bearer {key}"})

        (request,) = sent(traced, server).values()
        assert "hunter2" not in str(request)
        assert "b" * 52 not in str(request)

    def test_that_fail_are_marked(self, traced, server):
        """
        Answers of the service's own fault are failures; those of the client's are not.
        """
        traced.get("/v1/jobs/job_unknown")

        (request,) = sent(traced, server).values()
        assert request.name == "GET /v1/jobs/{job_id}"
        assert request.attributes["http.response.status_code"] == 404
        assert not request.is_failure

    def test_of_machines_are_not_traced(self, traced, server):
        """
        What is asked every few seconds would drown all else.
        """
        for path in ("/healthz", "/readyz", "/metrics"):
            traced.get(path)

        assert sent(traced, server) == {}


class TestOff:
    def test_nothing_is_imported(self, tmp_path):
        """
        Without the setting neither a worker nor the service loads what makes and sends spans
        (redis-py looks for OpenTelemetry's metrics by itself); theirs are one object that does
        nothing.
        """
        code = (
            "import sys; from workers.tracing import open_traces; import workers.worker;"
            "traces = open_traces(None, 'worker');"
            "assert traces.span('a', {}) is traces.span('b', {});"
            "from service.app import create_app; from service.settings import ServiceSettings;"
            "settings = ServiceSettings(redis_url='unix:///nowhere', store_url=sys.argv[1]);"
            "assert not create_app(settings)._native_telemetry.enabled();"
            "ours = ('workers.otel', 'opentelemetry.sdk.trace', 'opentelemetry.exporter');"
            "assert not any(name.startswith(ours) for name in sys.modules)"
        )
        command = [sys.executable, "-c", code, tmp_path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True)

        assert done.returncode == 0, done.stderr

    def test_jobs_have_no_trace(self, api):
        """
        Then a client's header is not kept either.
        """
        body = {"upload_id": api.upload()}
        made = api.post("/v1/generators", body, headers={"traceparent": CLIENT}).json()

        assert isinstance(api.services.traces, NoTraces)
        assert api.services.jobs.get("default", made["job"]["id"]).origin.traceparent == ""


@pytest.mark.parametrize("start", ["service.__main__", "workers.worker"])
def test_says_what_is_not_installed(tmp_path, start):
    """
    Asked for and not there: neither process starts, and both name the setting and the extra.
    """
    told = {
        "HANDSOFF_REDIS_URL": "unix:///nowhere",
        "HANDSOFF_STORE_URL": tmp_path.as_uri(),
        "HANDSOFF_OTEL_ENDPOINT": "http://127.0.0.1:1",
    }
    code = f"{NOT_INSTALLED}\nfrom {start} import main\nsys.exit(main())"
    command = [sys.executable, "-c", code, "--queue", "cpu"]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True)

    assert done.returncode == 2
    assert "HANDSOFF_OTEL_ENDPOINT" in done.stderr
    assert "extra `otel`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://user:secret@collector", "ftp://x"])
def test_an_address_that_is_none_is_refused(settings, endpoint):
    """
    A password in it too: it would be in errors and logs.
    """
    with pytest.raises(ValueError, match="otel_endpoint") as refusal:
        type(settings).model_validate(settings.model_dump() | {"otel_endpoint": endpoint})
    assert "secret" not in str(refusal.value)


class TestACollectorThatIsAway:
    def test_costs_no_job(self, api, processes):
        """
        Where nobody listens, jobs go on as ever, and the log says so.
        """
        made = api.post("/v1/generators", {"upload_id": api.upload()}).json()
        job = made["job"]["id"]
        with processes.worker("compute", otel_endpoint="http://127.0.0.1:1") as child:
            until(lambda: api.services.jobs.get("default", job).state is JobState.SUCCEEDED, 60)
            child.terminate()
            assert child.wait(20) == 0

    def test_holds_nobody_up(self):
        """
        One that takes connections and never answers delays the end of a process by seconds.
        """
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen()
            traces = open_traces(f"http://127.0.0.1:{deaf.getsockname()[1]}", "worker")
            with traces.span("step", {}):
                pass
            begin = time.monotonic()
            traces.close()

        assert time.monotonic() - begin < 8

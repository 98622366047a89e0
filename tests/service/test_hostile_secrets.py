"""Secrets that the service is told stay with it: not in logs, answers, or process arguments."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from support.service_process import service_process

from service.supervisor.machine import processes
from service.supervisor.place import DataDirectory

SECRET = "hunter2"  # Part of each of them.
TOLD = {
    "redis_url": f"redis://user:{SECRET}-redis@127.0.0.1:1/0",
    "store_url": "s3://bucket/prefix",
    "s3_endpoint_url": "http://127.0.0.1:1",
    "s3_access_key": f"{SECRET}-access",
    "s3_secret_key": f"{SECRET}-secret",
}
HEADERS = {
    "Authorization": f"Bearer ho_{SECRET}_{SECRET}",
    "Cookie": f"session={SECRET}",
    "X-Amz-Security-Token": SECRET,
}
REQUESTS = [
    ("GET", f"/v1/jobs?key={SECRET}", None),
    ("GET", f"/v1/jobs/job_1?token={SECRET}", None),
    ("POST", "/v1/uploads", {"filename": "a"}),
    ("POST", "/v1/datasets", {"label": {"kind": "depth"}}),
    ("POST", "/v1/generators", {"source": "s3://models/a.pkl"}),
    ("POST", "/v1/uploads", []),
    ("GET", "/readyz", None),
    ("GET", "/metrics", None),
    ("GET", "/openapi.json", None),
    ("GET", "/version", None),
    ("DELETE", "/v1/jobs", None),
]


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> tuple[list[str], str, list[str]]:
    """
    Answers, log and arguments of a service whose Redis and bucket are away.
    """
    folder = tmp_path_factory.mktemp("secrets")
    with service_process(folder, **TOLD) as service:
        with ThreadPoolExecutor(len(REQUESTS)) as pool, httpx.Client(timeout=120) as client:

            def ask(request: tuple) -> str:
                method, path, body = request
                answer = client.request(method, f"{service.url}{path}", json=body, headers=HEADERS)
                return f"{answer.status_code} {answer.headers} {answer.text}"

            answers = list(pool.map(ask, REQUESTS))
        process = psutil.Process(service.pid)
        arguments = [" ".join(p.cmdline()) for p in (process, *process.children(recursive=True))]
        return answers, service.log.read_text(), arguments


def test_errors_of_all_kinds_were_made(observed):
    """
    What follows would mean nothing if nothing had gone wrong.
    """
    statuses = {answer[:3] for answer in observed[0]}

    assert "503" in statuses
    assert len(observed[1].splitlines()) > len(REQUESTS)


def test_answers_hold_none(observed):
    """
    Neither bodies nor headers repeat what the service was told, or what a client sent as a key.
    """
    assert [answer for answer in observed[0] if SECRET in answer] == []


def test_logs_hold_none(observed):
    """
    Lines of requests, of refusals and of tracebacks.
    """
    assert [line for line in observed[1].splitlines() if SECRET in line] == []


def test_arguments_hold_none(observed):
    """
    Whoever lists processes learns nothing.
    """
    assert observed[2]
    assert [line for line in observed[2] if SECRET in line] == []


def test_no_process_of_a_machine_is_told_by_its_arguments(tmp_path, monkeypatch):
    """
    `handsoff up` hands settings on by the environment alone.
    """
    for name, value in TOLD.items():
        monkeypatch.setenv(f"HANDSOFF_{name.upper()}", value)

    specs = processes(DataDirectory(tmp_path), "127.0.0.1", 1, "http://127.0.0.1:1", 2)

    assert {spec.name for spec in specs} >= {"service", "cpu", "reaper"}
    assert [spec.name for spec in specs if SECRET in " ".join(map(str, spec.command))] == []

"""The service as users start it: a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psutil
import pytest
from support.processes import free_port

from service.auth import refusal_to_bind

PATIENCE = 120  # Seconds; a busy machine takes ten times as long as an idle one.


@contextmanager
def running(settings, **environment) -> Iterator[tuple[subprocess.Popen, httpx.Client]]:
    """
    A service process with these settings, and a client of it.
    """
    port = free_port()
    told = {
        "HANDSOFF_REDIS_URL": settings.redis_url,
        "HANDSOFF_STORE_URL": settings.store_url,
        "HANDSOFF_PORT": str(port),
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "service"],
        env=os.environ | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def wait_until_alive(client, process) -> None:
    """
    Return at the first 200 of /healthz.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.02)
    raise AssertionError("it does not answer")


def test_answers_within_five_seconds(settings):
    """
    From the start of the process to the first answer. Its own processor time is what is
    measured, for this machine may be busy with other tests.
    """
    with running(settings) as (process, client):
        wait_until_alive(client, process)
        times = psutil.Process(process.pid).cpu_times()

        assert times.user + times.system < 5
        assert client.get("/readyz").status_code == 200


def test_an_open_stream_does_not_keep_it_alive(settings, api):
    """
    On SIGTERM streams are cut off after the time that is set for it, and the process ends.
    """
    job = f"job_{api.generator().partition('_')[2]}"
    with running(settings, HANDSOFF_SHUTDOWN_SECONDS="1") as (process, client):
        wait_until_alive(client, process)
        with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
            assert next(answer.iter_lines()) == "event: job"
            process.send_signal(signal.SIGTERM)

            # uvicorn ends by the signal that it was sent, once it has tidied up.
            assert process.wait(PATIENCE) in {0, -signal.SIGTERM}


def test_a_large_upload_is_never_held_in_memory(settings):
    """
    A file streams to the store in pieces; four times the file would not fit otherwise.
    """
    size = 192 << 20
    with running(settings) as (process, client):
        wait_until_alive(client, process)
        made = client.post("/v1/uploads", json={"filename": "a", "size": size}).json()
        before = memory_of(process)
        chunks = (bytes(1 << 20) for _ in range(size >> 20))
        headers = {"Content-Length": str(size)}
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(client.put, made["put"]["url"], content=chunks, headers=headers)
            peak = before
            while not sending.done():
                peak = max(peak, memory_of(process))
                time.sleep(0.01)

        assert (200, size) == (sending.result().status_code, sending.result().json()["size"])
        assert peak - before < 48 << 20


def test_of_a_client_that_goes_away_nothing_stays(settings):
    """
    An upload that breaks off leaves no bytes, and is nothing to be alarmed about.
    """
    with running(settings) as (process, client):
        wait_until_alive(client, process)
        made = client.post("/v1/uploads", json={"filename": "a"}).json()
        path = f"/v1/uploads/{made['id']}/content"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as broken:
            head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"
            broken.sendall(head.encode() + bytes(1000))
        (line,) = [line for line in lines_of(process) if path in line]

        assert "[info" in line
        assert "status=None" in line
        assert client.get(f"/v1/uploads/{made['id']}").json()["state"] == "pending"


def lines_of(process) -> Iterator[str]:
    """
    What a process says, until it has said something of an upload's content.
    """
    for line in process.stdout:
        yield line
        if "/content" in line:
            return


def memory_of(process) -> int:
    """
    Resident bytes of a process.
    """
    return psutil.Process(process.pid).memory_info().rss


class TestWhereItListens:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
    def test_this_machine_is_allowed(self, host):
        """
        What only this machine can reach needs no keys.
        """
        assert refusal_to_bind(host, allow_remote=False) is None

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
    def test_others_must_be_allowed(self, host):
        """
        Without keys whoever reaches the service owns it, so it does not listen to strangers
        unless somebody has said so.
        """
        assert "HANDSOFF_ALLOW_REMOTE" in refusal_to_bind(host, allow_remote=False)
        assert refusal_to_bind(host, allow_remote=True) is None

    def test_the_process_refuses(self, settings):
        """
        It ends at once, with a message that says what to do.
        """
        with running(settings, HANDSOFF_HOST="0.0.0.0") as (process, _):
            output, _ = process.communicate(timeout=PATIENCE)

        assert process.returncode == 2
        assert "refusing to listen on 0.0.0.0" in output
        assert "HANDSOFF_ALLOW_REMOTE=true" in output

    def test_settings_that_are_missing_are_named(self, settings):
        """
        A wrong or missing setting is told by the name of its variable, without a traceback.
        """
        with running(settings, HANDSOFF_PORT="many") as (process, _):
            output, _ = process.communicate(timeout=PATIENCE)

        assert process.returncode == 2
        assert "HANDSOFF_PORT: " in output
        assert "Traceback" not in output

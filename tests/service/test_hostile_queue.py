"""Entries that somebody wrote straight into Redis: a real worker process runs none of them."""

import os
import pickle
import subprocess
import sys
import zlib

import pytest
from rq.job import Job
from support.system import TENANT, System

from workers.flows import QueueName
from workers.jobs import JobKind, JobState
from workers.queue import STEP, RqTaskQueue, rq_queue
from workers.redis_client import connect_transport


class Command:
    """
    What runs a command when it is unpickled.
    """

    def __init__(self, path) -> None:
        self._path = path

    def __reduce__(self):
        return os.system, (f"touch {self._path}",)


@pytest.fixture
def transport(redis, redis_url):
    """
    A client as RQ wants it, to an emptied Redis.
    """
    with connect_transport(redis_url, retries=1) as client:
        yield client


def forged(transport, name: str, data: bytes | None = None, **fields) -> None:
    """
    Put an entry into the CPU worker's queue behind the service's back.
    """
    options = {"connection": transport, "serializer": "json", "id": name}
    entry = Job.create(fields.pop("function", STEP), **fields, **options)
    entry.save()
    if data is not None:
        transport.hset(entry.key, "data", data)
    transport.rpush(rq_queue(transport, QueueName.CPU, TENANT).key, name)


def test_only_steps_are_run(transport, redis, redis_url, store, tmp_path):
    """
    Other functions, pickles and nonsense are passed over, and the step behind them is done.
    """
    hacked = tmp_path / "HACKED"
    pickled = pickle.dumps(("os.system", None, (f"touch {hacked}",), {}))
    forged(transport, "function", function="os.system", args=[f"touch {hacked}"])
    forged(transport, "method", function="subprocess.run", args=[["touch", str(hacked)]])
    forged(transport, "pickle", zlib.compress(pickle.dumps(Command(hacked))))
    forged(transport, "plain-pickle", pickled)
    forged(transport, "nonsense", b"\0\xff")
    forged(transport, "deep", b"[" * 100_000)
    forged(transport, "keywords", args=[], kwargs={"__class__": "os.system"})
    forged(transport, "no-step", args=["../..", "job_1", 0, 0, 1])
    system = System.of(redis, store, RqTaskQueue(transport))
    record = system.submit(JobKind.INGEST)

    done = subprocess.run(
        [sys.executable, "-m", "workers.worker", "--queue", "cpu", "--burst"],
        env=os.environ
        | {
            "HANDSOFF_REDIS_URL": redis_url,
            "HANDSOFF_STORE_URL": f"file://{tmp_path}/store",
            "HANDSOFF_SCRATCH": str(tmp_path / "scratch"),
        },
        capture_output=True,
        timeout=300,
        check=False,
    )

    assert not hacked.exists()
    assert done.returncode == 0, done.stderr[-3000:]
    # It was taken and judged: the resource asks for nothing that could be read.
    assert system.get(record).state is JobState.FAILED

"""How soon the API answers: GET /v1/jobs/{id} at a steady rate, through everything around it.

    python -m tests.benchmarks.api_latency [--rate 50] [--seconds 20] [--runs 5]

Starts a Redis server and the service as processes, sends requests at fixed times (a late answer
does not delay the next request, so that a stall is not hidden), and writes one JSON object: the
median run by its 95th percentile, on an idle machine and beside a compute worker that uses every
processor.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import stop
from tests.support.service_process import service_process

# What a compute worker does to the machine: matrix products on every processor.
_WORK = """
import torch
a = torch.randn(1024, 1024)
while True:
    a @ a
"""


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(service_process(folder))
        url, first_answer = service.url, service.seconds
        path = _make_job(url)
        # Once, so that nothing is measured that happens to the first request alone.
        asyncio.run(_send(url, path, options.rate, 1.0))

        def measured() -> dict[str, Any]:
            runs = [_send(url, path, options.rate, options.seconds) for _ in range(options.runs)]
            return _median_run([summary(asyncio.run(run)) for run in runs])

        milliseconds = {"idle": measured()}
        stack.callback(stop, subprocess.Popen([sys.executable, "-c", _WORK]))
        time.sleep(5)  # Until it has imported torch.
        milliseconds["busy"] = measured()
    report = {
        "benchmark": "api_latency",
        "request": "GET /v1/jobs/{id}",
        "rate": options.rate,
        "seconds": options.seconds,
        "runs": options.runs,
        "first_answer_seconds": round(first_answer, 2),
        "milliseconds": milliseconds,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _make_job(url: str) -> str:
    """The path of a job that waits for ever, for there are no workers."""
    with httpx.Client(base_url=url) as client:
        upload = client.post("/v1/uploads", json={"filename": "a"}).json()
        client.put(upload["put"]["url"], content=b"x").raise_for_status()
        answer = client.post("/v1/generators", json={"upload_id": upload["id"]})
        return str(answer.raise_for_status().json()["links"]["job"])


async def _send(url: str, path: str, rate: float, seconds: float) -> list[float]:
    """The milliseconds that each request took, counted from when it was due."""
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=url, limits=limits) as client:
        started = time.perf_counter()

        async def one(number: int) -> float:
            due = started + number / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            (await client.get(path)).raise_for_status()
            return (time.perf_counter() - due) * 1000

        return await asyncio.gather(*(one(number) for number in range(round(rate * seconds))))


def _median_run(runs: list[dict[str, float]]) -> dict[str, Any]:
    """The run whose 95th percentile is the median of all, and those of all."""
    ordered = sorted(runs, key=lambda run: run["p95"])
    return {**ordered[len(ordered) // 2], "p95_of_each_run": [run["p95"] for run in runs]}


def summary(times: list[float]) -> dict[str, float]:
    """Percentiles of some milliseconds."""
    ordered = sorted(times)

    def quantile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {
        "p50": quantile(0.5),
        "p95": quantile(0.95),
        "p99": quantile(0.99),
        "max": round(ordered[-1], 2),
    }


if __name__ == "__main__":
    main()

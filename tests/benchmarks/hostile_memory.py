"""Whether malformed files leave anything in memory: the whole corpus through real processes.

    python -m tests.benchmarks.hostile_memory [--passes 3] [--quick]

Starts Redis, the service and a CPU worker, sends every case of `tests.support.sending` again and
again, and looks at both after each pass. The first one warms up (imports, pools of memory); what
the others add ought to be next to nothing. Writes one JSON object, sizes in bytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.services import connect_services
from service.settings import ServiceSettings
from tests.support.api import Api
from tests.support.processes import stop
from tests.support.sending import Sender, cases
from tests.support.service_process import ServiceProcess, service_process

PATIENCE = 300.0  # Seconds.
FEW = 12


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="see that it runs, with a few files")
    options = parser.parse_args()
    sent = cases()[:FEW] if options.quick else cases()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        service = stack.enter_context(service_process(Path(folder)))
        worker = _worker(service, Path(folder))
        stack.callback(stop, worker)
        told = {name: service.settings[name] for name in ("redis_url", "store_url")}
        services = connect_services(ServiceSettings(**told))  # type: ignore[arg-type]
        stack.callback(services.parts.close)
        client = stack.enter_context(httpx.Client(base_url=service.url, timeout=PATIENCE))
        api = Api(services, client.request)
        sender = Sender(api, lambda job: _wait(client, job))
        pids = {"service": service.pid, "worker": worker.pid}
        looks, states = [_look(pids)], Counter[str]()
        for _ in range(options.passes):
            states.update(sender.send(case).state for case in sent)
            looks.append(_look(pids))
        report: dict[str, Any] = {
            "benchmark": "hostile_memory",
            "files": len(sent),
            "states": dict(states),
            "resident": looks,
            "added_by_last_pass": {name: looks[-1][name] - looks[-2][name] for name in pids},
            "errors_in_log": service.errors(),
        }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _worker(service: ServiceProcess, folder: Path) -> "subprocess.Popen[bytes]":
    told = service.settings | {"scratch": str(folder / "scratch")}
    variables = {f"HANDSOFF_{name.upper()}": value for name, value in told.items()}
    with (folder / "worker.log").open("wb") as log:
        command = [sys.executable, "-m", "workers.worker", "--queue", "cpu"]
        return subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log)


def _wait(client: httpx.Client, job: str) -> None:
    """Return when a job has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if client.get(f"/v1/jobs/{job}", params={"wait": 20}).json()["finished_at"]:
            return
    raise TimeoutError(f"{job} does not end")


def _look(pids: dict[str, int]) -> dict[str, int]:
    return {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}


if __name__ == "__main__":
    main()

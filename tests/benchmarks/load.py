"""What many clients do to a generation, and a generation to them: everything on one machine.

    python -m tests.benchmarks.load [--quick] [--seconds 120] [--rounds 3]

Starts HandsOff as `handsoff up` does, lets it generate without end, and alternates between quiet
and load: 200 clients that each ask for the job every five seconds, at times that are fixed (a late
answer does not delay the next request), and 20 uploads spread over the whole. Writes one JSON
object: errors, how soon the job was answered, and images a second with and without the load.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
from rich.console import Console

from service.cli.demo import Story, shipped
from service.cli.demo_scale import QUICK
from service.cli.progress import Bars
from service.client import Client, Segmentation
from service.supervisor.machine import assemble, in_background
from service.supervisor.place import DataDirectory
from tests.benchmarks.api_latency import summary

POLLERS, PAUSE, UPLOADS = 200, 5.0, 20
UPLOAD_BYTES = 8 << 20
ENDLESS = 1_000_000
"""Images: more than are made while we measure."""
PATIENCE = 1800.0  # Seconds.


@dataclass
class Load:
    """Clients that poll and upload, and what became of their requests.

    Attributes:
        milliseconds: of each answer to a GET of the job, from when it was due.
        uploads: seconds that each upload took.
        errors: what was no success, in words.
    """

    url: str
    path: str
    milliseconds: list[float] = field(default_factory=list)
    uploads: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def run(self, seconds: float, uploads: int) -> None:
        """Poll and upload for some seconds."""
        limits = httpx.Limits(max_connections=POLLERS + uploads)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=30) as client:
            started = time.perf_counter()
            polls = [
                self._poll(client, started + offset + PAUSE * turn / POLLERS)
                for turn in range(POLLERS)
                for offset in _steps(seconds)
            ]
            sent = [
                self._upload(client, started + seconds * turn / max(uploads, 1))
                for turn in range(uploads)
            ]
            await asyncio.gather(*polls, *sent)

    async def _poll(self, client: httpx.AsyncClient, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        with self._noted("GET"):
            (await client.get(self.path)).raise_for_status()
            self.milliseconds.append((time.perf_counter() - due) * 1000)

    async def _upload(self, client: httpx.AsyncClient, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        with self._noted("upload"):
            begun = time.perf_counter()
            made = await client.post("/v1/uploads", json={"filename": "a.bin"})
            target = made.raise_for_status().json()["put"]["url"]
            (await client.put(target, content=bytes(UPLOAD_BYTES))).raise_for_status()
            self.uploads.append(time.perf_counter() - begun)

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            self.errors.append(f"{what}: {error!r}")


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="of load, in all rounds")
    parser.add_argument("--rounds", type=int, default=3, help="of quiet and load")
    parser.add_argument("--quick", action="store_true", help="see that it runs, in one short round")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("HANDSOFF_")]:
        del os.environ[name]  # They speak of somebody's Redis and bucket.
    rounds, seconds = (1, 10.0) if options.quick else (options.rounds, options.seconds)
    events: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = DataDirectory(Path(folder, "handsoff"))
        stack.enter_context(data.locked())
        machine = stack.enter_context(in_background(assemble(data, events.append, port=0)))
        client = stack.enter_context(Client(machine.url))
        job = _generation(client, Path(folder, "demo"))
        measured = _measure(client, Load(machine.url, f"/v1/jobs/{job}"), job, rounds, seconds)
        client.jobs.cancel(job)
    report = {
        "benchmark": "load",
        "pollers": POLLERS,
        "requests_per_second": POLLERS / PAUSE,
        "seconds": seconds,
        **measured,
        "restarts": events,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _measure(client: Client, load: Load, job: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Images a second, in turns quiet and under load, and what the load met with."""
    each, rates = seconds / rounds, {"quiet": list[float](), "loaded": list[float]()}
    for turn in range(rounds):
        with _rate(client, job, rates["quiet"]):
            time.sleep(each)
        uploads = UPLOADS * (turn + 1) // rounds - UPLOADS * turn // rounds
        with _rate(client, job, rates["loaded"]):
            asyncio.run(load.run(each, uploads))
    quiet, loaded = mean(rates["quiet"]), mean(rates["loaded"])
    return {
        "gets": len(load.milliseconds),
        "milliseconds": summary(load.milliseconds),
        "uploads": len(load.uploads),
        "seconds_of_uploads": {"mean": round(mean(load.uploads), 2), "max": max(load.uploads)},
        "errors": load.errors,
        "images_per_second": {"quiet": quiet, "loaded": loaded, "of_each_round": rates},
        "slowed_by": round(1 - loaded / quiet, 4) if quiet else None,
    }


@contextmanager
def _rate(client: Client, job: str, rates: list[float]) -> Iterator[None]:
    """Adds the images a second that are made while the context lasts."""
    begun, before = time.monotonic(), _done(client, job)
    yield
    rates.append(round((_done(client, job) - before) / (time.monotonic() - begun), 3))


def _done(client: Client, job: str) -> int:
    """Images made so far.

    Raises:
        RuntimeError: the generation has ended.
    """
    found = client.jobs.get(job)
    if found.finished_at is not None:
        raise RuntimeError(f"the generation has ended as {found.state}")
    return found.progress.done if found.progress else 0


def _generation(client: Client, folder: Path) -> str:
    """The job of a generation that has begun to make images."""
    with Path(os.devnull).open("w") as nowhere, Bars(Console(file=nowhere)) as bars:
        Story(QUICK, folder, bars).draw()
    label = Segmentation.model_validate_json(
        (folder / "faces" / "training" / "classes.json").read_text()
    )
    generator = client.generators.create(shipped("generator.safetensors"))
    dataset = client.datasets.create(label, archive=folder / "faces" / "test.zip")
    labels = client.label_generators.create(
        dataset=dataset,
        generator=generator,
        inversion_config=QUICK.inversion,
        **QUICK.label_generator,
    )
    generation = client.generations.create(labels, ENDLESS, drop=0.1, shard_size=500)
    assert generation.job
    _wait_until(lambda: _done(client, generation.job.id) > 0)
    return generation.job.id


def _wait_until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the generation makes no images")
        time.sleep(1)


def _steps(seconds: float) -> Iterator[float]:
    """When one client asks, counted from its first time."""
    turn = 0
    while turn * PAUSE < seconds:
        yield turn * PAUSE
        turn += 1


if __name__ == "__main__":
    main()

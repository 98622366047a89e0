"""What a shard costs beside drawing its images and labels, and whether memory stays as it is.

    python -m tests.benchmarks.generation [--shape demo-64 config-e-256] [--quick] [--flat N]

The demo's generator, or random weights of another shape; a label generator of random weights, and
a threshold that drops a tenth. Shards are made by the worker's task, from the plan to the store,
in this process; then the same candidates are drawn and labelled once more and nothing else. With
`--flat` a generation of N images of the demo follows, a shard after the other, and the process is
looked at after every 1,000 of them.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from models.calibration import calibrate
from models.checkpoints.neutral import save_generator
from models.data.sample_encoding import ENCODERS
from models.drawing import draw
from models.generation import Plan
from models.label_generator import save_label_generator
from models.progress import silent
from models.seeding import philox
from tests.benchmarks.faces import CPU, DROP
from tests.benchmarks.shapes import SHAPES, Shape, subject
from tests.support.contexts import task_context
from workers import keys
from workers.params import GenerationParams
from workers.runtime import Runtime
from workers.scratch import scratch_folder
from workers.storage.base import Source
from workers.storage.local import LocalStore
from workers.tasks import generate, plan
from workers.tasks.context import TaskContext
from workers.tasks.fragments import StoredFragment

TENANT = "acme"
GENERATOR_ID, LABEL_GENERATOR_ID = "gen_bench", "lbl_bench"
SEED = 6
PSI = 1.0
CALIBRATED = 1000
LOOK_EVERY = 1000
"""Images from one look at the memory to the next."""
SETTLED = 2000
"""Images before the slope is measured: allocators, caches and the first shards fill first."""
FLAT_SHARD = 250


class Asked(NamedTuple):
    """How much is measured."""

    samples: int
    repeats: int
    calibrated: int


QUICK = Asked(32, 2, 64)
FULL: Mapping[str, Asked] = {
    "demo-64": Asked(320, 7, CALIBRATED),
    "config-e-256": Asked(16, 4, 32),
}
"""By shape: those that a CPU labels in seconds."""


class TimedStore(LocalStore):
    """A bucket that notes how long it takes to put files."""

    seconds = 0.0

    def put_stream(self, key: str, source: Source, limit: int, content_type: str = "") -> int:
        """See `LocalStore`; counted from the end of what is read, for it is written meanwhile."""
        ending = _Ending(source)
        size = super().put_stream(key, ending, limit, content_type)
        self.seconds += time.perf_counter() - ending.at
        return size


class _Ending:
    """A source that notes when it has ended."""

    closed = False

    def __init__(self, source: Source) -> None:
        self._source, self.at = source, time.perf_counter()

    def read(self, size: int = -1, /) -> bytes:
        """See `Source`."""
        data = self._source.read(size)
        self.at = time.perf_counter()
        return data


class Bench:
    """A bucket with all that a generation is made of, and a worker's runtime."""

    def __init__(self, folder: Path, shape: Shape, calibrated: int) -> None:
        self.folder = folder
        self.runtime = Runtime("cpu")
        self.store = TimedStore(folder / "bucket")
        networks = subject(shape, CPU)
        self.generator, self.label_generator = networks.generator, networks.label_generator
        self._put_networks(calibrated)

    def _put_networks(self, calibrated: int) -> None:
        """Both of them and their cards, the calibration among them."""
        (found,) = calibrate(self.generator, [self.label_generator], PSI, calibrated, SEED, silent)
        generator = self.folder / "generator.safetensors"
        save_generator(self.generator, generator)
        sha256 = self._put("generators", GENERATOR_ID, generator.name, generator)
        self._put_card("generators", GENERATOR_ID, {"sha256": sha256})
        path = self.folder / "ensemble.safetensors"
        save_label_generator(self.label_generator, path)
        digest = self._put("label-generators", LABEL_GENERATOR_ID, path.name, path)
        card = {
            "generator_id": GENERATOR_ID,
            "ensemble": {"path": path.name, "sha256": digest},
            "label": self.label_generator.spec.model_dump(mode="json"),
            "calibration": asdict(found),
        }
        self._put_card("label-generators", LABEL_GENERATOR_ID, card)

    def _put(self, collection: str, resource_id: str, name: str, path: Path) -> str:
        self.store.put_file(keys.inside(TENANT, collection, resource_id, name), path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def _put_card(self, collection: str, resource_id: str, card: dict[str, Any]) -> None:
        self.store.put(keys.final(TENANT, collection, resource_id), json.dumps(card).encode())

    def step(
        self, generation: str, params: GenerationParams, index: int, scratch: Path
    ) -> TaskContext:
        """A step of a generation, as the worker gives it to its task."""
        made: TaskContext = task_context(  # type: ignore[no-untyped-call]
            self.store, scratch, "generate", "generations", params
        )
        resource = made.resource.model_copy(update={"id": generation})
        return replace(made, resource=resource, index=index, report=silent, _runtime=self.runtime)

    def params(self, count: int, shard_size: int) -> GenerationParams:
        """A generation that drops a tenth."""
        return GenerationParams(
            label_generator_ids=(LABEL_GENERATOR_ID,),
            count=count,
            seed=SEED,
            psi=PSI,
            uncertainty={"drop": DROP},
            shard_size=shard_size,
        )

    def planned(self, generation: str, params: GenerationParams) -> Plan:
        """The plan of a generation, made by its task."""
        context = self.step(generation, params, 0, self.folder / "planning")
        plan.run(context)
        return Plan.model_validate_json(self.store.get(context.key(plan.PLAN)))

    def shard(self, generation: str, params: GenerationParams, index: int) -> StoredFragment:
        """A shard, made by its task in a folder of its own; what is said of it."""
        with scratch_folder(self.folder / "scratch") as scratch:
            context = self.step(generation, params, index, scratch)
            generate.run(context)
            return StoredFragment.model_validate_json(
                self.store.get(context.key(keys.fragment(index)))
            )

    def candidates(self, made: Plan, shard: int, count: int) -> None:
        """The first candidates of a shard, drawn and labelled and thrown away."""
        with self.runtime.computing_with(made.threads):
            for first in range(0, count, made.batch):
                streams = [philox(made.seed, shard, first + i) for i in range(made.batch)]
                draw(self.generator, [self.label_generator], streams, made.psi)


def speed(name: str, asked: Asked) -> dict[str, Any]:
    """Shards of a shape beside bare drawing."""
    with tempfile.TemporaryDirectory() as folder:
        return _speed(Bench(Path(folder), SHAPES[name], asked.calibrated), asked)


def memory(count: int, calibrated: int) -> dict[str, Any]:
    """What a generation of so many images of the demo takes."""
    with tempfile.TemporaryDirectory() as folder:
        return _memory(Bench(Path(folder), SHAPES["demo-64"], calibrated), count)


def _speed(bench: Bench, asked: Asked) -> dict[str, Any]:
    """Shards and bare drawing in turns.

    Returns:
        rates by the clock; `ratio`, of the time of drawing alone to that of a whole shard, by
        the clock and by the processors' time; `kept_ratio`, samples a second of a shard to images
        a second of drawing alone, which counts what was dropped against the shard.
    """
    params = bench.params(asked.samples * (asked.repeats + 1), asked.samples)
    made = bench.planned("gnn_speed", params)
    bench.shard("gnn_speed", params, asked.repeats)  # Networks are read, caches filled.
    bench.store.seconds = 0.0
    turns = [_turn(bench, made, params, index) for index in range(asked.repeats)]
    drawn, seconds = sum(t.candidates for t in turns), sum(t.shard.clock for t in turns)
    ratios = [t.alone.clock / t.shard.clock for t in turns]
    return {
        "threads": made.threads,
        "encoders": ENCODERS[made.device],
        "batch": made.batch,
        "samples_a_shard": asked.samples,
        "dropped_share": 1 - asked.samples * asked.repeats / drawn,
        "drawn_per_second_alone": statistics.median(t.candidates / t.alone.clock for t in turns),
        "samples_per_second": statistics.median(asked.samples / t.shard.clock for t in turns),
        "ratio": _summed_up(ratios),
        "ratio_of_processor_time": _summed_up(
            [t.alone.processors / t.shard.processors for t in turns]
        ),
        "kept_ratio": _summed_up(
            [r * asked.samples / t.candidates for r, t in zip(ratios, turns, strict=True)]
        ),
        "share_of_storing": bench.store.seconds / seconds,
    }


class Spent(NamedTuple):
    """Seconds, of the clock and of the processors."""

    clock: float
    processors: float


class Turn(NamedTuple):
    """A whole shard, and its candidates drawn and labelled alone."""

    candidates: int
    shard: Spent
    alone: Spent


def _turn(bench: Bench, made: Plan, params: GenerationParams, index: int) -> Turn:
    """One of both, one after the other, on the same candidates."""
    fragment, shard = _timed(lambda: bench.shard("gnn_speed", params, index))
    _, alone = _timed(lambda: bench.candidates(made, index, fragment.candidates))
    return Turn(fragment.candidates, shard, alone)


def _timed(work: Callable[[], Any]) -> tuple[Any, Spent]:
    """What `work` returns, and what it took."""
    clock, processors = time.perf_counter(), time.process_time()
    result = work()
    return result, Spent(time.perf_counter() - clock, time.process_time() - processors)


def _summed_up(values: Sequence[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "of_each": list(values)}


class Look(NamedTuple):
    """What the process took after so many images: bytes, shared pages in full and in part."""

    images: int
    rss: int
    pss: int


def _memory(bench: Bench, count: int) -> dict[str, Any]:
    """A generation of `count` images, and the memory of its process on the way."""
    params = bench.params(count, FLAT_SHARD)
    made = bench.planned("gnn_flat", params)
    looks, began = list[Look](), time.perf_counter()
    for index in range(made.shards):
        bench.shard("gnn_flat", params, index)
        done = min(count, (index + 1) * FLAT_SHARD)
        if done % LOOK_EVERY == 0 or done == count:
            found = psutil.Process().memory_full_info()
            looks.append(Look(done, found.rss, found.pss))
    return {
        "images": count,
        "shards": made.shards,
        "seconds": time.perf_counter() - began,
        "first": looks[0]._asdict(),
        "last": looks[-1]._asdict(),
        "bytes_an_image": {name: slope(looks, name) for name in ("rss", "pss")},
        "looks": [list(look) for look in looks],
    }


def slope(looks: Sequence[Look], name: str) -> float | None:
    """Bytes an image by which memory grows: a line through the looks after the first 2,000.

    Args:
        looks: in the order they were taken.
        name: `rss` or `pss`.

    Returns:
        None where there are fewer than two such looks.
    """
    settled = [look for look in looks if look.images >= SETTLED]
    if len(settled) < 2:
        return None
    images = [look.images for look in settled]
    return float(np.polyfit(images, [getattr(look, name) for look in settled], 1)[0])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the figures mean nothing")
    parser.add_argument("--flat", type=int, default=0, metavar="N", help="watch N images' memory")
    parser.add_argument("--shape", nargs="+", choices=FULL, default=list(FULL))
    options = parser.parse_args()
    asked = dict.fromkeys(FULL, QUICK) if options.quick else FULL
    report: dict[str, Any] = {"benchmark": "generation"}
    report |= {name: speed(name, asked[name]) for name in options.shape}
    if options.flat:
        report["memory"] = memory(options.flat, asked["demo-64"].calibrated)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

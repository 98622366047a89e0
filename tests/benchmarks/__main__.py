"""`make bench`: measures, prints a table, writes JSON with machine, versions and date.

The file is `tests/benchmarks/results/{date}-{device}.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from service.cli.demo_scale import FULL, QUICK
from tests.benchmarks import quality, tables
from tests.benchmarks.faces import SPECS
from tests.benchmarks.shapes import SHAPES

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("handsoff", "numpy", "pillow", "torch", "fastapi", "redis", "rq")


def main() -> None:
    """Run all benchmarks, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2000, help="images generated, and exact ones")
    parser.add_argument("--test", type=int, default=500, help="held-out renders")
    parser.add_argument("--kinds", type=_some_of(SPECS), default=tuple(SPECS), help=_all(SPECS))
    parser.add_argument(
        "--sources",
        type=_some_of(quality.SOURCES),
        default=quality.SOURCES,
        help=f"what is trained on: {_all(quality.SOURCES)}",
    )
    parser.add_argument(
        "--shapes",
        type=_some_of(SHAPES),
        help=f"that are labelled: {_all(SHAPES)}; the first two on a CPU, if left out",
    )
    parser.add_argument("--flat", type=int, default=0, metavar="N", help="watch N images' memory")
    parser.add_argument(
        "--quick", action="store_true", help="see that everything runs; the figures mean nothing"
    )
    options = parser.parse_args()
    report: dict[str, Any] = {"schema_version": 2, "machine": _machine()}
    for name in [options.only] if options.only else PARTS:
        report |= PARTS[name](options)
    if not options.quick:
        _write(report)


def _quality(options: argparse.Namespace) -> dict[str, Any]:
    found = quality.measure(_asked(options))
    _show(found)
    return {"quality": found}


def _latency(_: argparse.Namespace) -> dict[str, Any]:
    return {"api_latency": _apart("api_latency")}


def _ingest(options: argparse.Namespace) -> dict[str, Any]:
    return {"ingest": _apart("ingest", *_quick(options))}


def _inversion(options: argparse.Namespace) -> dict[str, Any]:
    return {"inversion": _apart("inversion", *_quick(options))}


def _labelling(options: argparse.Namespace) -> dict[str, Any]:
    shapes = ["--shape", *options.shapes] if options.shapes else []
    found = _apart("labelling", *_quick(options), *shapes)
    sys.stdout.write(tables.labelling(found) + "\n")
    return {"labelling": found}


def _label_training(options: argparse.Namespace) -> dict[str, Any]:
    return {"label_training": _apart("label_training", *_quick(options))}


def _generation(options: argparse.Namespace) -> dict[str, Any]:
    flat = ["--flat", str(options.flat)] if options.flat else []
    found = _apart("generation", *_quick(options), *flat)
    sys.stdout.write(tables.generation(found) + "\n")
    return {"generation": found}


def _load(options: argparse.Namespace) -> dict[str, Any]:
    return {"load": _apart("load", *_quick(options))}


def _hostile_memory(options: argparse.Namespace) -> dict[str, Any]:
    return {"hostile_memory": _apart("hostile_memory", *_quick(options))}


def _quick(options: argparse.Namespace) -> list[str]:
    return ["--quick"] if options.quick else []


PARTS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "quality": _quality,
    "latency": _latency,
    "ingest": _ingest,
    "inversion": _inversion,
    "labelling": _labelling,
    "label_training": _label_training,
    "generation": _generation,
    "load": _load,
    "hostile_memory": _hostile_memory,
}
"""What can be measured, by what `--only` calls it: each adds its own to the report."""


def _apart(module: str, *arguments: str) -> Any:
    """What a benchmark that is a process of its own found; it is shown as well."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    sys.stdout.write(done.stdout)
    return json.loads(done.stdout)


def _asked(options: argparse.Namespace) -> quality.Asked:
    return quality.Asked(
        seeds=options.seeds,
        count=options.count,
        test=options.test,
        kinds=options.kinds,
        sources=options.sources,
        scale=QUICK if options.quick else FULL,
    )


def _some_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """A reader of words with commas between, all of them known."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: none of {_all(known)}")
        return found

    return names


def _all(known: Iterable[str]) -> str:
    return ",".join(known)


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": _device(),
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _device() -> str:
    """The GPU, where there is one, as it may stand in a file's name."""
    if not torch.cuda.is_available():
        return "cpu"
    return torch.cuda.get_device_name().lower().replace(" ", "-")


def _show(found: dict[str, Any]) -> None:
    """The quality tables: for each kind a line a figure and source; then the agreement."""
    for kind, by_source in found["kinds"].items():
        for source, figures in by_source.items():
            for name, figure in figures.items():
                if "of_each_seed" in figure:
                    each = ", ".join(f"{value:.4f}" for value in figure["of_each_seed"])
                    line = f"{kind:13} {source:10} {name:9} {figure['mean']:.4f}  ({each})\n"
                    sys.stdout.write(line)
    for seed, figures in enumerate(found["agreement"]):
        sys.stdout.write(f"agreement of seed {seed}: {figures}\n")


def _write(report: dict[str, Any]) -> None:
    """Into the day's file; what another run of the day measured stays there."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['machine']['date']}-{report['machine']['device']}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **report}, indent=1) + "\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()

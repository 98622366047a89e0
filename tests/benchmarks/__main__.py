"""`make bench`: measures, prints a table, writes JSON with machine, versions and date.

The file is `tests/benchmarks/results/{date}-{device}.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import quality

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("handsoff", "numpy", "torch", "fastapi", "redis", "rq")


def main() -> None:
    """Run all benchmarks, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["quality", "latency"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2000, help="images of (a) and of (c)")
    parser.add_argument("--test", type=int, default=500, help="held-out renders")
    options = parser.parse_args()
    report: dict[str, Any] = {"schema_version": 1, "machine": _machine()}
    if options.only != "latency":
        report["quality"] = quality.measure(
            options.seeds, options.count, options.count, options.test
        )
        _show(report["quality"])
    if options.only != "quality":
        command = [sys.executable, "-m", "tests.benchmarks.api_latency"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report["api_latency"] = json.loads(done.stdout)
        sys.stdout.write(done.stdout)
    _write(report)


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": "cpu",
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _show(found: dict[str, Any]) -> None:
    """The quality table, a line a source."""
    for name, figures in found.items():
        each = ", ".join(f"{miou:.3f}" for miou in figures["miou_of_each_seed"])
        sys.stdout.write(f"{name:10} mIOU {figures['miou']:.3f}  ({each})\n")


def _write(report: dict[str, Any]) -> None:
    """Into the day's file; what another run of the day measured stays there."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['machine']['date']}-{report['machine']['device']}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **report}, indent=1) + "\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()

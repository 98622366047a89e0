"""`make chaos`: faults at random moments, and whether every accepted job still ends as it must.

    python -m tests.chaos --seeds 0:300 [--store moto|swift|file] [--defaults] [--out FILE]
    python -m tests.chaos --cancels 200
    python -m tests.chaos --death 5
    python -m tests.chaos --outage 300

Each finished seed is a line of the results; seeds that are there are skipped. What the processes
of a failed seed said is kept beside the results.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.chaos import box, cancels, deaths, outages, runs
from tests.chaos.world import SHORT, World, forget_logs, keep_logs, world

OUT = Path(".handsoff", "chaos")


def main() -> int:
    """
    Run what was asked for; 1 where something failed.
    """
    asked = _arguments()
    is_plain = bool(asked.death or asked.cancels or asked.outage)
    settings = {} if asked.defaults or is_plain else SHORT
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        with (
            box.mounted(folder / "box") as disk,
            world(folder, asked.store, settings, None if is_plain else disk) as made,
        ):
            if asked.cancels:
                return cancels.report(made, asked.cancels, asked.out)
            if asked.death:
                return deaths.report(made, asked.death, asked.out)
            if asked.outage:
                return outages.report(made, asked.outage, asked.out)
            _campaign(made, asked)
    return _table(asked.out)


def _campaign(made: World, asked: argparse.Namespace) -> None:
    """
    All seeds that are not in the results yet.
    """
    patience = 300.0
    reference = runs.undisturbed(made, patience)
    for seed in asked.seeds:
        if seed in {line["seed"] for line in _lines(asked.out)}:
            continue
        forget_logs(made)
        result = runs.run(made, seed, reference, patience)
        with asked.out.open("a") as out:
            out.write(json.dumps({**result.as_json(), "store": asked.store}) + "\n")
        _tell(result)
        if result.failures:
            keep_logs(made, asked.out.parent / f"{asked.out.stem}-failed" / str(seed))


def _tell(result: runs.Result) -> None:
    told = ", ".join(f"{one.kind} {one.target} at {one.at:.1f}" for one in result.faults)
    verdict = "; ".join(result.failures) or "ok"
    print(f"{result.seed:5d} {result.seconds:6.1f} s, {told}: {verdict}", flush=True)  # noqa: T201


def _table(out: Path) -> int:
    """
    Print what all results so far add up to.
    """
    lines = list(_lines(out))
    kinds = Counter(fault["kind"] for line in lines for fault in line["faults"])
    failed = [line["seed"] for line in lines if not line["ok"]]
    told = {
        "runs": len(lines),
        "faults": dict(kinds.most_common()),
        "failed": failed,
        "slowest recovery": max((line["recovery"] for line in lines), default=0),
        "mean seconds": sum(line["seconds"] for line in lines) / max(1, len(lines)),
    }
    print(json.dumps(told, indent=1))  # noqa: T201
    return 1 if failed else 0


def _lines(out: Path) -> Iterable[dict[str, Any]]:
    if out.exists():
        yield from (json.loads(line) for line in out.read_text().splitlines())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=_range, default=range(300), help="first:end, or one")
    parser.add_argument("--store", choices=("moto", "swift", "file"), default="moto")
    parser.add_argument("--defaults", action="store_true", help="not the short leases")
    parser.add_argument("--cancels", type=int, default=0, help="cancel so many running jobs")
    parser.add_argument("--death", type=int, default=0, help="kill so many workers in a shard")
    parser.add_argument("--outage", type=float, default=0, help="seconds without Redis")
    parser.add_argument("--out", type=Path, default=OUT / "results.jsonl")
    return parser.parse_args()


def _range(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


if __name__ == "__main__":
    box.enter()
    # What was started ends with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    raise SystemExit(main())

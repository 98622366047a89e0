"""What the demo found out: its report, its pictures, the proof that others can read the shards.

overview.png     generated images beside their masks
inversions.png   real, start of the search, reconstruction, difference
report.json      see `report_of`
dataset/         the generation, as it was downloaded
"""

import importlib.metadata
import importlib.util
import json
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from service.cli.failures import DemoFailed
from service.cli.progress import duration, size
from service.cli.session import Session, table
from service.client import Resource
from service.supervisor.memory import MemoryMeter

READER = (
    "import webdataset as wds; "
    'data = wds.WebDataset("{shards}", shardshuffle=False).decode("pil"); '
    'print(sum(1 for sample in data if sample["mask.png"].size == sample["{image}"].size))'
)


@dataclass(frozen=True)
class Made:
    """The ready resources that the demo ends with, and from how many labelled images."""

    images: int
    label_generator: Resource
    inversion: Resource
    generation: Resource
    synthetic: Resource
    real: Resource


def finish(
    here: Session, folder: Path, made: Made, seconds: Mapping[str, float], meter: MemoryMeter
) -> None:
    """Write the report and the overview, and tell people."""
    shutil.copyfile(folder / "dataset" / "previews" / "overview.png", folder / "overview.png")
    report = report_of(made, seconds, meter)
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    command = read_command(folder, made.generation)
    here.emit(report, lambda console: _show(console, folder, report, command))


def report_of(made: Made, seconds: Mapping[str, float], meter: MemoryMeter) -> dict[str, Any]:
    """The report: figures for people and for checks; shards' paths are beside the report."""
    manifest, inversion = figures(made.generation), figures(made.inversion)
    scores = {"synthetic": figures(made.synthetic), "real16": figures(made.real)}
    return {
        "schema_version": 1,
        "stages": {name: round(value, 2) for name, value in seconds.items()},
        "images": made.images,
        "generated": manifest["samples"],
        "miou": {**{name: score["miou"] for name, score in scores.items()}, "exact2000": None},
        "per_class_iou": {name: score["per_class_iou"] for name, score in scores.items()},
        "inversion": {
            "psnr": inversion["summary"]["psnr"],
            inversion["distance"]["name"]: inversion["summary"]["distance"],
            "backbone": inversion["distance"]["backbone"],
        },
        "shards": [
            {
                "path": f"dataset/{shard['path']}",
                "samples": shard["samples"],
                "sha256": shard["sha256"],
                "bytes": shard["bytes"],
            }
            for shard in manifest["shards"]
        ],
        "dropped_share": manifest["dropped_share"],
        "throughput": figures(made.label_generator).get("throughput"),
        "memory": {
            "peak_bytes": dict(sorted(meter.peaks.items())),
            "peak_together_bytes": meter.peak_together,
        },
        "versions": {
            "handsoff": importlib.metadata.version("handsoff"),
            "python": platform.python_version(),
            **manifest["versions"],
        },
        "device": str(manifest["plan"].get("device", "unknown")),
    }


def figures(resource: Resource) -> dict[str, Any]:
    """The result of a ready resource.

    Raises:
        DemoFailed: it has none.
    """
    if resource.result is None:
        raise DemoFailed(f"{resource.id} is {resource.state}, but has no result")
    return resource.result


def read_command(folder: Path, generation: Resource) -> list[str]:
    """A command that reads every shard with `webdataset` and prints how many samples there are."""
    shards = figures(generation)["shards"]
    first, last = (Path(shards[end]["path"]).stem.rpartition("-")[2] for end in (0, -1))
    pattern = _short(folder / "dataset" / "data") + f"/shard-{{{first}..{last}}}.tar"
    image = generation.spec.get("image_format", "png")
    return [_short(Path(sys.executable)), "-c", READER.format(shards=pattern, image=image)]


def check_readable(command: list[str], samples: int) -> None:
    """Run that very command, where `webdataset` is installed, and compare.

    Raises:
        DemoFailed: it fails, or counts another number.
    """
    if importlib.util.find_spec("webdataset") is None:
        return
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or done.stdout.strip() != str(samples):
        said = done.stdout.strip() or done.stderr.strip()[-500:]
        raise DemoFailed(
            f"webdataset does not read {samples} samples from the shards; it said: {said}"
        )


def _short(path: Path) -> str:
    """A path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _show(console: Console, folder: Path, report: Mapping[str, Any], command: list[str]) -> None:
    """The end of the demo, for people."""
    data = _short(folder / "dataset" / "data")
    total = sum(shard["bytes"] for shard in report["shards"])
    console.print(_scores(report), "")
    lines = (
        f"{report['generated']:,} labelled images in {len(report['shards'])} shards, "
        f"{size(total)}: {data}",
        f"Pictures: {_short(folder / 'overview.png')} and {_short(folder / 'inversions.png')}",
        f"Report:   {_short(folder / 'report.json')}",
        f"Took {duration(sum(report['stages'].values()))}; "
        f"at most {size(report['memory']['peak_together_bytes'])} of memory.",
        f"Read the shards:\n\n    {shlex.join(command)}\n",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _scores(report: Mapping[str, Any]) -> Table:
    """Intersection over union on real test images, by class and by what was trained on."""
    generated, real = f"{report['generated']:,} generated", f"{report['images']} real"
    classes = report["per_class_iou"]
    rows = [
        {"class": name, generated: _score(score), real: _score(classes["real16"].get(name))}
        for name, score in classes["synthetic"].items()
    ]
    miou = report["miou"]
    mean = {"class": "mIOU", generated: _score(miou["synthetic"]), real: _score(miou["real16"])}
    return table([*rows, mean], ("class", generated, real))


def _score(value: float | None) -> str:
    """A score in three digits; a class that nothing was tested on has none."""
    return "–" if value is None else f"{value:.3f}"

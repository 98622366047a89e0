"""How fast images are labelled, in how much memory, and how near to the peers' way the labels are.

    python -m tests.benchmarks.labelling [--shape NAME ...] [--quick]

Ours, the bare generator and the peers' way (`naive`) work on the same inputs, each in a process of
its own, one after the other. Writes one JSON object. For each shape and way:

    seconds, processor_seconds   of one image, the median of `repeats` (a first one warms up, and
                                 stands alone where it takes longer than all should)
    peak_bytes                   the most the process held above what it held when its inputs were
                                 made: resident memory as the kernel counts it (the allocator's
                                 spare memory was given back before), on CUDA that of PyTorch
    macs, share_of_roofline      as counted in `roofline`, and how much of what this machine can do

`labelling` begins with ready feature maps, `labelled` with style codes. `exactness` compares the
logits of all members at every pixel.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.data.shards import write_shard
from models.generation import Plan, fill_shard
from models.progress import silent
from tests.benchmarks import naive, roofline
from tests.benchmarks.roofline import Roofline, finish
from tests.benchmarks.shapes import ON_CPU, SEED, SHAPES, Shape, Subject, subject

PATIENCE, QUICK_PATIENCE = 20.0, 0.0
"""Seconds that the repeats of one way may take together."""
REPEATS = 5
BATCHES_OF_SHARD = 4
_SPARE = 1.3
"""What the peers' way takes at most, in hypercolumns: hidden values and logits come on top."""


def main() -> None:
    """Print the figures of some shapes, or what a process of its own was asked for."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = list(ON_CPU if device.type == "cpu" else SHAPES)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=default)
    parser.add_argument("--quick", action="store_true", help="the figures mean nothing")
    parser.add_argument("--way", choices=_PARTS, help="measure this alone, in this process")
    options = parser.parse_args()
    if options.way:
        [name] = options.shape
        found = _PARTS[options.way](SHAPES[name], device, options.quick)
    else:
        shapes = options.shape[:1] if options.quick else options.shape
        found = measure(shapes, device, options.quick)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def measure(names: Iterable[str], device: torch.device, quick: bool) -> dict[str, Any]:
    """Everything about shapes, by name, and what the machine can do at most."""
    limits = roofline.measured(device)
    return {
        "device": _name_of(device),
        "threads": torch.get_num_threads(),
        "roofline": asdict(limits),
        "shapes": {name: _measure_shape(name, limits, quick) for name in names},
    }


def _measure_shape(name: str, limits: Roofline, quick: bool) -> dict[str, Any]:
    """The figures of all ways, and their ratios."""
    wanted = [way for way in _PARTS if torch.cuda.is_available() or way != "naive_half"]
    found = {way: _apart(name, way, quick) for way in wanted}
    costs = _costs(SHAPES[name])
    for way, figures in found.items():
        if way in costs:
            figures["macs"] = costs[way].macs
            bound = limits.seconds(costs[way])
            figures["share_of_roofline"] = bound / figures["seconds"]
    return {**found, "ratios": _ratios(found)}


def _costs(shape: Shape) -> Mapping[str, roofline.Cost]:
    drawn, labels, theirs = (
        of(shape) for of in (roofline.synthesis, roofline.ours, roofline.naive)
    )
    return {"synthesis": drawn, "labelled": drawn + labels, "labelling": labels, "naive": theirs}


def _ratios(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What the bars are about; by the clock, but for memory."""
    seconds = {way: figures["seconds"] for way, figures in found.items() if "seconds" in figures}
    theirs, ours = found["naive"], found["labelling"]
    return {
        "labelling_speedup": seconds["naive"] / seconds["labelling"],
        "labelling_speedup_processor": theirs["processor_seconds"] / ours["processor_seconds"],
        "labelling_memory": ours["peak_bytes"] / theirs["peak_bytes"],
        "labelled_of_synthesis": seconds["synthesis"] / seconds["labelled"],
        "shard_of_labelled": seconds["labelled"] / seconds["shard"],
    }


def _apart(name: str, way: str, quick: bool) -> Any:
    """What a process that does nothing else finds."""
    command = [sys.executable, "-m", "tests.benchmarks.labelling", "--shape", name, "--way", way]
    command += ["--quick"] if quick else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Work:
    """Something to be measured: how often it is done at once, and by what function.

    Attributes:
        images: labelled or drawn by one call.
        once: does it.
        bands: see `naive.logits`.
    """

    images: int
    once: Callable[[], object]
    bands: int = 1


def _synthesis(it: Subject) -> Work:
    return Work(len(it.ws), lambda: it.generator.synthesize(it.ws))


def _labelled(it: Subject) -> Work:
    def once() -> None:
        _, features = it.generator.synthesize_with_features(it.ws)
        it.label_generator.predict(features)

    return Work(len(it.ws), once)


def _labelling(it: Subject) -> Work:
    features = it.features()
    return Work(len(it.ws), lambda: it.label_generator.predict(features))


def _naive(it: Subject, dtype: torch.dtype = torch.float32) -> Work:
    """One image, for that is all they take at a time."""
    features = [f[:1].to(dtype) for f in it.features()]
    members = [member.to(it.ws.device, dtype) for member in naive.networks(it.mlps)]
    size = it.label_generator.size
    bands = _bands(features, size)
    return Work(1, lambda: naive.decided(naive.logits(members, features, size, bands)), bands)


def _bands(features: list[Tensor], size: tuple[int, int]) -> int:
    """1 where a hypercolumn fits into the memory that is free, else as many as are needed."""
    numbers = sum(f.shape[1] for f in features) * size[0] * size[1]
    needed = int(_SPARE * numbers * features[0].element_size())
    return -(-needed // _free(features[0].device))


def _shard(it: Subject) -> Work:
    """A whole shard, encoded and written to a folder."""
    batch = len(it.ws)
    plan = Plan(
        count=batch * BATCHES_OF_SHARD,
        shard_size=batch * BATCHES_OF_SHARD,
        batch=batch,
        threads=torch.get_num_threads(),
        device=it.ws.device.type,
        psi=1.0,
        seed=SEED,
    )

    def once() -> None:
        with tempfile.TemporaryDirectory() as folder:
            filled = fill_shard(it.generator, [it.label_generator], plan, 0, silent)
            write_shard(Path(folder, "shard.tar"), (sample for sample, _ in filled))

    return Work(plan.count, once)


def _timed(
    prepare: Callable[[Subject], Work], shape: Shape, device: torch.device, quick: bool
) -> dict[str, Any]:
    """Time and memory of one way."""
    with torch.no_grad():
        work = prepare(subject(shape, device))
        memory = _Memory(device)
        times = [_time(work, device)]
        peak = memory.peak()
        began, patience = time.perf_counter(), QUICK_PATIENCE if quick else PATIENCE
        while len(times) <= REPEATS and time.perf_counter() - began + times[0][0] < patience:
            times.append(_time(work, device))
    kept = times[1:] or times
    clock, processors = (statistics.median(some) / work.images for some in zip(*kept, strict=True))
    return {
        "images": work.images,
        "repeats": len(kept),
        "seconds": clock,
        "processor_seconds": processors,
        "peak_bytes": peak,
        "bands": work.bands,
    }


def _time(work: Work, device: torch.device) -> tuple[float, float]:
    """Seconds of the clock and of the processors that one call takes."""
    clock, processors = time.perf_counter(), time.process_time()
    work.once()
    finish(device)
    return time.perf_counter() - clock, time.process_time() - processors


def _exactness(shape: Shape, device: torch.device, quick: bool) -> dict[str, Any]:
    """Our logits beside the peers', float32, of one image.

    Returns:
        `error`: the largest difference, in shares of the largest logit; `same_class`: the share
        of pixels to which all members together (by the mean of their probabilities) give the
        same class, and `same_class_of_members`, to which a member does.
    """
    with torch.no_grad():
        it = subject(shape, device)
        features = [f[:1].float() for f in it.features()]
        ours = it.label_generator.outputs(features)[:, :, 0]
        members = [member.to(device) for member in naive.networks(it.mlps)]
        size = it.label_generator.size
        theirs = naive.logits(members, features, size, _bands(features, size))
    return compared(ours, theirs)


def compared(ours: Tensor, theirs: Tensor) -> dict[str, Any]:
    """How near logits [M, K, H, W] are to the reference's; see `_exactness`."""
    same = [x.softmax(dim=1).mean(dim=0).argmax(dim=0) for x in (ours, theirs)]
    largest = float(theirs.abs().max())
    # Member after member, for the difference of all would be a third tensor of that size.
    error = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
    of_members = ours.argmax(dim=1) == theirs.argmax(dim=1)
    return {
        "error": error / largest,
        "same_class": float((same[0] == same[1]).double().mean()),
        "same_class_of_members": float(of_members.double().mean()),
    }


_PARTS: Mapping[str, Callable[[Shape, torch.device, bool], dict[str, Any]]] = {
    "synthesis": partial(_timed, _synthesis),
    "labelled": partial(_timed, _labelled),
    "labelling": partial(_timed, _labelling),
    "naive": partial(_timed, _naive),
    "naive_half": partial(_timed, partial(_naive, dtype=torch.float16)),
    "shard": partial(_timed, _shard),
    "exactness": _exactness,
}
"""What a process can be asked for; `naive_half` on CUDA alone, the peers' way in half precision."""


class _Memory:
    """The most memory that is held from here on, above what is held now."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
        else:
            # What was freed before would hide what is taken from it.
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # The peak is the present size now.
            self._before = _status("VmRSS")

    def peak(self) -> int:
        """In bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        return _status("VmHWM") - self._before


def _status(name: str) -> int:
    """A size of this process as the kernel has it, in bytes."""
    return _kilobytes(Path("/proc/self/status"), name)


def _kilobytes(path: Path, name: str) -> int:
    lines = path.read_text().splitlines()
    [found] = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found) * 1024


def _free(device: torch.device) -> int:
    """Bytes that can still be taken."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()

"""Trains the demo domain's generator: `python -m models.demo.training --out DIR`.

DIR holds the cached renders, `log.jsonl` (one line of losses a minute or so), and at every
snapshot `state.pt` (all that resuming needs), the averaged generator, `generator.safetensors` (the
latest, in half precision, as it is shipped) and a sheet of samples beside the renders they should
be. Each is written beside its place and renamed, so a killed run goes on from its last snapshot
when started again with the same DIR. What is shipped takes two runs, the second from the generator
of the first (README.md beside this file).

Weights and batches follow from the seed; the noise inputs of training do not.
"""

import argparse
import dataclasses
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from models.checkpoints import load_generator
from models.checkpoints.neutral import save_generator
from models.demo.cache import CHUNK, RenderCache, parameters_of, sample_z
from models.demo.recipe import IMAGE_SIZE, PRESETS, Recipe
from models.demo.renderer import render
from models.demo.sheets import save_pair
from models.demo.steps import Trainer, processes

SHEET_FIRST = 10_000_000  # faces of the sheets, never in a cache


class Run:
    """One training in one folder, possibly shared by several processes.

    Every process holds the same networks and takes its share of each batch; the first alone
    renders and writes files.
    """

    def __init__(self, folder: Path, recipe: Recipe, start: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.recipe = folder, recipe
        self.rank = dist.get_rank() if processes() > 1 else 0
        cache = RenderCache(folder / "renders", recipe.cache_images, recipe.seed)
        stream = torch.Generator()
        state_file = folder / "state.pt"
        given = None if start is None or state_file.exists() else load_generator(start)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.trainer = Trainer(recipe, cache, stream, given)
        if state_file.exists():
            self.trainer.restore(torch.load(state_file, weights_only=True))
        self._logged_seen = self.trainer.progress.seen
        stream.manual_seed(recipe.seed + 8191 * self._logged_seen + self.rank)
        torch.manual_seed(stream.initial_seed())  # noise inputs
        self._logged_at = time.monotonic()
        self._sums: dict[str, list[float]] = defaultdict(list)

    def train(self, seconds: float, log_seconds: float, snapshot_seconds: float) -> None:
        """Steps until the recipe is done or `seconds` have passed, then a last snapshot."""
        trainer = self.trainer
        self._render(until=self.recipe.first_images)
        _agree(True)  # nobody draws a batch before there is one
        trainer.cache.refresh()
        began = snapshot_at = self._logged_at = time.monotonic()
        while not trainer.finished and _agree(time.monotonic() - began < seconds):
            for name, value in trainer.step().items():
                self._sums[name].append(value)
            if not trainer.cache.complete:
                self._render(until=trainer.cache.count + CHUNK)
            if self.rank == 0 and time.monotonic() - self._logged_at >= log_seconds:
                self._log()
            if self.rank == 0 and time.monotonic() - snapshot_at >= snapshot_seconds:
                self.snapshot()
                snapshot_at = time.monotonic()
        if self.rank == 0:
            self._log()
            self.snapshot()

    def _render(self, until: int) -> None:
        """Fills the cache in one thread: drawing is many small steps, and threads only wait."""
        if self.rank:
            self.trainer.cache.refresh()
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self.trainer.cache.grow(until)
        torch.set_num_threads(threads)

    def _log(self) -> None:
        """Appends the means since the last line."""
        progress, now = self.trainer.progress, time.monotonic()
        elapsed = now - self._logged_at
        progress.seconds += elapsed
        line: dict[str, float] = {
            "pretrained": progress.pretrained,
            "adversarial": progress.adversarial,
            "renders": self.trainer.cache.count,
            "seconds": round(progress.seconds, 1),
            "images_per_second": round((progress.seen - self._logged_seen) / elapsed, 1),
        }
        line |= {name: round(sum(v) / len(v), 5) for name, v in self._sums.items()}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        self._sums.clear()
        self._logged_at, self._logged_seen = now, progress.seen

    def snapshot(self) -> None:
        """Writes state, averaged generator and sheet."""
        trainer, seen = self.trainer, self.trainer.progress.seen
        temporary = self.folder / "state.pt.tmp"
        torch.save(trainer.state(), temporary)
        temporary.replace(self.folder / "state.pt")
        trainer.refresh_w_avg()
        details = {
            "pretrained_images": str(trainer.progress.pretrained),
            "adversarial_images": str(trainer.progress.adversarial),
            "recipe": json.dumps(dataclasses.asdict(self.recipe), sort_keys=True),
        }
        save_generator(trainer.average, self.folder / "generator.safetensors", details, half=True)
        save_generator(trainer.average, self.folder / f"generator-{seen:08d}.safetensors", details)
        self._sheet(self.folder / f"sheet-{seen:08d}.png")

    @torch.no_grad()
    def _sheet(self, path: Path) -> None:
        """64 samples of the averaged generator beside the renders of the same z."""
        z = sample_z(SHEET_FIRST, 64, self.recipe.seed)
        average = self.trainer.average
        samples = average.synthesize(average.map(z))
        save_pair(samples, render(parameters_of(z), IMAGE_SIZE).images, path)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description="Train the demo domain's generator.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; resumes there")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="demo")
    parser.add_argument("--start", type=Path, help="generator to begin from; may be narrower")
    parser.add_argument("--processes", type=int, default=1, help="that share each batch")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this long")
    parser.add_argument("--log-seconds", type=float, default=20.0)
    parser.add_argument("--snapshot-minutes", type=float, default=5.0)
    overrides = parser.add_argument_group("numbers of the preset to replace")
    for field in dataclasses.fields(Recipe):
        if field.type in (int, float):
            flag = "--" + field.name.replace("_", "-")
            overrides.add_argument(flag, type=field.type, default=None)
    arguments = vars(parser.parse_args())
    names = {field.name for field in dataclasses.fields(Recipe)}
    given = {key: value for key, value in arguments.items() if key in names and value is not None}
    recipe = dataclasses.replace(PRESETS[arguments["preset"]], **given)
    count, folder = arguments["processes"], arguments["out"]
    if count == 1:
        _work(0, folder, recipe, arguments)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rendezvous").unlink(missing_ok=True)
    arguments_of_each = (folder, recipe, arguments)
    spawn(_work, arguments_of_each, nprocs=count)  # type: ignore[no-untyped-call]


def _work(rank: int, folder: Path, recipe: Recipe, arguments: dict[str, Any]) -> None:
    """One process of a run."""
    torch.set_num_threads(arguments["threads"])
    if (count := arguments["processes"]) > 1:
        meeting = f"file://{folder.resolve()}/rendezvous"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    run = Run(folder, recipe, arguments["start"])
    run.train(
        arguments["minutes"] * 60, arguments["log_seconds"], arguments["snapshot_minutes"] * 60
    )
    if count > 1:
        dist.destroy_process_group()


def _agree(go_on: bool) -> bool:
    """What the first process thinks, in every process."""
    if processes() == 1:
        return go_on
    flag = torch.tensor([go_on], dtype=torch.uint8)
    dist.broadcast(flag, src=0)
    return bool(flag.item())


if __name__ == "__main__":
    main()

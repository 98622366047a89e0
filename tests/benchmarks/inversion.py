"""How near and how fast the inversion is, beside a loop that does what the peers do.

The reference optimises W+ one image at a time for 499 steps, computes the target's features anew
in each of them, and keeps the last iterate, with the authors' rate and weights. Both begin with
the demo encoder's codes, in the same process, with as many threads; finding those codes is in
neither time. What the encoder's start is worth beside the mean code is measured as well.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import load_encoder
from models.checkpoints.neutral import load_neutral
from models.configs import FROM_AFAR, InversionConfig, Start
from models.inversion import prepared
from models.inversion_batches import Batches
from models.inversion_run import Problem, Run, Snapshots, judged
from models.inversion_starts import Starts
from models.latent_search import learning_rate
from models.perceptual import random_distance
from models.progress import silent
from service.cli.demo_scale import FULL, QUICK
from tests.benchmarks.faces import ENCODER, GENERATOR, SIZE, renders

CPU = torch.device("cpu")
IMAGES = 16
SEED = 100
MEAN_STEPS = (60, 150, 300)


def measure(quick: bool) -> dict[str, Any]:
    """Seconds and fidelity (10 x distance + MSE, a mean over the images) of both.

    Returns:
        `reference` and `ours`, each with `seconds` of the clock and of the processors, `steps` an
        image and `fidelity`; `fidelity_ratio`, ours to the reference's; `speedup`, by the clock
        and by the processors' time; `starts`, see `_starts`.
    """
    count, steps, scale = (2, 6, QUICK) if quick else (IMAGES, 500, FULL)
    config = InversionConfig(**scale.inversion).from_start("encoder")
    problem = _problem(count, config)
    starts = Starts(problem.generator, problem.distance, config, silent, load_encoder(ENCODER))
    run = Run.begin(problem, starts, Batches(1))
    start = run.search.start
    theirs, reference_time = _timed(lambda: _reference(problem, start, steps))
    ours, our_time = _timed(lambda: _ours(problem, run))
    reference = {**reference_time, "steps": steps - 1, "fidelity": _fidelity(problem, theirs)}
    found = {
        **our_time,
        "steps": float(run.search.taken.double().mean()),
        "fidelity": _fidelity(problem, ours),
    }
    return {
        "images": count,
        "threads": torch.get_num_threads(),
        "start": {"fidelity": _fidelity(problem, start)},
        "reference": reference,
        "ours": found,
        "fidelity_ratio": found["fidelity"] / reference["fidelity"],
        "speedup": {key: reference_time[key] / our_time[key] for key in our_time},
        "starts": _starts(count, [6] if quick else list(MEAN_STEPS)),
    }


def _starts(count: int, mean_steps: Sequence[int]) -> list[dict[str, Any]]:
    """The fidelity from the mean code, and from the encoder's after a third of those steps.

    Of two sets of images. `encoder` is searched with the settings that are an encoder's default
    (`configs.FROM_A_GUESS`), `encoder_alike` with those of the mean.
    """
    return [
        {
            "mean_steps": steps,
            "encoder_steps": steps // 3,
            "mean": _from("mean", steps, count),
            "encoder": _from("encoder", steps // 3, count),
            "encoder_alike": _from("encoder", steps // 3, count, **FROM_AFAR),
        }
        for steps in mean_steps
    ]


def _from(start: Start, steps: int, count: int, **settings: Any) -> float:
    """The fidelity that the default search reaches."""
    asked = {**FULL.inversion, "steps": steps, **settings}
    config = InversionConfig(**asked).from_start(start)
    return sum(_reached(_problem(count, config, seed)) for seed in (SEED, SEED + 1)) / 2


def _reached(problem: Problem) -> float:
    """The fidelity of a search from the start that is asked for."""
    encoder = load_encoder(ENCODER)
    starts = Starts(problem.generator, problem.distance, problem.config, silent, encoder)
    return _fidelity(problem, _ours(problem, Run.begin(problem, starts, Batches(1))))


def _problem(count: int, config: InversionConfig, seed: int = SEED) -> Problem:
    """Rendered faces, to be inverted by the demo's generator."""
    pictures = renders(count, seed).images
    images = prepared(pictures, [f"image {i}" for i in range(count)], SIZE)
    distance = random_distance(config.seed, CPU)
    return Problem(load_neutral(Path(GENERATOR)), distance, images, config)


def _ours(problem: Problem, run: Run) -> Tensor:
    """Latents of a run that has its starts; how many fit together is part of the work."""
    run.batches.size = problem.fitting()
    run.go(Snapshots(None, None), silent)
    return run.found()[0]


def _reference(problem: Problem, starts: Tensor, steps: int) -> Tensor:
    """Latents by the peers' way, one image after the other."""
    pairs = zip(*(torch.split(some, 1) for some in (problem.images, starts)), strict=True)
    return torch.cat([_one(problem, image, start, steps) for image, start in pairs])


def _one(problem: Problem, image: Tensor, start: Tensor, steps: int) -> Tensor:
    """The last iterate for one image [1, 3, H, W] from `start` [1, num_ws, w_dim]."""
    w = start.clone().requires_grad_()
    adam = torch.optim.Adam([w])
    for step in range(1, steps):
        adam.param_groups[0]["lr"] = learning_rate(step, steps, 0.1)
        drawn = problem.generator.synthesize(w)
        distance = problem.distance(drawn, problem.distance.targets(image)).sum()
        mse = ((drawn - image) / 2).square().mean()
        loss = 10 * distance + mse + (w - start).square().mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return w.detach()


def _timed(work: Callable[[], Tensor]) -> tuple[Tensor, dict[str, float]]:
    """What `work` returns, and what it took of the clock and of the processors."""
    clock, processors = time.perf_counter(), time.process_time()
    result = work()
    spent = (time.perf_counter() - clock, time.process_time() - processors)
    return result, dict(zip(("seconds", "processor_seconds"), spent, strict=True))


def _fidelity(problem: Problem, latents: Tensor) -> float:
    """10 x distance + MSE, the mean over the images."""
    terms = judged(problem, latents, Batches(1))
    return float((10 * terms.distance + terms.mse).mean())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the figures mean nothing")
    sys.stdout.write(json.dumps(measure(parser.parse_args().quick), indent=1) + "\n")


if __name__ == "__main__":
    main()

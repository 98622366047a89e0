"""What training a label generator takes: memory, time, and how good it is in either mode.

    python -m tests.benchmarks.label_training [--only memory | speed | quality] [--quick]

memory   16 images of FFHQ's shape (1024 pixels, labels of 512), random weights: the most that a
         process of its own takes to cache their features, to train, and to compare the labels
speed    milliseconds of a step, by what is done in it, in shapes of the demo and of 256 pixels
quality  default mode against paper mode on the same inversions of 16 renders: mIOU of the network
         that is trained on what they generate, and seconds of training on one and two threads

Writes one JSON object: bytes, seconds, shares.
"""

import argparse
import functools
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from models.checkpoints.neutral import load_neutral
from models.configs import InversionConfig, LabelGeneratorConfig, Mode
from models.inversion import invert, prepared
from models.label_agreement import label_agreement
from models.label_generator import label_size
from models.label_generator_training import train_on
from models.labels import SegmentationSpec
from models.latents import mapped
from models.lessons import Lesson, lesson_of
from models.perceptual import random_distance
from models.pixel_mlps import PixelMLPs
from models.pixel_orders import Source, draws
from models.progress import silent
from models.seeding import philox
from models.stylegan2.networks import Generator
from service.cli.demo_scale import FULL, QUICK
from service.supervisor.memory import MemoryMeter
from tests.benchmarks import quality
from tests.benchmarks.faces import CPU, GENERATOR, SIZE, SPECS, renders
from tests.benchmarks.shapes import SHAPES, Shape

LIMIT = 4_000_000_000
"""Bytes of memory that training for 16 images of FFHQ's shape may take."""
IMAGES, CLASSES = 16, 19
SEED = 100
MODES: tuple[Mode, ...] = ("default", "paper")
QUICK_SHAPE = Shape((32, 32, 32, 32, 16), hidden=(32, 16), classes=CLASSES)


def memory(quick: bool, images: int, steps: int) -> dict[str, Any]:
    """What one process takes for FFHQ's shape, from the latents to the compared labels."""
    began = time.perf_counter()
    seconds = {}
    with MemoryMeter(lambda: {}, interval_seconds=0.2) as meter:
        generator = random_generator(QUICK_SHAPE if quick else SHAPES["ffhq-1024"])
        lesson = random_lesson(generator, images)
        seconds["features"] = time.perf_counter() - began
        config = LabelGeneratorConfig(max_steps=steps)
        made, _ = train_on(lesson, "0" * 64, config, silent)
        seconds["training"] = time.perf_counter() - began - seconds["features"]
        label_agreement(lesson, config, silent)
        seconds["all"] = time.perf_counter() - began
        meter.measure()
    table = lesson.pixels.table
    return {
        "images": images,
        "steps": steps,
        "channels": made.layers.w1.shape[-1],
        "limit": LIMIT,
        "table": sum(values.nbytes for values in table.tables),
        "peak_resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "peak_proportional": meter.peaks[meter.ourselves],
        "seconds": seconds,
    }


def speed(quick: bool, threads: int) -> dict[str, Any]:
    """Milliseconds of a default step by its parts, in several shapes."""
    torch.set_num_threads(threads)
    steps = 5 if quick else 50
    shape = random_generator(QUICK_SHAPE if quick else SHAPES["config-e-256"])
    lessons = {
        "demo": demo_lesson("default", inversion_steps=0),
        "config-e-256": random_lesson(shape, 2 if quick else IMAGES),
    }
    return {name: parts_of_a_step(lesson, steps) for name, lesson in lessons.items()}


def parts_of_a_step(lesson: Lesson, steps: int) -> dict[str, float]:
    """Milliseconds of reading pixels, going forward, back, and moving; means over some steps."""
    config = LabelGeneratorConfig()
    pixels, head = lesson.pixels, lesson.head
    widths = (pixels.table.channels, *config.hidden, head.outputs)
    network = PixelMLPs(widths, config.members, config.seed)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    source = Source.uniform(torch.arange(len(pixels.targets)), config.batch)
    order = draws([source] * config.members, config.seed, CPU)
    looks = []
    for _ in range(steps + 1):
        times = [time.perf_counter()]
        values, targets = pixels.read(next(order))
        times.append(time.perf_counter())
        loss = head.loss(network(values), targets).sum()
        times.append(time.perf_counter())
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter())
        adam.step()
        times.append(time.perf_counter())
        looks.append(np.diff(times))
    means = 1000 * np.mean(looks[1:], axis=0)  # The first pays for what is set up once.
    return dict(zip(("read", "forward", "backward", "move"), means.tolist(), strict=True))


def measured_quality(quick: bool, seeds: int) -> dict[str, Any]:
    """Both modes: the figures of what they generate, and what their training takes."""
    return {
        "figures": {mode: _figures(mode, quick, seeds) for mode in MODES},
        "training_seconds": {
            mode: {
                str(threads): _apart(training_seconds, mode, threads, quick) for threads in (1, 2)
            }
            for mode in MODES
        },
    }


def training_seconds(mode: Mode, threads: int, quick: bool) -> float:
    """What the ensemble's training takes on so many threads, features being there.

    A short one goes before it: the first optimiser of a process imports half of PyTorch, which
    takes seconds, and a worker trains more than once.
    """
    torch.set_num_threads(threads)
    lesson = demo_lesson(mode, inversion_steps=0 if quick else 20)
    train_on(lesson, "0" * 64, LabelGeneratorConfig(mode=mode, **_short(quick=True)), silent)
    config = LabelGeneratorConfig(mode=mode, **_short(quick))
    seconds: float = train_on(lesson, "0" * 64, config, silent)[1]["seconds"]
    return seconds


def _figures(mode: Mode, quick: bool, seeds: int) -> Mapping[str, Any]:
    """How the network does that is trained on images labelled by one mode's label generator."""
    scale = QUICK if quick else FULL
    method = {**scale.label_generator, "mode": mode, **_short(quick)}
    asked = quality.Asked(
        seeds=seeds,
        count=scale.samples,
        test=scale.test,
        kinds=("segmentation",),
        sources=("generated",),
        scale=replace(scale, label_generator=method),
    )
    figures: Mapping[str, Any] = quality.measure(asked)["kinds"]["segmentation"]["generated"]
    return figures


def _short(quick: bool) -> dict[str, Any]:
    """Settings of a training that is to end at once."""
    return {"members": 3, "max_steps": 40} if quick else {}


def demo_lesson(mode: Mode, inversion_steps: int) -> Lesson:
    """16 renders of faces, inverted in a hurry: speed does not depend on how well."""
    generator, faces = load_neutral(GENERATOR), renders(IMAGES, SEED)
    images = prepared(faces.images, [f"image {i}" for i in range(IMAGES)], SIZE)
    config = InversionConfig(distance="perceptual", steps=inversion_steps)
    latents = invert(generator, images, random_distance(0, CPU), config, silent).latents
    labels, spec = faces.labels["segmentation"], SPECS["segmentation"]
    return lesson_of(generator, latents, labels, spec, mode, silent)


def random_generator(shape: Shape) -> Generator:
    """A generator of a shape, whose weights mean nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return Generator(shape.config).eval().requires_grad_(False)


def random_lesson(generator: Generator, images: int) -> Lesson:
    """Images of a generator, and masks of CLASSES stripes that each has in other places."""
    latents = mapped(generator, [philox(SEED, index) for index in range(images)])
    height, width = label_size(generator.image_shape[1:])
    stripe = -(-width // CLASSES)
    row = np.arange(width) // stripe
    masks = [np.tile(np.roll(row, 7 * i), (height, 1)).astype(np.uint8) for i in range(images)]
    spec = SegmentationSpec(classes=tuple(f"class {index}" for index in range(CLASSES)))
    return lesson_of(generator, latents, masks, spec, "default", silent)


def _apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns in a process of its own, where nothing is left from before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("memory", "speed", "quality"))
    parser.add_argument("--quick", action="store_true", help="the figures mean nothing")
    parser.add_argument("--images", type=int, default=IMAGES, help="for memory")
    parser.add_argument("--steps", type=int, default=200, help="for memory")
    parser.add_argument("--seeds", type=int, default=3, help="for quality")
    asked = parser.parse_args()
    images, steps, seeds = (3, 20, 1) if asked.quick else (asked.images, asked.steps, asked.seeds)
    parts: Mapping[str, Callable[[], Any]] = {
        "memory": functools.partial(_apart, memory, asked.quick, images, steps),
        "speed": functools.partial(_apart, speed, asked.quick, 1),
        "quality": functools.partial(measured_quality, asked.quick, seeds),
    }
    chosen = [asked.only] if asked.only else list(parts)
    found = {"benchmark": "label_training", **{name: parts[name]() for name in chosen}}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

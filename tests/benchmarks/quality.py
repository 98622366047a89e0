"""How good the datasets are: one network, trained on generated, few real, and many real images.

    (a) generated  2,000 images made from 16 labelled renders, by the whole method
    (b) real16     the 16 labelled renders themselves
    (c) exact2000  2,000 renders with exact labels, the ceiling

each tested on the same 500 renders, with one recipe, for several seeds. A seed decides the
16 renders, the ensemble, what is generated and the network.
"""

import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.checkpoints.neutral import load_neutral
from models.configs import InversionConfig, LabelGeneratorConfig, Recipe
from models.data.sample import read_sample
from models.data.shards import read_shard, write_shard
from models.demo.parameters import sample_parameters
from models.demo.renderer import CLASS_NAMES, render_batchwise
from models.downstream import LabelledImages, judge
from models.generation import Plan, as_pixels, batch_size, calibrate, fill_shard, threshold
from models.inversion import invert, prepared
from models.label_generator_training import train_label_generator
from models.labels import SegmentationSpec
from models.metrics.segmentation import mean_iou, per_class_iou
from models.perceptual import random_distance
from models.progress import silent
from service.cli.demo_scale import FULL

GENERATOR = Path("models/demo/generator.safetensors")
SPEC = SegmentationSpec(classes=CLASS_NAMES)
CPU = torch.device("cpu")
DROP = 0.1


def measure(seeds: int, generated: int, exact: int, test: int) -> dict[str, Any]:
    """Mean and single mIOUs of all three, and the IoU of each class.

    As many networks are trained at once as there are processors, each on one thread.
    """
    names = ("generated", "real16", "exact2000")
    jobs = [(name, seed, generated, exact, test) for seed in range(seeds) for name in names]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        confusions = list(pool.map(_confusion, *zip(*jobs, strict=True)))
    return {
        name: _summary(
            [found for job, found in zip(jobs, confusions, strict=True) if job[0] == name]
        )
        for name in names
    }


def _confusion(name: str, seed: int, generated: int, exact: int, test: int) -> np.ndarray:
    """Confusions [K, K] on the held-out renders of the network trained on what `name` says."""
    sources = {
        "generated": lambda: made_from(renders(16, 100 + seed), generated, seed),
        "real16": lambda: renders(16, 100 + seed),
        "exact2000": lambda: renders(exact, 200 + seed),
    }
    validation, held_out = renders(50, 1_000_003), renders(test, 1_000_004)
    found = judge(sources[name](), validation, held_out, SPEC, Recipe(seed=seed), CPU, silent)
    return found.confusion


def renders(count: int, seed: int) -> LabelledImages:
    """Renders with exact labels."""
    images, masks = [], []
    for drawn in render_batchwise(sample_parameters(count, seed)):
        images += list(as_pixels(drawn.images, (64, 64)))
        masks += list(drawn.masks.numpy())
    return LabelledImages(images, masks)


def made_from(few: LabelledImages, count: int, seed: int) -> LabelledImages:
    """What the method makes of a few labelled images, with the demo's settings."""
    generator = load_neutral(GENERATOR)
    names = [f"image {i}" for i in range(len(few.images))]
    images = prepared(few.images, names, (64, 64))
    config = InversionConfig(**FULL.inversion)
    found = invert(generator, images, random_distance(0, CPU), config, silent)
    labels, _ = train_label_generator(
        generator,
        found.latents,
        few.masks,
        SPEC,
        "demo",
        LabelGeneratorConfig(seed=seed),
        silent,
    )
    known = calibrate(generator, labels, 1.0, 1000, seed, silent)
    plan = Plan(
        count=count,
        shard_size=count,
        batch=batch_size(CPU, (64, 64)),
        threads=torch.get_num_threads(),
        device="cpu",
        psi=1.0,
        seed=seed,
        threshold=threshold(known.quantiles, DROP),
        image_format="png",
    )
    return _read(sample for sample, _ in fill_shard(generator, labels, plan, 0, silent))


def _read(samples: Iterator[Any]) -> LabelledImages:
    """Through a shard and back, as a user would."""
    images, masks = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.tar")
        write_shard(path, samples)
        with path.open("rb") as file:
            for sample in read_shard(file):
                members = ((f"{sample.key}.{e}", sample.members[e]) for e in ("png", "mask.png"))
                read = read_sample(sample.key, *members, SPEC)
                images.append(read.image)
                masks.append(read.mask)
    return LabelledImages(images, masks)


def _summary(confusions: list[np.ndarray]) -> dict[str, Any]:
    """Mean over the runs, and each of them."""
    single = [mean_iou(confusion) for confusion in confusions]
    by_class = np.mean([per_class_iou(confusion) for confusion in confusions], axis=0)
    return {
        "miou": float(np.mean(single)),
        "miou_of_each_seed": single,
        "per_class_iou": dict(zip(CLASS_NAMES, by_class.tolist(), strict=True)),
    }

"""Faces with labels: drawn with exact ones of all kinds, or made from a few by the method."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.calibration import calibrate, threshold
from models.checkpoints import load_encoder
from models.checkpoints.neutral import load_neutral
from models.configs import InversionConfig, LabelGeneratorConfig
from models.data.sample import labelled_of
from models.data.shards import read_shard, write_shard
from models.demo.parameters import sample_parameters
from models.demo.renderer import CLASS_NAMES, FLIP_PAIRS, KEYPOINT_NAMES, render_batchwise
from models.downstream import LabelledImages
from models.drawing import batch_size
from models.generation import Plan, fill_shard
from models.inversion import invert, prepared
from models.label_generator import LabelGenerator
from models.label_generator_training import train_label_generator
from models.labels import DepthSpec, KeypointsSpec, LabelSpec, SegmentationSpec
from models.perceptual import random_distance
from models.pixels import as_pixels
from models.progress import silent
from models.stylegan2.networks import Generator
from service.cli.demo_scale import Scale

GENERATOR = Path("models/demo/generator.safetensors")
ENCODER = Path("models/demo/encoder.safetensors")
SPECS: dict[str, LabelSpec] = {
    "segmentation": SegmentationSpec(classes=CLASS_NAMES),
    "keypoints": KeypointsSpec(names=KEYPOINT_NAMES, flip_pairs=FLIP_PAIRS),
    "depth": DepthSpec(unit="m", smallest=0.5, largest=5.0),
}
CPU = torch.device("cpu")
SIZE = (64, 64)
DROP = 0.1


@dataclass
class Faces:
    """Pictures uint8 [H, W, 3], and their labels by kind."""

    images: list[np.ndarray] = field(default_factory=list)
    labels: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def of(self, kind: str) -> LabelledImages:
        """The pictures with labels of one kind."""
        return LabelledImages(self.images, self.labels[kind])


def renders(count: int, seed: int) -> Faces:
    """Drawn faces with exact labels of all kinds."""
    faces = Faces(labels={kind: [] for kind in SPECS})
    for drawn in render_batchwise(sample_parameters(count, seed)):
        faces.images += list(as_pixels(drawn.images, SIZE))
        for kind, labels in zip(SPECS, (drawn.masks, drawn.keypoints, drawn.depth), strict=True):
            faces.labels[kind] += list(labels.numpy())
    return faces


class Method:
    """What HandsOff makes of a few labelled faces; they are inverted once for all kinds."""

    def __init__(self, few: Faces, seed: int, scale: Scale) -> None:
        self._few = few
        self._seed = seed
        self._scale = scale
        self._trained: dict[str, LabelGenerator] = {}

    def generated(self, kinds: Sequence[str], count: int) -> Faces:
        """So many labelled images, of which no kind's labels are too uncertain."""
        made = [self._label_generator(kind) for kind in kinds]
        samples = self._config.calibration_samples
        known = calibrate(self._generator, made, 1.0, samples, self._seed, silent)
        limits = {
            kind: limit
            for kind, calibration in zip(kinds, known, strict=True)
            if (limit := threshold(calibration.quantiles, DROP)) is not None
        }
        plan = Plan(
            count=count,
            shard_size=count,
            batch=batch_size(CPU, SIZE),
            threads=torch.get_num_threads(),
            device="cpu",
            psi=1.0,
            seed=self._seed,
            thresholds=limits,
        )
        filled = fill_shard(self._generator, made, plan, 0, silent)
        return _through_a_shard((sample for sample, _ in filled), [SPECS[kind] for kind in kinds])

    @cached_property
    def _generator(self) -> Generator:
        return load_neutral(GENERATOR)

    @property
    def _config(self) -> LabelGeneratorConfig:
        return LabelGeneratorConfig(**{**self._scale.label_generator, "seed": self._seed})

    @cached_property
    def _latents(self) -> torch.Tensor:
        names = [f"image {i}" for i in range(len(self._few.images))]
        images = prepared(self._few.images, names, SIZE)
        config = InversionConfig(**self._scale.inversion)
        distance, encoder = random_distance(0, CPU), load_encoder(ENCODER)
        return invert(self._generator, images, distance, config, silent, encoder).latents

    def _label_generator(self, kind: str) -> LabelGenerator:
        if kind not in self._trained:
            labels, spec = self._few.labels[kind], SPECS[kind]
            self._trained[kind], _ = train_label_generator(
                self._generator, self._latents, labels, spec, "demo", self._config, silent
            )
        return self._trained[kind]


def _through_a_shard(samples: Iterable[Any], specs: Sequence[LabelSpec]) -> Faces:
    """Written and read back, as a user would."""
    faces = Faces(labels={spec.kind: [] for spec in specs})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.tar")
        write_shard(path, samples)
        with path.open("rb") as file:
            for sample in read_shard(file):
                read = labelled_of(sample, specs)
                faces.images.append(read.image)
                for kind, label in read.labels.items():
                    faces.labels[kind].append(label)
    return faces

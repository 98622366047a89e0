"""Trains the demo domain's encoder: `python -m models.demo.encoder_training --out DIR`.

On the shipped generator, from its samples and from renders without their labels or parameters.
DIR holds `encoder-training.safetensors` (a run started again with the same DIR goes on from there),
`log.jsonl` (a line per point of the curve) and at the end `encoder.safetensors` and `record.json`.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoints import load_encoder, load_generator
from models.configs import EncoderTrainingConfig
from models.demo.cache import to_uint8
from models.demo.quality import renders
from models.encoders.neutral import save_encoder
from models.encoders.training import train_encoder
from models.perceptual import random_distance
from models.progress import silent

GENERATOR = Path(__file__).with_name("generator.safetensors")
ENCODER = Path(__file__).with_name("encoder.safetensors")
RENDERS, RENDERS_SEED = 2048, 7001

RECIPE = EncoderTrainingConfig(
    backbone="small",
    steps=3000,
    batch=16,
    learning_rate=3e-3,
    restyle_iterations=2,
    distance="perceptual",
    precision="bfloat16",
    snapshot_every=100,
)
"""Every number of the training that is not a default."""

ONWARDS = RECIPE.model_copy(update={"steps": 1200, "learning_rate": 1.5e-3})
"""The same where an encoder of an earlier generator is the start."""


class Folder:
    """Keeps the state of one run in its folder, and says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> dict[str, Tensor] | None:
        """What was kept; None at the first start."""
        path = self._folder / f"{name}.safetensors"
        return load_file(path) if path.exists() else None

    def save(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Written beside its place and renamed; the curve's last point goes to the log."""
        temporary = self._folder / f"{name}.{os.getpid()}.tmp"
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, temporary)
        temporary.replace(self._folder / f"{name}.safetensors")
        with (self._folder / "log.jsonl").open("a") as log:
            seconds = round(float(state["seconds"]))
            log.write(json.dumps({"seconds": seconds, "point": state["curve"][-1].tolist()}) + "\n")


def train(
    folder: Path,
    recipe: EncoderTrainingConfig = RECIPE,
    reals: int = RENDERS,
    start: Path | None = None,
) -> None:
    """Trains to the end of `recipe`, from the folder's snapshot or else from the encoder `start`.

    Without either it begins from nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = load_generator(GENERATOR)
    distance = random_distance(recipe.seed, torch.device("cpu"))
    faces = torch.cat([to_uint8(images) for images in renders(reals, RENDERS_SEED)])
    begun = None if start is None else load_encoder(start)
    encoder, record = train_encoder(
        generator, distance, recipe, silent, faces, Folder(folder), begun
    )
    # In half precision it is small enough to ship.
    details = {"recipe": recipe.model_dump_json()}
    save_encoder(encoder, folder / "encoder.safetensors", details, half=True)
    (folder / "record.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description="Train the demo domain's encoder.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; resumes there")
    parser.add_argument("--start", type=Path, help="encoder of an earlier generator to begin from")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPE if arguments.start is None else ONWARDS
    train(arguments.out, recipe, start=arguments.start)


if __name__ == "__main__":
    main()

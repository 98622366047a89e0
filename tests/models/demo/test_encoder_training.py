"""The demo's encoder: trained at its smallest, and as it ships."""

import json

import pytest
import torch

from models.checkpoints import load_encoder, load_generator
from models.demo import encoder_training
from models.demo.quality import renders
from models.encoders.encoder import own_tensors
from models.perceptual import random_distance

SMOKE = encoder_training.RECIPE.model_copy(
    update={
        "steps": 2,
        "batch": 2,
        "restyle_iterations": 1,
        "snapshot_every": 1,
        "validation_samples": 2,
    }
)


@pytest.fixture(scope="module")
def generator():
    return load_generator(encoder_training.GENERATOR)


class TestTraining:
    def test_leaves_an_encoder_and_a_record(self, tmp_path, generator):
        """
        A finished run holds an encoder that loads, its record and a line for each point.
        """
        encoder_training.train(tmp_path, SMOKE, reals=2)

        encoder = load_encoder(tmp_path / "encoder.safetensors")
        record = json.loads((tmp_path / "record.json").read_text())
        lines = (tmp_path / "log.jsonl").read_text().splitlines()
        assert encoder.num_ws == generator.num_ws
        assert [point["step"] for point in record["curve"]] == [1, 2]
        assert [json.loads(line)["point"][0] for line in lines] == [1, 2]
        assert record["reals"] == 2

    def test_goes_on_from_its_snapshot(self, tmp_path):
        """
        A run started again in its folder has nothing left to learn.
        """
        encoder_training.train(tmp_path, SMOKE, reals=2)
        before = load_encoder(tmp_path / "encoder.safetensors")

        encoder_training.train(tmp_path, SMOKE, reals=2)

        again = own_tensors(load_encoder(tmp_path / "encoder.safetensors"))
        assert all(torch.equal(tensor, again[key]) for key, tensor in own_tensors(before).items())
        assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2

    def test_begins_from_an_encoder_that_is_given(self, tmp_path):
        """
        The shipped encoder is where it starts: it is far nearer after one step than a new one.
        """
        once = SMOKE.model_copy(update={"steps": 1, "learning_rate": 1e-6})
        encoder_training.train(tmp_path / "new", once, 2)
        encoder_training.train(tmp_path / "on", once, 2, start=encoder_training.ENCODER)

        new, on = (json.loads((tmp_path / k / "record.json").read_text()) for k in ("new", "on"))
        assert on["kept"]["distance"] < 0.5 * new["kept"]["distance"]


class TestShipped:
    def test_is_small(self):
        """
        The file that is part of the package has at most 4 MB.
        """
        assert encoder_training.ENCODER.stat().st_size <= 4_000_000

    def test_starts_far_nearer_than_the_mean(self, generator):
        """
        Renders that it never saw are reconstructed at less than half the mean code's distance.
        """
        distance = random_distance(0, torch.device("cpu"))
        faces = next(renders(8, seed=4242))
        targets = distance.targets(faces)
        mean = generator.w_avg.expand(8, generator.num_ws, -1)

        found = load_encoder(encoder_training.ENCODER).encode(faces, generator)

        with torch.no_grad():
            start = distance(generator.synthesize(found), targets).mean()
            assert start < 0.5 * distance(generator.synthesize(mean), targets).mean()

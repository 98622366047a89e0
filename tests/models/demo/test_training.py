"""The training as a whole, at its smallest: it runs, stops, goes on, and leaves a generator."""

import dataclasses
import json

import pytest
import torch

from models.checkpoints import load_generator
from models.demo import training
from models.demo.cache import RenderCache, parameters_of, sample_z, to_uint8
from models.demo.recipe import PRESETS
from models.demo.renderer import render

SMOKE = PRESETS["smoke"]


def train(folder, **changes):
    """One run of the smoke preset, logging and saving at its end."""
    run = training.Run(folder, dataclasses.replace(SMOKE, **changes))
    run.train(seconds=60, log_seconds=60, snapshot_seconds=60)
    return run.trainer


class TestRun:
    def test_leaves_a_generator_and_a_log(self, tmp_path):
        """
        A finished run holds a generator that loads, a line of losses and a sheet.
        """
        trainer = train(tmp_path)

        generator = load_generator(tmp_path / "generator-00000024.safetensors")
        small = load_generator(tmp_path / "generator.safetensors")
        line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
        assert generator.image_shape == (3, 64, 64)
        assert torch.equal(generator.w_avg, trainer.average.w_avg)
        assert torch.equal(small.w_avg, generator.w_avg.half().float())
        assert (line["pretrained"], line["adversarial"]) == (8, 16)
        assert len(list(tmp_path.glob("sheet-*.png"))) == 1

    def test_goes_on_from_its_snapshot(self, tmp_path):
        """
        A run started again in its folder goes on with the same networks and counts.
        """
        first = train(tmp_path, adversarial_images=8)
        resumed = training.Run(tmp_path, SMOKE).trainer

        assert resumed.progress.seen == 16
        for name, tensor in first.discriminator.state_dict().items():
            assert torch.equal(tensor, resumed.discriminator.state_dict()[name]), name
        assert train(tmp_path).progress.seen == 24

    def test_begins_from_a_generator_that_is_given(self, tmp_path):
        """
        A narrower generator is where the training starts, and a snapshot goes before it.
        """
        narrow = train(tmp_path / "narrow", generator_channels=(8, 8, 6, 6, 4)).average
        start = tmp_path / "narrow/generator-00000024.safetensors"

        begun = training.Run(tmp_path / "wide", SMOKE, start)
        ws = narrow.map(sample_z(0, 2, seed=1))
        drawn = begun.trainer.average.synthesize(ws)
        begun.train(seconds=60, log_seconds=60, snapshot_seconds=60)
        resumed = training.Run(tmp_path / "wide", SMOKE, start)

        torch.testing.assert_close(drawn, narrow.synthesize(ws))
        assert resumed.trainer.progress.seen == 24

    def test_can_be_purely_adversarial(self, tmp_path):
        """
        Without the regression stage nothing but the discriminator teaches the generator.
        """
        trainer = train(tmp_path, pretrain_images=0)

        assert (trainer.progress.pretrained, trainer.progress.adversarial) == (0, 16)
        assert trainer._paired_weight() == 0.0

    def test_the_generator_waits_for_the_discriminator(self, tmp_path):
        """
        In the warm-up only the discriminator moves.
        """
        kept = train(tmp_path, adversarial_images=0).generator.state_dict()
        before = {name: tensor.clone() for name, tensor in kept.items()}

        after = train(tmp_path, adversarial_images=8).generator.state_dict()

        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


class TestCache:
    def test_holds_what_the_renderer_draws(self, tmp_path):
        """
        Face i of the cache is the render of z number i, to the nearest of 256 levels.
        """
        cache = RenderCache(tmp_path, size=3, seed=5)
        cache.grow(until=3)

        drawn = render(parameters_of(sample_z(1, 1, seed=5)))
        assert torch.equal(to_uint8(drawn.images[0]), torch.from_numpy(cache._images[1]))

    def test_goes_on_where_it_stopped(self, tmp_path):
        """
        A half-filled cache counts what it has, and other recipes keep out.
        """
        RenderCache(tmp_path, size=100, seed=5).grow(until=1)

        assert RenderCache(tmp_path, size=100, seed=5).count == 64
        with pytest.raises(ValueError, match="another recipe"):
            RenderCache(tmp_path, size=100, seed=6)

    def test_z_lies_on_the_sphere(self):
        """
        z has the norm the mapping network would give it, and face i does not depend on others.
        """
        z = sample_z(0, 4, seed=1)

        torch.testing.assert_close(z.norm(dim=1), torch.full((4,), 72**0.5))
        assert torch.equal(z[2:3], sample_z(2, 1, seed=1))

import numpy as np
import pytest
import torch
from support.generator_files import random_generator

from models.checkpoints.completion import complete
from models.checkpoints.notes import Notes
from models.seeding import philox


def without(generator, *endings):
    """The generator's tensors, less those whose names end so."""
    return {k: t for k, t in generator.state_dict().items() if not k.endswith(endings)}


class TestNoise:
    def test_each_layer_has_a_stream_of_its_own(self):
        """
        Noise constant n is drawn from the stream that its number names, whichever others are
        missing.
        """
        generator, notes = random_generator(), Notes()

        completed = complete(generator.config, without(generator, "16.conv0.noise_const"), notes)

        expected = philox("noise", 3).standard_normal((16, 16), dtype=np.float32)
        found = completed["synthesis.blocks.16.conv0.noise_const"]
        assert np.array_equal(expected, found.numpy())
        assert notes.estimated == ["noise constants: 1 of 5 drawn from a fixed seed"]


class TestAverage:
    @pytest.mark.parametrize(
        "changes",
        [{}, {"label_dim": 2, "label_embed_dim": 4}, {"z_dim": 0, "label_dim": 3}],
    )
    def test_is_the_mean_of_mapped_samples(self, changes):
        """
        The mean over 10,000 samples lies within six standard errors of that over others; where
        the network knows labels, all are equally likely.
        """
        if changes.get("label_dim"):
            changes = {"label_embed_dim": 4, **changes}
        generator, notes = random_generator(**changes), Notes()

        found = complete(generator.config, without(generator, "w_avg"), notes)["mapping.w_avg"]

        stream = torch.Generator().manual_seed(1)
        z = torch.randn(30_000, generator.z_dim, generator=stream)
        labels = torch.eye(generator.label_dim).repeat(30_000, 1)[:30_000]
        others = generator.mapping(z, labels if generator.label_dim else None)
        assert ((found - others.mean(dim=0)).abs() < 6 * others.std(dim=0) / 100).all()
        assert notes.estimated == ["w_avg: mean of 10,000 mapped z from a fixed seed"]

    def test_is_not_made_of_half_a_mapping(self):
        """
        Where a weight of the mapping is missing, nothing is made up: what is missing is named
        by whoever builds the network.
        """
        generator = random_generator()

        completed = complete(
            generator.config, without(generator, "w_avg", "layers.1.weight"), Notes()
        )

        assert "mapping.w_avg" not in completed


def test_nothing_is_replaced():
    """
    A whole generator comes back as it was, without a note.
    """
    generator, notes = random_generator(), Notes()
    tensors = generator.state_dict()

    completed = complete(generator.config, tensors, notes)

    assert all(completed[key] is tensors[key] for key in tensors)
    assert notes == Notes()

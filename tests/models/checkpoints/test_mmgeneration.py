import pytest
import torch
from support.generator_files import mmgeneration_state, random_generator

from models.checkpoints.mmgeneration import build, recognises
from models.checkpoints.notes import Notes
from models.errors import CheckpointError


@pytest.fixture(scope="module")
def original():
    return random_generator()


def images(generator):
    stream = torch.Generator().manual_seed(3)
    return generator.synthesize(generator.map(torch.randn(2, generator.z_dim, generator=stream)))


class TestForms:
    @pytest.mark.parametrize("prefix", ["generator_ema.", "generator.", ""])
    def test_draws_the_same_images(self, original, prefix):
        """
        With or without the prefixes of a whole training, the generator is the one written.
        """
        root, notes = {"state_dict": mmgeneration_state(original, prefix), "meta": {}}, Notes()

        assert recognises(root)
        generator = build(root, "file", notes)

        assert original.config == generator.config
        assert torch.equal(images(original), images(generator))
        assert "w_avg: mean of 10,000 mapped z from a fixed seed" in notes.estimated
        assert "meta: settings of the training" in notes.ignored

    def test_the_average_is_preferred(self, original):
        """
        Beside a generator that is still training stands its average, and that is read.
        """
        training = mmgeneration_state(random_generator(seed=1), "generator.")
        judge = {"discriminator.final.0.bias": torch.zeros(2)}
        root = {"state_dict": {**judge, **training, **mmgeneration_state(original)}}
        notes = Notes()

        assert torch.equal(images(original), images(build(root, "file", notes)))
        assert notes.ignored == ["discriminator: the discriminator", "generator"]

    def test_biases_beside_their_weights_are_found(self, original):
        """
        Some versions keep a mapping bias in the linear layer.
        """
        state = mmgeneration_state(original, "")
        for number in (1, 2, 3):
            bias = state.pop(f"style_mapping.{number}.bias")
            state[f"style_mapping.{number}.linear.bias"] = bias

        assert torch.equal(images(original), images(build(state, "file", Notes())))

    def test_the_order_of_colours_is_left_open(self, original):
        """
        The file does not say whether it draws RGB or BGR, and the notes say that.
        """
        notes = Notes()

        build({"state_dict": mmgeneration_state(original)}, "file", notes)

        assert any(note.startswith("order of colours") for note in notes.inferred)


def test_an_unknown_tensor_is_named(original):
    """
    A tensor that StyleGAN2 does not have is not dropped silently.
    """
    state = {**mmgeneration_state(original), "generator_ema.attention.weight": torch.zeros(2)}

    with pytest.raises(CheckpointError, match=r"unknown attention\.weight"):
        build({"state_dict": state}, "file", Notes())

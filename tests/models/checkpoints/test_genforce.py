import pytest
import torch
from support.generator_files import genforce_state, random_generator

from models.checkpoints.genforce import build, recognises
from models.checkpoints.notes import Notes
from models.errors import CheckpointError


@pytest.fixture(scope="module")
def original():
    return random_generator()


def images(generator):
    stream = torch.Generator().manual_seed(3)
    z = torch.randn(2, generator.z_dim, generator=stream)
    return generator.synthesize(generator.map(z, psi=0.7))


class TestForms:
    def roots(self, original):
        other = genforce_state(random_generator(seed=1))
        state = genforce_state(original)
        return {
            "smooth": {"generator": other, "generator_smooth": state, "discriminator": {}},
            "single": {"generator": state},
            "bare": state,
        }

    @pytest.mark.parametrize("form", ["smooth", "single", "bare"])
    def test_draws_the_same_images(self, original, form):
        """
        Mirrored kernels and style biases less 1 are undone; the average is preferred.
        """
        root, notes = self.roots(original)[form], Notes()

        assert recognises(root)
        generator = build(root, "file", notes)

        assert original.config == generator.config
        torch.testing.assert_close(images(generator), images(original), rtol=1e-5, atol=1e-5)
        assert notes.estimated == []

    def test_buffers_that_follow_from_the_settings_do_no_harm(self, original):
        """
        Filters and counters beside the weights are left out.
        """
        extra = {"synthesis.lod": torch.zeros(()), "synthesis.layer1.filter": torch.zeros(4, 4)}

        generator = build({**genforce_state(original), **extra}, "file", Notes())

        torch.testing.assert_close(images(generator), images(original), rtol=1e-5, atol=1e-5)


def test_labels_are_refused(original):
    """
    Weights that the layout's table does not know are named, not dropped.
    """
    state = {**genforce_state(original), "mapping.label_weight": torch.zeros(2, 6)}

    with pytest.raises(CheckpointError, match=r"unknown mapping\.label_weight"):
        build(state, "file", Notes())

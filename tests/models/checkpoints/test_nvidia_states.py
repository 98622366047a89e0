"""State dictionaries of NVIDIA's repositories: no objects, no settings."""

import pytest
from support.nvidia_files import assert_holds, torch_saved
from support.nvidia_networks import Variant, tensors_of

from models.checkpoints import nvidia_states
from models.checkpoints.containers import read_contents
from models.checkpoints.notes import Notes
from models.errors import CheckpointError


@pytest.fixture
def read(tmp_path):
    """
    Reads a dictionary through a file of its own: (generator, notes).
    """

    def read_dictionary(value):
        path = tmp_path / "file"
        path.write_bytes(torch_saved(value))
        root = read_contents(path).root
        assert nvidia_states.recognises(root)
        notes = Notes()
        return nvidia_states.build(root, "file", notes), notes

    return read_dictionary


class TestStateDictionaries:
    @pytest.mark.parametrize("prefix", ["", "module."])
    @pytest.mark.parametrize("name", ["G_ema", "state_dict", None])
    @pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
    def test_are_read_by_shape(self, prefix, name, architecture, read):
        """
        A state dictionary, bare or within another and with the prefix of parallel training,
        gives the same network; what it does not say is noted.
        """
        tensors = tensors_of(Variant(architecture=architecture, taps=(1, 2, 4, 3)))
        state = {prefix + key: tensor for key, tensor in tensors.items()}
        value = {name: state, "step": 3} if name else state

        generator, notes = read(value)

        assert_holds(generator, tensors)
        assert architecture == generator.config.architecture
        assert pytest.approx((0.1, 0.2, 0.4, 0.3)) == generator.config.fir
        assert generator.config.conv_clamp == 256.0
        assert "conv_clamp: 256, not in the file" in notes.inferred
        assert (["step"] if name else []) == notes.ignored

    def test_what_is_missing_is_named(self, read):
        """
        A state dictionary without one of the weights is refused with the weight's name.
        """
        tensors = tensors_of(Variant())
        del tensors["synthesis.b16.conv1.weight"]

        with pytest.raises(CheckpointError, match=r"synthesis\.blocks\.16\.conv1\.weight"):
            read(tensors)

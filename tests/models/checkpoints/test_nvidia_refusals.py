"""Networks of NVIDIA's repositories that are refused, and why."""

import pytest
import torch
from support.nvidia_files import described, dumped, generator_object, module, network
from support.nvidia_networks import Variant, tensors_of

from models.checkpoints import nvidia
from models.checkpoints.containers import read_contents
from models.checkpoints.notes import Notes
from models.checkpoints.nvidia_objects import Objects
from models.checkpoints.unpickle import PersistedObject
from models.errors import CheckpointError


@pytest.fixture
def tensors():
    """
    Those of a small generator, under the names files have.
    """
    return tensors_of(Variant())


@pytest.fixture
def refused(tmp_path):
    """
    Reads an object that must be refused: the message.
    """

    def refused_object(value):
        path = tmp_path / "file"
        path.write_bytes(dumped(value))
        root = read_contents(path).root
        assert nvidia.recognises(root)
        with pytest.raises(CheckpointError) as caught:
            nvidia.build(root, "file", Notes())
        return str(caught.value)

    return refused_object


class TestRefusals:
    def test_stylegan3(self, refused):
        """
        A StyleGAN3 network is called that, and the way out is named.
        """
        message = refused({"G_ema": network({"synthesis.input.freqs": torch.zeros(8, 2)})})

        assert "a StyleGAN3 generator (T or R)" in message
        assert "--cfg=stylegan2" in message

    def test_stylegan_xl(self, refused):
        """
        A StyleGAN-XL network is known by its mean w for each class.
        """
        tensors = {
            "mapping.w_avg": torch.zeros(10, 8),
            "synthesis.input.freqs": torch.zeros(8, 2),
        }

        assert "StyleGAN-XL" in refused({"G_ema": network(tensors)})

    def test_discriminators(self, refused):
        """
        A file with nothing but a discriminator says what it holds and what it lacks.
        """
        d = module("Discriminator")

        for value in (d, {"D": d, "G_ema": None}):
            assert "a discriminator alone; the file with the generator" in refused(value)

    def test_other_networks(self, refused):
        """
        A network that is neither is named by its class.
        """
        assert "no generator (G_ema or G) of NVIDIA's repositories, only AugmentPipe" in refused(
            {"augment_pipe": module("AugmentPipe")}
        )

    @pytest.mark.parametrize(
        ("path", "changes", "message"),
        [
            ("mapping.fc0", {"activation": "relu"}, "layers differ in activation"),
            ("synthesis.b8.conv0", {"conv_clamp": 1.0}, "layers differ in conv_clamp"),
            ("synthesis.b8", {"architecture": "resnet"}, "layers differ in architecture"),
            ("synthesis.b8", {"use_fp16": (1, 2)}, "b8.use_fp16 is a tuple"),
            ("mapping.fc0", {"bias_gain": "x" * 300}, "fc0.bias_gain is a str"),
        ],
    )
    def test_settings_that_contradict(self, path, changes, message, tensors, refused):
        """
        Attributes that differ between layers, or are no settings at all, are named.
        """
        attributes = described(tensors)
        attributes[path].update(changes)

        assert message in refused(network(tensors, attributes))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"clamp": "high"}, "conv_clamp is 'high', not a number"),
            ({"clamp": -1.0}, "conv_clamp is -1.0"),
            ({"multiplier": 0.0}, "mapping_lr_multiplier is 0.0"),
            ({"architecture": "swagan"}, "'swagan' is not a valid Architecture"),
        ],
    )
    def test_settings_that_mean_nothing(self, settings, message, tensors, refused):
        """
        Values that no network has are named.
        """
        assert message in refused(generator_object(tensors, **settings))

    @pytest.mark.parametrize(
        ("name", "tensor", "message"),
        [
            ("synthesis.b4.resample_filter", torch.ones(4, 4) / 16, "differ in their resampling"),
            ("synthesis.b8.conv0.resample_filter", torch.ones(3, 3), "differ in their resampling"),
            ("synthesis.b4.const", torch.zeros(6), "b4.const is [6], expected 3 axes"),
            ("synthesis.b4.const", torch.zeros(6, 5, 4), "3 blocks draw 16 rows, not 20"),
            ("synthesis.b8.conv1.bias", torch.zeros(9), "bias is [9], expected [5]"),
            ("synthesis.b64.conv1.bias", torch.zeros(9), "no synthesis.b32.torgb.weight"),
            ("synthesis.b8.extra", torch.zeros(9), "unknown synthesis.blocks.8.extra"),
        ],
    )
    def test_tensors_that_do_not_fit(self, name, tensor, message, tensors, refused):
        """
        A tensor of another shape, or one too many, is named with what was expected.
        """
        assert message in refused(generator_object(tensors | {name: tensor}))

    @pytest.mark.parametrize(
        ("kernel", "message"),
        [
            (torch.eye(4) / 4, "not separable"),
            (torch.ones(4, 4), "does not sum to 1"),
            (torch.ones(2, 4) / 8, "is [2, 4], not square"),
        ],
    )
    def test_filters_we_cannot_use(self, kernel, message, tensors, refused):
        """
        A filter must be the product of one line with itself and keep brightness.
        """
        names = [n for n in tensors if n.endswith("resample_filter") and "conv1" not in n]

        assert message in refused(generator_object(tensors | dict.fromkeys(names, kernel)))

    def test_a_missing_weight(self, tensors, refused):
        """
        A network without one of its weights is refused with the weight's name.
        """
        attributes = described(tensors)
        del tensors["mapping.fc0.weight"]

        assert "no mapping.fc0.weight" in refused(network(tensors, attributes))


class TestHostileTrees:
    def test_shared_modules_do_not_multiply(self):
        """
        Modules that hold one child many times over, level after level, are refused at once.
        """
        node = PersistedObject("Leaf", {})
        for _ in range(12):
            node = PersistedObject("Node", {"_modules": {str(i): node for i in range(20)}})

        with pytest.raises(ValueError, match="more than 4096 objects"):
            Objects.of(node)

    def test_nesting_ends(self):
        """
        A module that holds itself is refused.
        """
        children = {}
        node = PersistedObject("Node", {"_modules": children})
        children["x"] = node

        with pytest.raises(ValueError, match="nested deeper than 16"):
            Objects.of(node)

    def test_shared_tensors_do_not_multiply(self):
        """
        Modules that share one large set of parameters are refused.
        """
        parameters = {str(i): torch.zeros(()) for i in range(1000)}
        leaf = PersistedObject("Leaf", {"_parameters": parameters})
        root = PersistedObject("Root", {"_modules": {str(i): leaf for i in range(4000)}})

        with pytest.raises(ValueError, match="more than 4096 tensors"):
            Objects.of(root).tensors()

    @pytest.mark.parametrize("state", [{"_modules": 5}, {"_parameters": [1]}, {"_buffers": None}])
    def test_what_is_no_dictionary_is_empty(self, state):
        """
        Children and tensors that are not in dictionaries are not there.
        """
        objects = Objects.of(PersistedObject("Node", state))

        assert ({""}, {}) == (objects.at.keys(), objects.tensors())

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.encoders import small_encoder
from support.networks import small_generator

from models.checkpoints import load_encoder
from models.checkpoints.neutral import save_generator
from models.checkpoints.tensor_files import read_metadata
from models.encoders.config import Backbone, Head
from models.encoders.neutral import load_neutral_encoder, save_encoder
from models.errors import CheckpointError


@pytest.fixture
def encoder():
    return small_encoder(backbone=Backbone.RESNET34)


@pytest.fixture
def path(encoder, tmp_path):
    save_encoder(encoder, tmp_path / "e")
    return tmp_path / "e"


def rewritten(path, tensors=None, **metadata):
    """The file with some tensors or metadata replaced."""
    kept = load_file(path) if tensors is None else tensors
    save_file(kept, path, metadata={**read_metadata(path), **metadata})


class TestRoundTrip:
    @pytest.mark.parametrize("backbone", Backbone)
    @pytest.mark.parametrize("head", [Head.FPN, Head.LAST_MAP])
    def test_is_bit_equal(self, backbone, head, tmp_path):
        """
        A saved encoder comes back with the same description and gives the same codes.
        """
        encoder = small_encoder(backbone=backbone, head=head)
        images = torch.rand(2, 3, 32, 32)
        save_encoder(encoder, tmp_path / "e", {"source": "here"})

        loaded = load_encoder(tmp_path / "e")

        assert encoder.config == loaded.config
        assert torch.equal(encoder.encode(images), loaded.encode(images))
        assert read_metadata(tmp_path / "e")["source"] == "here"
        assert not loaded.training

    @pytest.mark.parametrize("own", [True, False])
    def test_keeps_whether_it_has_a_mean_code(self, own, tmp_path):
        """
        An encoder that takes its generator's mean still does after it was saved.
        """
        encoder, generator = small_encoder(own_mean=own), small_generator(16)
        images = torch.rand(2, 3, 32, 32)
        save_encoder(encoder, tmp_path / "e")

        loaded = load_encoder(tmp_path / "e")

        assert loaded.config.own_mean is own
        found = loaded.encode(images, generator)
        assert torch.equal(encoder.encode(images, generator), found)

    def test_of_before_there_was_a_choice_has_one(self, encoder, path):
        """
        Files written before encoders could lack a mean code are read as they were meant.
        """
        config = json.loads(encoder.config.to_json())
        del config["own_mean"]
        rewritten(path, config=json.dumps(config))

        assert load_encoder(path).config == encoder.config

    def test_leaves_its_generator_out(self, encoder, path, tmp_path):
        """
        A generator has a file of its own: with or without it, an encoder's file is the same.
        """
        with_generator = small_encoder(small_generator(16), backbone=Backbone.RESNET34)
        save_encoder(with_generator, tmp_path / "f")

        assert path.read_bytes() == (tmp_path / "f").read_bytes()
        assert load_encoder(path).generator is None

    def test_equal_encoders_give_equal_bytes(self, encoder, path, tmp_path):
        """
        Nothing in the file depends on when or where it was written.
        """
        save_encoder(encoder, tmp_path / "again")

        assert path.read_bytes() == (tmp_path / "again").read_bytes()

    def test_reserved_metadata_is_refused(self, encoder, tmp_path):
        """
        A writer cannot replace the description.
        """
        with pytest.raises(ValueError, match="kind"):
            save_encoder(encoder, tmp_path / "e", {"kind": "mine"})


class TestRefusals:
    def test_a_missing_tensor_is_named(self, path):
        """
        A file without a tensor is refused with the tensor's name and shape.
        """
        tensors = load_file(path)
        del tensors["head.styles.3.linear.bias"]
        rewritten(path, tensors)

        with pytest.raises(CheckpointError, match=r"missing head\.styles\.3\.linear\.bias \[8\]"):
            load_neutral_encoder(path)

    def test_a_wrong_shape_is_named(self, path):
        """
        A tensor of another shape is refused with both shapes.
        """
        rewritten(path, {**load_file(path), "latent_avg": torch.zeros(8)})

        with pytest.raises(CheckpointError, match=r"latent_avg is \[8\], expected \[6, 8\]"):
            load_neutral_encoder(path)

    @pytest.mark.parametrize(
        ("metadata", "message"),
        [
            ({"schema_version": "2"}, "schema_version '2'; this program reads '1'"),
            ({"config": "{"}, "Expecting property name"),
            ({"config": "[]"}, "is a JSON object"),
            ({"config": '{"depth": 3}'}, "unknown fields .*depth"),
            ({"config": '{"w_dim": 3}'}, "missing .* required"),
            ({"config": '{"backbone": "vgg"}'}, "'vgg' is not a valid Backbone"),
        ],
    )
    def test_bad_metadata_is_named(self, path, metadata, message):
        """
        What is wrong with the description is said, along with the file.
        """
        rewritten(path, **metadata)

        with pytest.raises(CheckpointError, match=message):
            load_neutral_encoder(path)

    def test_a_generator_is_no_encoder(self, tmp_path):
        """
        Our own generator file, given as an encoder, is named.
        """
        save_generator(small_generator(16), tmp_path / "g")

        with pytest.raises(CheckpointError, match="'stylegan2-generator', not 'stylegan2-encoder'"):
            load_encoder(tmp_path / "g")

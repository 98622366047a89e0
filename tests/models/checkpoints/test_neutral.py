import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.checkpoints import load_generator
from models.checkpoints.neutral import load_neutral, save_generator
from models.checkpoints.tensor_files import read_metadata
from models.errors import CheckpointError
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator

CONFIG = GeneratorConfig(
    z_dim=6,
    w_dim=5,
    image_shape=(3, 16, 8),
    channels=(8, 7, 4),
    mapping_widths=(9, 5),
    label_dim=2,
    label_embed_dim=3,
    conv_clamp=256.0,
)


@pytest.fixture
def generator():
    """
    Small, conditional, taller than wide; its strengths and mean w are not zero.
    """
    made = Generator(CONFIG).eval().requires_grad_(False)
    for tensor in made.state_dict().values():
        tensor.add_(torch.randn(tensor.shape))
    return made


def rewritten(path, tensors=None, **metadata):
    """The file with some tensors or metadata replaced."""
    kept = load_file(path) if tensors is None else tensors
    save_file(kept, path, metadata={**read_metadata(path), **metadata})


class TestRoundTrip:
    def test_is_bit_equal(self, generator, tmp_path):
        """
        A saved generator comes back with the same description and the same bits, and draws
        the same image.
        """
        save_generator(generator, tmp_path / "g.safetensors", {"source": "here"})
        loaded = load_generator(tmp_path / "g.safetensors")

        assert generator.config == loaded.config
        for key, tensor in generator.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[key]), key
        ws = torch.randn(2, generator.num_ws, generator.w_dim)
        assert torch.equal(generator.synthesize(ws), loaded.synthesize(ws))

    def test_keeps_metadata(self, generator, tmp_path):
        """
        The writer's own strings stand beside the description and can be read alone.
        """
        save_generator(generator, tmp_path / "g.safetensors", {"source": "here"})

        metadata = read_metadata(tmp_path / "g.safetensors")

        assert (metadata["source"], metadata["schema_version"]) == ("here", "1")

    def test_equal_generators_give_equal_bytes(self, generator, tmp_path):
        """
        Nothing in the file depends on when or where it was written.
        """
        for name in ("a", "b"):
            save_generator(generator, tmp_path / name)

        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

    def test_half_precision_takes_two_bytes_a_number(self, generator, tmp_path):
        """
        Numbers are rounded to float16 in the file, and are float32 again when loaded.
        """
        save_generator(generator, tmp_path / "half", half=True)
        save_generator(generator, tmp_path / "whole")
        loaded = load_generator(tmp_path / "half")

        for key, tensor in generator.state_dict().items():
            assert torch.equal(tensor.half().float(), loaded.state_dict()[key]), key
        numbers = sum(tensor.numel() for tensor in generator.state_dict().values())
        sizes = [(tmp_path / name).stat().st_size for name in ("whole", "half")]
        assert sizes[0] - sizes[1] >= 2 * numbers

    def test_numbers_too_large_for_half_precision_are_refused(self, generator, tmp_path):
        """
        The tensor is named, and no file is left.
        """
        generator.w_avg[0] = 7e4

        with pytest.raises(ValueError, match="w_avg has numbers that are too large"):
            save_generator(generator, tmp_path / "g", half=True)
        assert not list(tmp_path.iterdir())

    def test_reserved_metadata_is_refused(self, generator, tmp_path):
        """
        A writer cannot replace the description.
        """
        with pytest.raises(ValueError, match="config"):
            save_generator(generator, tmp_path / "g", {"config": "{}"})


class TestRefusals:
    @pytest.fixture
    def path(self, generator, tmp_path):
        save_generator(generator, tmp_path / "g")
        return tmp_path / "g"

    def test_a_missing_tensor_is_named(self, path):
        """
        A file without a tensor is refused with the tensor's name and shape.
        """
        tensors = load_file(path)
        del tensors["synthesis.blocks.8.conv0.weight"]
        rewritten(path, tensors)

        with pytest.raises(CheckpointError, match=r"missing synthesis.blocks.8.conv0.weight \[7"):
            load_neutral(path)

    def test_an_unknown_tensor_is_named(self, path):
        """
        A tensor that the description has no place for is refused by name.
        """
        rewritten(path, {**load_file(path), "extra.bias": torch.zeros(1)})

        with pytest.raises(CheckpointError, match=r"unknown extra\.bias"):
            load_neutral(path)

    def test_a_wrong_shape_is_named(self, path):
        """
        A tensor of another shape is refused with both shapes.
        """
        rewritten(path, {**load_file(path), "mapping.w_avg": torch.zeros(4)})

        with pytest.raises(CheckpointError, match=r"mapping\.w_avg is \[4\], expected \[5\]"):
            load_neutral(path)

    @pytest.mark.parametrize(
        ("metadata", "message"),
        [
            ({"schema_version": "2"}, "schema_version '2'; this program reads '1'"),
            ({"kind": "encoder"}, "holds 'encoder'"),
            ({"config": "{"}, "Expecting property name"),
            ({"config": '{"depth": 3}'}, "unknown fields .*depth"),
            ({"config": '{"z_dim": 3}'}, "missing .* required"),
        ],
    )
    def test_bad_metadata_is_named(self, path, metadata, message):
        """
        What is wrong with the description is said, along with the file.
        """
        rewritten(path, **metadata)

        with pytest.raises(CheckpointError, match=message):
            load_neutral(path)

    def test_a_truncated_file_is_refused(self, path):
        """
        Half a file is a checkpoint error, not a crash.
        """
        path.write_bytes(path.read_bytes()[:-100])

        with pytest.raises(CheckpointError, match="not a safetensors file"):
            load_neutral(path)


def test_the_header_is_plain_safetensors(generator, tmp_path):
    """
    Ordinary tools open the file: it is safetensors and nothing else.
    """
    save_generator(generator, tmp_path / "g")

    with safe_open(tmp_path / "g", framework="np") as file:
        assert file.get_slice("mapping.w_avg").get_shape() == [5]

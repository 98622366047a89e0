import pytest
import torch
from support.generator_files import random_generator, rosinality_state

from models.checkpoints import load_generator
from models.checkpoints.export_rosinality import rosinality_objects, write_rosinality
from models.errors import CheckpointError
from models.stylegan2.config import Architecture


class TestRoundTrip:
    @pytest.mark.parametrize("shape", [(3, 16, 16), (3, 16, 8)])
    def test_is_bit_equal(self, shape, tmp_path):
        """
        A generator written in rosinality's layout comes back with the same description and the
        same bits; nothing else stays in the folder.
        """
        original = random_generator(image_shape=shape)

        write_rosinality(original, tmp_path / "g.pt")
        loaded = load_generator(tmp_path / "g.pt")

        assert original.config == loaded.config
        for key, tensor in original.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[key]), key
        assert [tmp_path / "g.pt"] == list(tmp_path.iterdir())

    def test_equal_generators_give_equal_bytes(self, tmp_path):
        """
        The file does not depend on its name or on the process that wrote it.
        """
        for name in ("a.pt", "b.pt"):
            write_rosinality(random_generator(), tmp_path / name)

        assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()

    def test_torch_alone_can_read_it(self, tmp_path):
        """
        The file holds tensors and dictionaries only, as torch's safe mode asks for.
        """
        original = random_generator()
        write_rosinality(original, tmp_path / "g.pt")

        found = torch.load(tmp_path / "g.pt", weights_only=True)

        assert torch.equal(original.w_avg, found["latent_avg"])

    def test_names_and_shapes_are_theirs(self):
        """
        Every tensor, the filters included, has the name and the shape of rosinality's network.
        """
        original = random_generator()

        written = rosinality_objects(original)["g_ema"]

        expected = rosinality_state(original)
        assert expected.keys() == written.keys()
        for key, tensor in expected.items():
            assert torch.equal(tensor, written[key]), key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_dim": 2, "label_embed_dim": 3}, "2 labels"),
        ({"conv_clamp": 256.0}, r"clipped at 256\.0"),
        ({"architecture": Architecture.RESNET}, "architecture resnet"),
        ({"image_shape": (1, 16, 16)}, "images of 1 channels"),
        ({"z_dim": 9}, r"different widths \[6, 9\]"),
        ({"mapping_lr_multiplier": 0.1}, r"multiplier 0\.1"),
        ({"use_noise": False}, "without noise"),
    ],
)
def test_what_the_layout_cannot_express_is_refused(changes, message, tmp_path):
    """
    A generator that rosinality's network would draw otherwise is not written.
    """
    with pytest.raises(CheckpointError, match=message):
        write_rosinality(random_generator(**changes), tmp_path / "g.pt")

    assert not (tmp_path / "g.pt").exists()

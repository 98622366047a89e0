import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.networks import small_generator

from models.errors import InvalidLatents
from models.latent_files import read_latents, write_latents
from models.latents import mapped
from models.seeding import philox


class TestMapped:
    def test_each_sample_is_its_streams(self):
        """
        A sample's codes depend on its own stream, not on the batch it is drawn in.
        """
        generator = small_generator()

        together = mapped(generator, [philox(i) for i in range(3)])
        alone = mapped(generator, [philox(2)])

        torch.testing.assert_close(together[2:], alone)

    def test_truncation_pulls_towards_the_average(self):
        """
        At psi 0 every sample is the average w; at psi 1 nothing is changed.
        """
        generator = small_generator()

        nothing, half, whole = (mapped(generator, [philox(1)], psi) for psi in (0.0, 0.5, 1.0))

        torch.testing.assert_close(nothing[0], generator.w_avg.expand(6, -1))
        torch.testing.assert_close(half, (nothing + whole) / 2)

    def test_a_conditional_network_gets_a_class(self):
        """
        Where the network knows classes, each sample draws one, after its z.
        """
        generator = small_generator(label_dim=3)
        stream = philox(1)
        z = torch.from_numpy(stream.standard_normal(6, dtype=np.float32))
        label = torch.eye(3)[int(stream.integers(3))]

        expected = generator.map(z[None], label[None])

        torch.testing.assert_close(mapped(generator, [philox(1)]), expected)


class TestLatentFiles:
    def latents(self, n=2):
        return torch.randn(n, 6, 8, generator=torch.Generator().manual_seed(0))

    def test_comes_back_in_the_order_asked_for(self, tmp_path):
        """
        Rows are found by the keys in the file, whatever their order; others do no harm.
        """
        path, latents = tmp_path / "latents", self.latents(3)
        write_latents(path, latents, ["a", "b", "c"])

        assert torch.equal(latents[[2, 0]], read_latents(path, ["c", "a"], (6, 8)))

    def test_a_plain_array_is_in_the_datasets_order(self, tmp_path):
        """
        A .npy file has no keys; one w per image is repeated for every layer.
        """
        whole, single = tmp_path / "whole.npy", tmp_path / "single.npy"
        np.save(whole, self.latents().double().numpy())
        np.save(single, self.latents()[:, 0].numpy())

        assert torch.equal(self.latents(), read_latents(whole, ["x", "y"], (6, 8)))
        repeated = self.latents()[:, :1].expand(-1, 6, -1)
        assert torch.equal(repeated, read_latents(single, ["x", "y"], (6, 8)))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x[:, :5], r"\[2, 6, 8\]; the file holds \[2, 5, 8\]"),
            (lambda x: x * float("nan"), "finite"),
            (lambda x: x[:1], "1 latents for 2 images"),
        ],
    )
    def test_says_what_does_not_fit(self, tmp_path, change, message):
        """
        Another shape, another number, or numbers that are none: the message shows both.
        """
        path = tmp_path / "latents"
        save_file({"latents": change(self.latents()).contiguous()}, path)

        with pytest.raises(InvalidLatents, match=message):
            read_latents(path, ["x", "y"], (6, 8))

    def test_says_which_image_has_none(self, tmp_path):
        """
        An image that the file does not name is named.
        """
        path = tmp_path / "latents"
        save_file({"latents": self.latents()}, path, metadata={"keys": json.dumps(["x", "z"])})

        with pytest.raises(InvalidLatents, match="no latents of y"):
            read_latents(path, ["x", "y"], (6, 8))

    def test_reads_no_pickles(self, tmp_path):
        """
        A pickled .npy could run code when read; it is refused.
        """
        path = tmp_path / "latents.npy"
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)

        with pytest.raises(InvalidLatents, match=r"plain \.npy"):
            read_latents(path, ["x"], (6, 8))

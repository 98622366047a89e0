import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.networks import small_generator

from models.errors import InvalidLatents
from models.latent_files import read_latents, write_latents
from models.latents import drawn_codes, mapped
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

    def test_a_chosen_class_leaves_z_as_it_was(self):
        """
        With all weight on one class each sample is of it, and its z is that of any other mix.
        """
        generator = small_generator(label_dim=3)
        z = torch.from_numpy(philox(1).standard_normal(6, dtype=np.float32))

        found = drawn_codes(generator, [philox(1), philox(2)], shares=(0.0, 0.0, 1.0))

        assert found.classes == (2, 2)
        torch.testing.assert_close(found.ws[:1], generator.map(z[None], torch.eye(3)[2:]))


class TestLatentFiles:
    def latents(self, n=2):
        return torch.randn(n, 6, 8, generator=torch.Generator().manual_seed(0))

    def read(self, path, keys):
        return read_latents(path, keys, small_generator()).codes

    def test_comes_back_in_the_order_asked_for(self, tmp_path):
        """
        Rows are found by the keys in the file, whatever their order; others do no harm.
        """
        path, latents = tmp_path / "latents", self.latents(3)
        write_latents(path, latents, ["a", "b", "c"])

        assert torch.equal(latents[[2, 0]], self.read(path, ["c", "a"]))

    def test_other_programs_name_files(self, tmp_path):
        """
        ReStyle keeps each search under a file's name; an image's key is that without its folder
        and ending.
        """
        path, latents = tmp_path / "latents.npy", self.latents()
        searches = {
            f"images/{name}.jpg": [np.zeros((6, 8)), ws.numpy()]
            for name, ws in zip("ab", latents, strict=True)
        }
        np.save(path, np.array(searches, dtype=object), allow_pickle=True)

        assert torch.equal(latents.flip(0), self.read(path, ["b", "a"]))

    def test_two_files_of_one_key_are_no_answer(self, tmp_path):
        """
        Where folders alone tell names apart, a key could mean either.
        """
        path = tmp_path / "latents"
        write_latents(path, self.latents(), ["x/a.png", "y/a.png"])

        with pytest.raises(InvalidLatents, match="several latents of a"):
            self.read(path, ["a"])

    def test_a_plain_array_is_in_the_datasets_order(self, tmp_path):
        """
        A .npy file has no keys; one w per image is repeated for every layer.
        """
        whole, single = tmp_path / "whole.npy", tmp_path / "single.npy"
        np.save(whole, self.latents().double().numpy())
        np.save(single, self.latents()[:, 0].numpy())

        assert torch.equal(self.latents(), self.read(whole, ["x", "y"]))
        repeated = self.latents()[:, :1].expand(-1, 6, -1)
        assert torch.equal(repeated, self.read(single, ["x", "y"]))

    def test_inputs_of_the_mapping_are_mapped(self, tmp_path):
        """
        DatasetGAN keeps z; enough of them are told from w by their distribution.
        """
        path, generator = tmp_path / "z.npy", small_generator()
        z = philox("z").standard_normal((1000, 6), dtype=np.float32)
        np.save(path, z)

        found = read_latents(path, [str(i) for i in range(1000)], generator)

        assert found.mapped_from_z
        torch.testing.assert_close(found.codes, generator.map(torch.from_numpy(z)))

    def index(self, path, z):
        """The list that DatasetGAN writes beside what it generates."""
        names = [f"{number}.png" for number in range(len(z))]
        entries = [{"latent": z[[i]], "image_name": name} for i, name in enumerate(names)]
        path.write_bytes(pickle.dumps(entries))

    def test_an_index_of_generated_images_is_mapped(self, tmp_path):
        """
        Its few z are the images' of those names, whatever they look like.
        """
        path, generator = tmp_path / "0_0.pickle", small_generator()
        z = philox("z").standard_normal((3, 6), dtype=np.float32)
        self.index(path, z)

        found = read_latents(path, ["2", "0"], generator)

        assert found.mapped_from_z
        torch.testing.assert_close(found.codes, generator.map(torch.from_numpy(z[[2, 0]])))

    @pytest.mark.parametrize(
        ("width", "label_dim", "message"),
        [(8, 0, "z of 8 numbers; the generator takes 6$"), (6, 3, "6 and a label beside them")],
    )
    def test_an_index_of_another_generator_is_refused(self, tmp_path, width, label_dim, message):
        """
        z of another width are never taken for w; nor can z be mapped without their labels.
        """
        self.index(tmp_path / "l", np.zeros((1, width), dtype=np.float32))

        with pytest.raises(InvalidLatents, match=message):
            read_latents(tmp_path / "l", ["0"], small_generator(label_dim=label_dim))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x[:, :5], r"\[2, 6 or 1, 8\]; the file holds \[2, 5, 8\]"),
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
            self.read(path, ["x", "y"])

    def test_says_which_image_has_none(self, tmp_path):
        """
        An image that the file does not name is named.
        """
        path = tmp_path / "latents"
        save_file({"latents": self.latents()}, path, metadata={"keys": json.dumps(["x", "z"])})

        with pytest.raises(InvalidLatents, match="no latents of y"):
            self.read(path, ["x", "y"])

    def test_other_files_are_refused(self, tmp_path):
        """
        What holds no latents is refused in words of its own.
        """
        path = tmp_path / "latents.npy"
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)

        with pytest.raises(InvalidLatents, match="cannot be read as latents"):
            self.read(path, ["x"])

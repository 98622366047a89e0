import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.latents import read_latents
from models.errors import CheckpointError


def numbers(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def assert_read(path, codes, names=None):
    """The file holds these codes, float32, and these names."""
    found = read_latents(path)
    assert found.names == names
    assert found.codes.dtype == torch.float32
    assert torch.equal(found.codes, torch.from_numpy(codes))


class TestArrays:
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_of_many_images(self, tmp_path, dtype):
        """
        HandsOff and EditGAN keep one array [N, num_ws, w_dim] of any precision.
        """
        codes = numbers(3, 6, 8).astype(dtype)
        np.save(tmp_path / "l.npy", codes)

        assert_read(tmp_path / "l.npy", codes.astype(np.float32))

    def test_of_one_code_per_image(self, tmp_path):
        """
        [N, w_dim] is one code for all layers of each image.
        """
        np.save(tmp_path / "l.npy", numbers(3, 8))

        assert_read(tmp_path / "l.npy", numbers(3, 8)[:, None])

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_of_nvidias_projector(self, tmp_path, save):
        """
        projected_w.npz holds `w` [1, num_ws, w_dim].
        """
        save(tmp_path / "projected_w.npz", w=numbers(1, 6, 8))

        assert_read(tmp_path / "projected_w.npz", numbers(1, 6, 8))

    def test_under_another_name(self, tmp_path):
        """
        The only array of an archive is taken, whatever it is called.
        """
        np.savez(tmp_path / "l.npz", found=numbers(2, 6, 8))

        assert_read(tmp_path / "l.npz", numbers(2, 6, 8))

    def test_of_a_folder(self, tmp_path):
        """
        Files latents_image_{id}.npy are read in the order of their numbers.
        """
        for number, code in zip((10, 2), numbers(2, 6, 8), strict=True):
            np.save(tmp_path / f"latents_image_{number}.npy", code)
        (tmp_path / "result.json").write_text("{}")

        assert_read(tmp_path, numbers(2, 6, 8)[::-1].copy(), ("2", "10"))


def index_of(z, kind=lambda code: code):
    """The list that goes with generated images, of z [N, 1, z_dim]."""
    return [
        {
            "latent": kind(code),
            "uncertrainty_score": 0.1,
            "image_name": f"{number}.png",
            "image_label_name": f"label_{number}.png",
            "js_name": f"{number}.npy",
        }
        for number, code in enumerate(z)
    ]


class TestNamed:
    def test_the_last_step_counts(self, tmp_path):
        """
        ReStyle pickles {name: one array per step} as if that were an array.
        """
        codes = numbers(2, 3, 6, 8)
        steps = {"a.png": list(codes[0]), "b.png": list(codes[1])}
        np.save(tmp_path / "latents.npy", np.array(steps, dtype=object), allow_pickle=True)

        assert_read(tmp_path / "latents.npy", codes[:, -1].copy(), ("a.png", "b.png"))

    @pytest.mark.parametrize("shape", [(8,), (6, 8)])
    def test_rosinalitys_projector(self, tmp_path, shape):
        """
        {name: {img, latent, noise}}, in w or in w plus.
        """
        code = torch.from_numpy(numbers(*shape))
        entry = {"img": torch.zeros(3, 4, 4), "latent": code, "noise": [torch.zeros(1, 1, 4, 4)]}
        torch.save({"a.png": entry}, tmp_path / "a.pt")

        assert_read(tmp_path / "a.pt", numbers(*shape).reshape(1, -1, 8), ("a.png",))

    def test_a_plain_pickle_of_arrays(self, tmp_path):
        """
        {name: array} in a pickle is read as well.
        """
        codes = numbers(2, 6, 8)
        (tmp_path / "l.pkl").write_bytes(pickle.dumps({"a": codes[0], "b": codes[1]}))

        assert_read(tmp_path / "l.pkl", codes, ("a", "b"))

    def test_our_own(self, tmp_path):
        """
        safetensors with the names in its metadata.
        """
        codes = torch.from_numpy(numbers(2, 6, 8))
        save_file({"latents": codes}, tmp_path / "l", metadata={"keys": json.dumps(["a", "b"])})

        assert_read(tmp_path / "l", codes.numpy(), ("a", "b"))


class TestIndexOfGeneratedImages:
    @pytest.mark.parametrize("kind", [lambda z: z, torch.from_numpy, lambda z: z[0]])
    def test_holds_z_by_name(self, tmp_path, kind):
        """
        DatasetGAN, EditGAN and HandsOff list what they generate: z, however few, under the name
        of the image.
        """
        (tmp_path / "0_0.pickle").write_bytes(pickle.dumps(index_of(numbers(3, 1, 8), kind)))

        found = read_latents(tmp_path / "0_0.pickle")

        assert found.look_like_z
        assert found.names == ("0.png", "1.png", "2.png")
        assert torch.equal(found.codes, torch.from_numpy(numbers(3, 1, 8)))

    def test_runs_no_command(self, tmp_path):
        """
        Commands in place of a score or a name are inert; in place of a latent they are refused.
        """
        command = Exploit(tmp_path / "marker")
        entry = {**index_of(numbers(1, 1, 8))[0], "uncertrainty_score": command}
        (tmp_path / "score").write_bytes(pickle.dumps([entry]))
        (tmp_path / "latent").write_bytes(pickle.dumps([{**entry, "latent": command}]))

        assert read_latents(tmp_path / "score").codes.shape == (1, 1, 8)
        with pytest.raises(CheckpointError, match="found Inert"):
            read_latents(tmp_path / "latent")
        assert not (tmp_path / "marker").exists()

    def test_of_mixed_entries_is_none(self, tmp_path):
        """
        A list of which some entries have no latent is no such index.
        """
        entries = [*index_of(numbers(1, 1, 8)), {"image_name": "b.png"}]
        (tmp_path / "l").write_bytes(pickle.dumps(entries))

        with pytest.raises(CheckpointError, match="found list where"):
            read_latents(tmp_path / "l")


class TestTensors:
    @pytest.mark.parametrize(
        ("shape", "expected"),
        [((1, 8), (1, 1, 8)), ((1, 6, 8), (1, 6, 8)), ((4, 6, 8), (4, 6, 8)), ((8,), (1, 1, 8))],
    )
    def test_pivots(self, tmp_path, shape, expected):
        """
        PTI's pivot is a tensor in w or w plus; e4e keeps a tensor of all images.
        """
        torch.save(torch.nn.Parameter(torch.from_numpy(numbers(*shape))), tmp_path / "0.pt")

        assert_read(tmp_path / "0.pt", numbers(*shape).reshape(expected))


class TestInputsOfTheMapping:
    def test_look_standard_normal(self, tmp_path):
        """
        DatasetGAN keeps z: single codes whose moments are those of N(0, 1).
        """
        z = np.random.default_rng(1).standard_normal((16, 512))
        np.save(tmp_path / "z.npy", z)

        assert read_latents(tmp_path / "z.npy").look_like_z

    @pytest.mark.parametrize(
        "change",
        [lambda z: z[:2], lambda z: z * 0.9, lambda z: z + 0.2, lambda z: np.maximum(z, 0.2 * z)],
    )
    def test_others_do_not(self, tmp_path, change):
        """
        Too few numbers, another scale, another centre, or a slope as of a leaky ReLU.
        """
        z = np.random.default_rng(1).standard_normal((16, 512))
        np.save(tmp_path / "w.npy", change(z))

        assert not read_latents(tmp_path / "w.npy").look_like_z

    def test_codes_of_every_layer_are_never_z(self, tmp_path):
        """
        z has no layers.
        """
        np.save(tmp_path / "w.npy", np.random.default_rng(1).standard_normal((4, 18, 512)))

        assert not read_latents(tmp_path / "w.npy").look_like_z


class Exploit:
    """Writes a file when an ordinary unpickler reads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.zeros((2, 3), np.int64), "array of int64"),
            (np.full((2, 3), np.nan), "finite"),
            (np.zeros((0, 3)), "finite numbers, and some"),
            (np.zeros((1, 2, 3, 4)), r"\[1, 2, 3, 4\] is not \[N, num_ws, w_dim\]"),
            (np.array(["a"]), "not a number"),
            (np.array({}, dtype=object), "empty"),
            (np.array({"a": "b"}, dtype=object), "found str where"),
            (np.array({"a": np.zeros((2, 8)), "b": np.zeros((3, 8))}, dtype=object), "no latents"),
        ],
    )
    def test_other_arrays(self, tmp_path, value, message):
        """
        Arrays of other things are a checkpoint error that says what was found.
        """
        np.save(tmp_path / "l.npy", value, allow_pickle=True)

        with pytest.raises(CheckpointError, match=message):
            read_latents(tmp_path / "l.npy")

    def test_a_network(self, tmp_path):
        """
        A checkpoint is not latents.
        """
        torch.save({"g_ema": {"input.input": torch.zeros(1, 4, 4, 4)}}, tmp_path / "g.pt")

        with pytest.raises(CheckpointError, match="no latents"):
            read_latents(tmp_path / "g.pt")

    @pytest.mark.parametrize("where", ["array", "pickle"])
    def test_commands_are_not_run(self, tmp_path, where):
        """
        A command in place of an array does nothing and is refused.
        """
        value = {"a": Exploit(tmp_path / "marker")}
        if where == "array":
            np.save(tmp_path / "l.npy", np.array(value, dtype=object), allow_pickle=True)
        else:
            (tmp_path / "l.npy").write_bytes(pickle.dumps(value))

        with pytest.raises(CheckpointError, match="found Inert"):
            read_latents(tmp_path / "l.npy")

        assert not (tmp_path / "marker").exists()

    def test_one_array_under_many_names(self, tmp_path):
        """
        A small file whose names all mean the same array would be large in memory: it is refused.
        """
        code = numbers(18, 512)
        (tmp_path / "l.pkl").write_bytes(pickle.dumps(dict.fromkeys(map(str, range(3000)), code)))

        with pytest.raises(CheckpointError, match="repeat 0 MB of numbers until they are 105 MB"):
            read_latents(tmp_path / "l.pkl")

    def test_an_empty_folder(self, tmp_path):
        """
        A folder without such files says which ones it should have.
        """
        with pytest.raises(CheckpointError, match="latents_image_<number>"):
            read_latents(tmp_path)

    def test_safetensors_of_something_else(self, tmp_path):
        """
        A file of ours that holds no latents is named.
        """
        save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")

        with pytest.raises(CheckpointError, match="a tensor `latents`"):
            read_latents(tmp_path / "x.safetensors")

import argparse

import pytest
import torch
from support.generator_files import random_generator, rosinality_state
from support.parity import GOLDEN, TOLERANCE, error_of, errors, recorded

from models.checkpoints import load_generator
from models.checkpoints.containers import read_contents
from models.checkpoints.notes import Notes
from models.checkpoints.rosinality import build, recognises
from models.errors import CheckpointError


def assert_same(expected, generator):
    """The same description and the same bits."""
    assert expected.config == generator.config
    for key, tensor in expected.state_dict().items():
        assert torch.equal(tensor, generator.state_dict()[key]), key


@pytest.fixture(scope="module")
def original():
    return random_generator()


class TestParity:
    @pytest.mark.parametrize(
        ("file", "recording", "compared"),
        [
            ("ros_r32.legacyformat.pt", "ros_r32", 33),
            ("ros_r64_cm1_train.pt", "ros_r64_cm1_train", 32),
            ("sghuman_r64x32.rosinality.pt", "sghuman_r64x32", 43),
        ],
    )
    def test_networks_put_out_what_the_originals_do(self, file, recording, compared):
        """
        Codes, styles, activations, images and gradients agree within 1e-4 of each maximum: in
        the file format before torch 1.6, in a training's snapshot with another depth and half
        the channels, and for images taller than wide.
        """
        generator, expected = load_generator(GOLDEN / file), recorded(recording)
        if "latent_avg" in expected:  # the centre that was used; a training's file has none
            generator.w_avg.copy_(torch.from_numpy(expected["latent_avg"]))

        found = errors(generator, expected)

        assert compared == len(found)
        assert max(found.values()) < TOLERANCE

    def test_a_trainings_snapshot_gives_the_average(self):
        """
        Of g and g_ema the latter is read; what else is in the file is told.
        """
        contents, notes = read_contents(GOLDEN / "ros_r64_cm1_train.pt"), Notes()

        generator = build(contents.root, "file", notes)

        expected = contents.root["g_ema"]["conv1.conv.weight"][0]
        assert torch.equal(expected, generator.synthesis.get_submodule("blocks.4.conv1").weight)
        assert notes.ignored == [
            "g: the generator before averaging",
            "d: the discriminator",
            "g_optim: the optimiser's state",
            "d_optim: the optimiser's state",
            "args: settings of the training",
            "ada_aug_p: strength of the augmentation",
        ]
        assert "mapping depth: 4, from the tensors" in notes.inferred


class TestForms:
    def forms(self, original):
        state, average = rosinality_state(original), original.w_avg
        wrapped = {f"module.{key}": tensor for key, tensor in state.items()}
        rows = average.repeat(original.num_ws, 1)
        return {
            "converted": {"g_ema": state, "latent_avg": average},
            "one average per layer": {"g_ema": state, "latent_avg": rows},
            "average with a leading axis": {"g_ema": state, "latent_avg": rows[:1]},
            "parallel": {"g_ema": wrapped, "latent_avg": average},
            "basicsr": {"params_ema": state, "latent_avg": average},
            "only g": {"g": state, "latent_avg": average},
            "bare": {**state, "latent_avg": average},
            "bare parallel": {**wrapped, "latent_avg": average},
        }

    @pytest.mark.parametrize(
        "form",
        [
            "converted",
            "one average per layer",
            "average with a leading axis",
            "parallel",
            "basicsr",
            "only g",
            "bare",
            "bare parallel",
        ],
    )
    def test_all_are_the_same_generator(self, original, form):
        """
        However writers pack the state dictionary, the generator in it is the same.
        """
        root, notes = self.forms(original)[form], Notes()

        assert recognises(root)
        assert_same(original, build(root, "file", notes))
        assert notes.estimated == []

    @pytest.mark.parametrize("zipped", [True, False])
    def test_survive_torchs_formats(self, original, tmp_path, zipped):
        """
        Both of torch's formats, with a Namespace and optimiser state beside the network.
        """
        root = {
            "g": rosinality_state(random_generator(seed=1)),
            "g_ema": rosinality_state(original),
            "latent_avg": original.w_avg,
            "g_optim": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.002}]},
            "args": argparse.Namespace(size=16, arch="stylegan2"),
        }
        torch.save(root, tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)

        assert_same(original, load_generator(tmp_path / "g.pt"))

    def test_half_precision_weights_become_single(self, original):
        """
        Weights that were saved in float16 are read as float32.
        """
        state = {key: tensor.half() for key, tensor in rosinality_state(original).items()}

        generator = build({"g_ema": state}, "file", Notes())

        assert {torch.float32} == {tensor.dtype for tensor in generator.state_dict().values()}

    def test_another_filter_is_kept(self):
        """
        The filter is read from the file, also where it is not symmetric.
        """
        original = random_generator(fir=(1.0, 2.0, 4.0, 3.0))
        root = {"g_ema": rosinality_state(original), "latent_avg": original.w_avg}

        generator = build(root, "file", Notes())

        ws = torch.randn(1, original.num_ws, original.w_dim)
        drawn = generator.synthesize(ws)
        assert error_of(drawn, original.synthesize(ws).numpy()) < TOLERANCE


class TestWhatIsMissing:
    def test_noise_is_made_from_a_fixed_seed(self, original):
        """
        A file of the time before stored noise gets noise, always the same, and says so.
        """
        state = {k: t for k, t in rosinality_state(original).items() if not k.startswith("noises.")}
        notes = Notes()

        first, second = (build({"g_ema": state}, "file", notes) for _ in range(2))

        assert_same(first, second)
        assert abs(first.synthesis.get_submodule("blocks.16.conv1").noise_const.mean()) < 1
        assert "noise constants: 5 of 5 drawn from a fixed seed" in notes.estimated

    def test_the_mean_w_is_estimated(self, original):
        """
        Without latent_avg the mean over 10,000 samples stands in, close to that of others.
        """
        notes = Notes()

        generator = build({"g_ema": rosinality_state(original)}, "file", notes)

        z = torch.randn(20_000, 6, generator=torch.Generator().manual_seed(5))
        others = original.mapping(z)
        spread = others.std(dim=0) / 10_000**0.5
        assert ((generator.w_avg - others.mean(dim=0)).abs() < 6 * spread).all()
        assert notes.estimated == ["w_avg: mean of 10,000 mapped z from a fixed seed"]


class TestRefusals:
    def refused(self, original, change, message):
        state = rosinality_state(original)
        change(state)
        with pytest.raises(CheckpointError, match=message):
            build({"g_ema": state}, "file.pt", Notes())

    def test_a_missing_weight_is_named(self, original):
        """
        A layer without a weight is a checkpoint error with the file and our key.
        """
        message = r"file\.pt: missing synthesis\.blocks\.8\.conv0\.bias \[5\]"
        self.refused(original, lambda s: s.pop("convs.0.activate.bias"), message)

    def test_a_missing_block_is_named(self, original):
        """
        Image layers without their convolutions are no whole generator.
        """
        message = r"not a whole StyleGAN2 generator, no synthesis\.blocks\.16\.conv1\.weight"
        self.refused(original, lambda s: s.pop("convs.3.conv.weight"), message)

    def test_an_unknown_tensor_is_named(self, original):
        """
        A tensor that StyleGAN2 does not have is not dropped silently.
        """
        change = {"attention.weight": torch.zeros(2)}
        self.refused(original, lambda s: s.update(change), r"unknown attention\.weight")

    def test_wavelets_are_refused_by_name(self, original):
        """
        Twelve image channels are SWAGAN's wavelet coefficients.
        """
        changed = rosinality_state(random_generator(image_shape=(12, 16, 16)))
        self.refused(original, lambda s: s.update(changed), "SWAGAN")

    def test_an_average_of_another_width_is_refused(self, original):
        """
        A latent_avg that cannot be a w is named with both shapes.
        """
        root = {"g_ema": rosinality_state(original), "latent_avg": torch.zeros(5)}

        with pytest.raises(CheckpointError, match=r"latent_avg is \[5\], expected \[6\]"):
            build(root, "file.pt", Notes())

    def test_too_many_resolutions_are_refused(self, original):
        """
        A file that claims twenty resolutions does not make the reader allocate for them.
        """
        change = {f"to_rgbs.{i}.bias": torch.zeros(1, 3, 1, 1) for i in range(20)}
        self.refused(original, lambda s: s.update(change), "21 resolutions")

import math

import pytest
import torch
from support.encoders import SHORT_TRAINING, small_encoder
from support.networks import small_generator

from models.checkpoints import load_encoder
from models.configs import EncoderTrainingConfig
from models.encoders import training
from models.encoders.config import Backbone
from models.encoders.encoder import own_tensors
from models.encoders.neutral import save_encoder
from models.encoders.training import train_encoder
from models.latents import mapped
from models.perceptual import random_distance
from models.progress import silent
from models.seeding import philox

DISTANCE = random_distance(0, torch.device("cpu"))


class Memory:
    """
    A keeper of copies: what tensors become afterwards does not change them.
    """

    def __init__(self):
        self.kept = {}

    def load(self, name):
        return self.kept.get(name)

    def save(self, name, state):
        self.kept[name] = {key: tensor.clone() for key, tensor in state.items()}


class Killed(Exception):
    """
    What ends a training early.
    """


def killed_after(steps):
    """
    A report that ends the training after so many steps.
    """

    def report(phase, done, total, unit=""):
        if done == steps:
            raise Killed

    return report


def config_of(**changes):
    return EncoderTrainingConfig(**{**SHORT_TRAINING, **changes})


def centred_generator(**changes):
    """
    A generator whose mean w is that of its samples, as a trained one's is.
    """
    generator = small_generator(16, **changes)
    generator.w_avg.copy_(mapped(generator, [philox(5, i) for i in range(512)])[:, 0].mean(dim=0))
    return generator


def trained(generator=None, report=silent, reals=None, keeper=None, start=None, **changes):
    generator = generator or centred_generator()
    return train_encoder(generator, DISTANCE, config_of(**changes), report, reals, keeper, start)


def assert_same(one, other):
    """
    Two encoders hold the same numbers, bit for bit.
    """
    left, right = own_tensors(one), own_tensors(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


class TestLearning:
    def test_beats_the_mean_code(self):
        """
        After a few steps pictures it never saw are reconstructed better than by the mean code,
        and their codes are nearer.
        """
        _, record = trained(steps=40, batch=8, snapshot_every=10, learning_rate=5e-3)

        mean, first, kept = record["mean"], record["curve"][0], record["kept"]
        assert kept["latent"] < 0.6 * mean["latent"]
        assert kept["distance"] < 0.8 * first["distance"] < 0.8 * mean["distance"]
        assert kept["l2"] < mean["l2"]

    def test_starts_at_the_mean(self):
        """
        The mean code's error is the variance of whitened codes: one.
        """
        _, record = trained(steps=1, validation_samples=256)

        assert record["mean"]["latent"] == pytest.approx(1, abs=0.3)

    def test_depends_on_the_seed_alone(self):
        """
        The same seed gives the same encoder, whatever torch's own stream; another another.
        """
        torch.manual_seed(1)
        one, _ = trained(steps=2)
        torch.manual_seed(2)
        same, _ = trained(steps=2)
        other, _ = trained(steps=2, seed=1)

        assert_same(one, same)
        assert not torch.equal(one.head.linear.weight, other.head.linear.weight)

    def test_leaves_the_generator_as_it_was(self):
        """
        Nothing of the generator moves or gathers gradients, even where it would take them.
        """
        generator = small_generator(16).requires_grad_(True)
        before = {key: tensor.clone() for key, tensor in generator.state_dict().items()}

        trained(generator, steps=2)

        assert all(torch.equal(before[k], t) for k, t in generator.state_dict().items())
        assert all(parameter.grad is None for parameter in generator.parameters())

    @pytest.mark.parametrize("backbone", ["ir-se50", "resnet34"])
    def test_large_backbones_learn(self, backbone):
        """
        The papers' networks are trained by the same steps, BatchNorm and all.
        """
        encoder, record = trained(backbone=backbone, steps=1, validation_samples=2)

        assert encoder.config.backbone == backbone
        assert encoder.config.num_codes == 6
        assert not encoder.training
        assert math.isfinite(record["kept"]["distance"])

    def test_computes_in_half_the_bits(self):
        """
        In bfloat16 it learns nearly the same.
        """
        whole, _ = trained(steps=2)
        half, _ = trained(steps=2, precision="bfloat16")

        torch.testing.assert_close(
            half.head.linear.weight, whole.head.linear.weight, atol=0.02, rtol=0.1
        )


class TestCurve:
    def test_has_a_point_for_each_snapshot(self):
        """
        The last step is a point, too, wherever it falls.
        """
        _, record = trained(steps=5, snapshot_every=2)

        assert [point["step"] for point in record["curve"]] == [2, 4, 5]

    def test_the_best_is_kept(self):
        """
        A rate that ruins what was learnt does not ruin the result: its figures are the best
        point's, and they are those of the encoder that comes back.
        """
        generator = centred_generator()
        encoder, record = trained(generator, steps=6, snapshot_every=1, learning_rate=0.5)

        kept = min(record["curve"], key=lambda point: point["distance"])
        learner = training.Learner(
            generator, DISTANCE, config_of(steps=6, snapshot_every=1, learning_rate=0.5), None
        )
        point = learner._examination.of(encoder, kept["step"])
        assert record["kept"] == kept != record["curve"][-1]
        assert point.distance == pytest.approx(kept["distance"], rel=1e-6)

    def test_divergence_is_said(self):
        """
        Weights that are no numbers end the training with the setting that is at fault.
        """
        learner = training.Learner(centred_generator(), DISTANCE, config_of(), None)
        learner.encoder.head.linear.bias.data.fill_(math.nan)

        with pytest.raises(ValueError, match=r"diverged by step 0: learning_rate 0\.001"):
            learner.examine()


class TestResuming:
    @pytest.mark.parametrize("changes", [{}, {"progressive": True}, {"backbone": "resnet34"}])
    def test_goes_on_to_the_same_weights(self, changes):
        """
        A training killed between two snapshots ends bit-equal to one that was not.
        """
        reals = torch.rand(3, 3, 16, 16)
        memory = Memory()
        changes = {"steps": 5, "batch": 2, **changes}
        whole, record = trained(reals=reals, **changes)
        with pytest.raises(Killed):
            trained(reals=reals, keeper=memory, report=killed_after(3), **changes)

        resumed, again = trained(reals=reals, keeper=memory, **changes)

        assert_same(whole, resumed)
        assert record["curve"] == again["curve"]

    def test_a_finished_one_is_not_repeated(self):
        """
        With the last snapshot there is nothing left to do.
        """
        memory = Memory()
        first, _ = trained(keeper=memory)

        again, _ = trained(keeper=memory, report=killed_after(1))

        assert_same(first, again)

    def test_snapshots_of_others_are_refused(self):
        """
        Settings that differ make another training.
        """
        memory = Memory()
        trained(keeper=memory)

        with pytest.raises(ValueError, match="another training"):
            trained(keeper=memory, seed=1)


class TestStart:
    def test_learning_goes_on_from_it(self):
        """
        At next to no rate it stays the encoder that was given, which was better than none.
        """
        given, record = trained()

        again, after = trained(start=given, steps=1, learning_rate=1e-9)

        for key, tensor in own_tensors(given).items():
            torch.testing.assert_close(own_tensors(again)[key], tensor, atol=1e-4, rtol=1e-3)
        assert after["kept"]["distance"] == pytest.approx(record["kept"]["distance"], rel=1e-3)

    def test_snapshots_of_another_are_refused(self):
        """
        A training goes on from its snapshot with the start it began from alone.
        """
        given, _ = trained()
        keeper = Memory()
        trained(start=given, keeper=keeper)

        with pytest.raises(ValueError, match="another training"):
            trained(keeper=keeper)

    def test_encoders_of_another_shape_are_refused(self):
        """
        One for other codes, or one that sees a single image, is an error that says so.
        """
        given, _ = trained()

        with pytest.raises(ValueError, match="codes are"):
            trained(small_generator(32), start=given)
        with pytest.raises(ValueError, match="only a ReStyle encoder"):
            trained(start=small_encoder(backbone=Backbone.SMALL))


class TestReals:
    def test_are_learnt_from(self):
        """
        Unlabelled images change what is learnt, and their number is recorded.
        """
        reals = torch.rand(5, 3, 16, 16) * 2 - 1
        without, _ = trained(steps=2)
        seen, record = trained(steps=2, reals=reals)

        assert record["reals"] == 5
        assert not torch.equal(without.head.linear.weight, seen.head.linear.weight)

    def test_may_be_all_there_is(self):
        """
        A batch without samples needs no known codes; pixels may be bytes.
        """
        reals = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)

        _, record = trained(steps=2, reals=reals, real_share=1.0)

        assert record["curve"][-1]["step"] == 2

    def test_bytes_are_the_floats_they_stand_for(self):
        """
        0 to 255 are -1 to 1.
        """
        reals = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)

        one, _ = trained(steps=2, reals=reals)
        other, _ = trained(steps=2, reals=reals.float() / 127.5 - 1)

        assert_same(one, other)

    @pytest.mark.parametrize(
        ("reals", "message"),
        [
            (torch.zeros(2, 3, 32, 32), r"reals must be \[N, \[3, 16, 16\]\].*\[2, 3, 32, 32\]"),
            (torch.zeros(0, 3, 16, 16), "N > 0"),
            (torch.zeros(3, 16, 16), r"got \[3, 16, 16\]"),
            (torch.zeros(2, 3, 16, 16, dtype=torch.int64), "uint8 or floats.*int64"),
        ],
    )
    def test_must_be_like_the_generators_images(self, reals, message):
        """
        What does not fit is refused before anything is learnt.
        """
        with pytest.raises(ValueError, match=message):
            trained(reals=reals, report=killed_after(1))


class TestFromCodes:
    def test_the_first_steps_read_codes_alone(self):
        """
        As long as codes alone teach, neither weights of images' losses nor real images count.
        """
        one, _ = trained(steps=2, latent_share=1.0, distance_weight=9.0)
        other, _ = trained(steps=2, latent_share=1.0, reals=torch.zeros(1, 3, 16, 16))

        assert_same(one, other)

    def test_then_images_teach_too(self):
        """
        After that share of the steps, weights of images' losses count.
        """
        one, _ = trained(steps=4, latent_share=0.5, distance_weight=9.0)
        other, _ = trained(steps=4, latent_share=0.5)

        assert not torch.equal(one.head.linear.weight, other.head.linear.weight)


class TestNetworks:
    def test_gray_generators_are_refused(self):
        """
        ReStyle compares colours.
        """
        with pytest.raises(ValueError, match="colour images, not 1 channels"):
            trained(small_generator(16, channels=1))

    def test_images_too_small_are_refused(self):
        """
        Backbones halve pictures four times.
        """
        with pytest.raises(ValueError, match="input_size"):
            trained(small_generator(8))

    def test_conditional_generators_have_encoders(self):
        """
        Samples of all classes are learnt from.
        """
        encoder, _ = trained(small_generator(16, label_dim=3), steps=1)

        assert encoder.num_ws == 6

    @pytest.mark.parametrize("progressive", [False, True])
    def test_small_ones_survive_their_file(self, progressive, tmp_path):
        """
        A small encoder, saved and loaded, gives the same codes; progressive ones differ by layer.
        """
        generator = small_generator(16)
        encoder, _ = trained(generator, progressive=progressive)
        save_encoder(encoder, tmp_path / "e")
        images = torch.rand(2, 3, 16, 16) * 2 - 1

        ws = load_encoder(tmp_path / "e").encode(images, generator)

        assert torch.equal(ws, encoder.encode(images, generator))
        assert ws.shape == (2, 6, 8)
        assert torch.equal(ws[:, 0], ws[:, -1]) is not progressive

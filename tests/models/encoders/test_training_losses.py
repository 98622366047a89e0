import pytest
import torch
from support.encoders import small_encoder

from models.configs import EncoderTrainingConfig
from models.encoders.config import Backbone, Family, Head
from models.encoders.training_losses import Goal, code_loss, image_loss, parted_layers, parting
from models.encoders.training_networks import in_w
from models.latent_spaces import Whitened
from models.perceptual import random_distance

ONLY = {"l2_weight": 0.0, "distance_weight": 0.0, "latent_weight": 0.0, "w_norm_weight": 0.0}


def weighing(**weights):
    return EncoderTrainingConfig(**{**ONLY, **weights})


def goal_of(images, codes, mean):
    return Goal(images, random_distance(0, torch.device("cpu")).targets(images), codes, mean)


class TestTerms:
    def test_code_loss_by_hand(self):
        """
        The latent term reads the samples alone, the norm all, both as means.
        """
        u = torch.tensor([[[3.0, 1.0]], [[5.0, 1.0]]])  # [2, 1, 2]
        goal = Goal(torch.zeros(0), [], torch.tensor([[[1.0, 1.0]]]), torch.tensor([1.0, 1.0]))

        assert code_loss(u, goal, weighing(latent_weight=1.0)) == 2.0
        assert code_loss(u, goal, weighing(w_norm_weight=0.5)) == 0.5 * (4 + 16) / 4

    def test_image_loss_by_hand(self):
        """
        L2 is a mean square over images in [-1, 1]; the distance a mean over images.
        """
        images = torch.zeros(2, 3, 16, 16)
        goal, distance = goal_of(images, torch.zeros(0, 1, 2), torch.zeros(2)), None
        distance = random_distance(0, torch.device("cpu"))
        off = torch.full_like(images, 0.5)

        assert image_loss(off, goal, distance, weighing(l2_weight=2.0)) == 0.5
        expected = 3 * distance(off, goal.targets).mean()
        assert image_loss(off, goal, distance, weighing(distance_weight=3.0)) == expected

    def test_parting_sums_distances_from_the_first_layer(self):
        """
        A layer 5 away and one 1 away make 6; layers together make 0, and the gradient is finite.
        """
        u = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]])
        same = torch.ones(1, 3, 2, requires_grad=True)
        parting(same).backward()

        assert parting(u) == 6.0
        assert parting(same) == 0.0
        assert same.grad.isfinite().all()


class TestParting:
    def test_layers_part_one_after_another(self):
        """
        Until a tenth of the steps none has parted, then one more each, at three tenths all.
        """
        config = EncoderTrainingConfig(steps=1000, progressive=True)

        parted = [parted_layers(step, config, 6) for step in range(1000)]

        assert parted[:100] == [0] * 100
        assert parted[100] == 1
        assert parted[300:] == [5] * 700
        assert parted == sorted(parted)
        assert set(parted) == {0, 1, 2, 3, 4, 5}

    def test_is_for_those_who_ask(self):
        """
        Otherwise each layer is its own from the first step.
        """
        assert parted_layers(0, EncoderTrainingConfig(), 6) is None

    @pytest.mark.parametrize("parted", [0, 2, 5])
    def test_locked_layers_are_the_first(self, parted):
        """
        An e4e encoder's layers that have not parted have the first one's code.
        """
        encoder = small_encoder(family=Family.E4E, in_channels=6)
        x = torch.rand(2, 6, 32, 32)

        codes = encoder(x, parted)

        free = encoder(x)
        assert torch.equal(codes[:, : parted + 1], free[:, : parted + 1])
        assert all(torch.equal(codes[:, i], codes[:, 0]) for i in range(parted + 1, 6))


class TestInW:
    @pytest.mark.parametrize("head", Head)
    @pytest.mark.parametrize("family", Family)
    def test_is_the_same_encoder_elsewhere(self, head, family):
        """
        With the way to W folded into its last layers an encoder puts out what one gets by taking
        whitened codes there, whatever its head.
        """
        torch.manual_seed(0)
        codes = 1 if head is Head.W else 6
        whitening = Whitened.fit(torch.randn(50, 8) * torch.arange(1, 9))
        encoder = small_encoder(backbone=Backbone.SMALL, head=head, family=family, num_codes=codes)
        x = torch.rand(2, 3, 32, 32)

        made = in_w(encoder, whitening, whitening.mean)

        there = whitening.to_w(encoder(x)) - whitening.mean
        torch.testing.assert_close(made(x), there, atol=1e-4, rtol=1e-4)
        assert torch.equal(made.mean_codes(None)[3], whitening.mean)

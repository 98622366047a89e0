import pytest
import torch

from models.demo import losses


def images(n=2, size=16, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class TestRegression:
    def test_is_zero_for_the_target_itself(self):
        """
        An image that is its target costs nothing, any other something, each by itself.
        """
        drawn = torch.cat([images(1), images(1, seed=1)])

        cost = losses.regression(drawn, images(1).expand(2, -1, -1, -1), torch.ones(2, 1, 16, 16))

        assert cost[0] == 0
        assert cost[1] > 0

    def test_weights_say_where_errors_matter(self):
        """
        The same error costs more where weights are high; their scale does not matter.
        """
        target = images(1)
        drawn, weights = target.clone(), torch.ones(1, 1, 16, 16)
        drawn[..., :8, :] += 0.5 * images(1, seed=1)[..., :8, :]
        weights[..., :8, :] = 9

        high = losses.regression(drawn, target, weights)
        low = losses.regression(drawn, target, weights.flip(2))

        assert high > 2 * low
        torch.testing.assert_close(high, losses.regression(drawn, target, 7 * weights))

    def test_a_soft_border_costs_more_than_a_shift_of_colour(self):
        """
        Of two errors of one size, the one that blurs an edge is the dearer.
        """
        target = torch.zeros(1, 3, 16, 16)
        target[..., 8:] = 1
        soft, darker = target.clone(), target - 2 * 0.25 / 16
        soft[..., 7], soft[..., 8] = 0.25, 0.75
        ones = torch.ones(1, 1, 16, 16)

        assert (soft - target).abs().mean() == pytest.approx((darker - target).abs().mean())
        assert losses.regression(soft, target, ones) > 10 * losses.regression(darker, target, ones)


class TestDetailWeights:
    def test_prefer_detail_and_the_middle(self):
        """
        Pixels beside an edge count more than flat ones, and the middle more than the border.
        """
        flat, edged = torch.zeros(2, 1, 3, 32, 32).unbind()
        edged[..., 16:] = 1

        weights = losses.detail_weights(torch.cat([flat, edged]))

        assert weights.shape == (2, 1, 32, 32)
        assert weights[0, 0, 16, 16] > 3 * weights[0, 0, 0, 0] > 0
        assert weights[1, 0, 16, 16] > 3 * weights[1, 0, 16, 8]


def test_gradient_penalty_of_a_linear_critic():
    """
    A critic c * sum(image) has gradient c everywhere, so the penalty is c^2 times the size.
    """
    real = images(2, size=4).requires_grad_()

    penalty = losses.gradient_penalty(0.5 * real.sum(dim=(1, 2, 3)), real)

    assert penalty.item() == pytest.approx(0.25 * 3 * 4 * 4)


def test_adversarial_losses_at_a_draw():
    """
    A discriminator that cannot tell costs log 2 per side.
    """
    logits = torch.zeros(4)

    log2 = torch.tensor(2.0).log()
    torch.testing.assert_close(losses.generator_loss(logits), log2)
    torch.testing.assert_close(losses.discriminator_loss(logits, logits), 2 * log2)

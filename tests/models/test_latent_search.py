import pytest
import torch
from support.networks import small_generator

from models.configs import InversionConfig
from models.latent_search import Objective, learning_rate, search
from models.latent_spaces import Plain, whitened
from models.latents import mapped
from models.perceptual import random_distance
from models.seeding import philox

STEPS = {"distance": "perceptual", "steps": 40}


def wider(generator, factor):
    """
    The same images from codes `factor` times as large.
    """
    last = generator.mapping.layers[-1]
    for parameter in last.parameters():
        parameter.data *= factor
    generator.w_avg.mul_(factor)
    for name, parameter in generator.named_parameters():
        if name.endswith("affine.weight"):
            parameter.data /= factor
    return generator


def searched(generator, config, told=lambda step: None):
    """
    A search from two samples for the images of two others.
    """
    ws = mapped(generator, [philox("search", i) for i in range(4)])
    images = generator.synthesize(ws[:2]).clamp(-1, 1)
    distance = random_distance(0, torch.device("cpu"))
    objective = Objective(generator, images, distance.targets(images), distance, config)
    space = whitened(generator, 0) if config.space == "whitened" else Plain()
    return ws[2:], search(objective, ws[2:], space, told)


class TestSchedule:
    def test_has_the_authors_values(self):
        """
        0.1 at its height; the values at steps 1, 5, 25, 375, 438, 475 and 499 of 500 are known.
        """
        got = [learning_rate(s, 500, 0.1) for s in (1, 5, 25, 375, 438, 475, 499)]

        expected = [0.004, 0.02, 0.1, 0.1, 0.0494, 0.00955, 1.58e-5]
        assert pytest.approx(got, rel=5e-3) == expected

    def test_ends_at_zero(self):
        """
        The last step would not move anything, so it need not be taken.
        """
        assert learning_rate(500, 500, 0.1) == 0


class TestSearch:
    def test_does_not_depend_on_the_scale_of_w(self):
        """
        Two generators that draw the same, one from codes 64 times as large, are searched alike.
        """
        _, found = searched(small_generator(), InversionConfig(**STEPS))
        _, large = searched(wider(small_generator(), 64), InversionConfig(**STEPS))

        torch.testing.assert_close(large / 64, found, atol=1e-3, rtol=1e-2)

    def test_the_authors_depends_on_it(self):
        """
        In W itself a rate that suits one network is far too small for the other.
        """
        plain = InversionConfig(**STEPS, mode="paper")
        (start, found), (wide_start, wide) = (
            searched(generator, plain)
            for generator in (small_generator(), wider(small_generator(), 64))
        )

        assert (wide - wide_start).norm() / 64 < 0.1 * (found - start).norm()

    @pytest.mark.parametrize(("share", "together"), [(1.0, True), (0.5, False), (0.0, False)])
    def test_layers_move_together_for_the_joint_share(self, share, together):
        """
        One offset for all layers, then one for each.
        """
        start, found = searched(small_generator(), InversionConfig(**STEPS, joint_share=share))

        moved = found - start
        alike = torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-4)
        assert alike == together
        assert float(moved.abs().max()) > 0.01

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_takes_every_step_but_the_last(self, share):
        """
        The schedule ends at a rate of 0, whatever part of it is joint.
        """
        told = []
        searched(small_generator(), InversionConfig(**STEPS, joint_share=share), told.append)

        assert told == list(range(1, 40))

    def test_the_latent_term_holds_back(self):
        """
        A heavy one keeps codes near their start.
        """
        near, far = (
            (found - start).norm()
            for start, found in (
                searched(small_generator(), InversionConfig(**STEPS, latent_weight=weight))
                for weight in (1000.0, 0.0)
            )
        )

        assert near < 0.5 * far

    def test_paper_mode_is_the_authors(self):
        """
        499 steps in W, each layer by itself from the first, 10 LPIPS + MSE + MSE to the start.
        """
        config = InversionConfig(mode="paper")

        assert (config.space, config.joint_share, config.steps) == ("plain", 0.0, 500)
        weights = (config.distance_weight, config.mse_weight, config.latent_weight)
        assert (weights, config.learning_rate) == ((10.0, 1.0, 1.0), 0.1)

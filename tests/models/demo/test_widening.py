"""A widened generator draws what the narrow one does, and learns with its new features."""

import dataclasses

import pytest
import torch

from models.demo.recipe import PRESETS
from models.demo.widening import widened
from models.stylegan2.networks import Generator

NARROW = dataclasses.replace(PRESETS["smoke"].generator_config(), channels=(8, 8, 8, 6, 4))
WIDE = dataclasses.replace(NARROW, channels=(12, 8, 10, 9, 8))


def narrow():
    torch.manual_seed(3)
    generator = Generator(NARROW)
    for parameter in generator.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return generator


def ws(n=3):
    return torch.randn(n, 10, 64, generator=torch.Generator().manual_seed(1))


class TestWidened:
    def test_draws_what_the_narrow_one_does(self):
        """
        Every z and w give the narrow generator's picture, up to rounding.
        """
        small = narrow()
        large = widened(small, WIDE)

        assert large.config == WIDE
        torch.testing.assert_close(large.synthesize(ws()), small.synthesize(ws()))
        torch.testing.assert_close(large.map(torch.ones(1, 72)), small.map(torch.ones(1, 72)))

    def test_learns_with_its_new_features(self):
        """
        The weights that read a new feature have a gradient from the first step.
        """
        large = widened(narrow(), WIDE)

        large.synthesize(ws()).square().sum().backward()

        assert large.synthesis.blocks["4"].conv1.weight.grad[:8, 8:].abs().min() > 0

    def test_refuses_what_cannot_hold_the_narrow_one(self):
        """
        Fewer channels or another shape of anything else is an error that says so.
        """
        with pytest.raises(ValueError, match="do not fit"):
            widened(narrow(), dataclasses.replace(NARROW, channels=(8, 8, 8, 6, 3)))
        with pytest.raises(ValueError, match="only channels may differ"):
            widened(narrow(), dataclasses.replace(WIDE, use_noise=False))

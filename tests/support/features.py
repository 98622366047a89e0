"""Feature maps as StyleGAN2 gives them, and how near two of anything are."""

import torch


def feature_maps(n=2, shape=(4, 4)):
    """
    Maps as StyleGAN2 gives them: the constant first, then coarse and wide to fine and narrow.
    """
    stream = torch.Generator().manual_seed(0)
    h, w = shape
    sizes = [(6, 1), (5, 1), (4, 2), (4, 2), (3, 4), (2, 4), (2, 8)]
    maps = [torch.randn(n, c, h * k, w * k, generator=stream) for c, k in sizes]
    maps[0] = maps[0][:1].expand(n, -1, -1, -1)
    return maps


def assert_near(actual, expected):
    """
    Equal up to 1e-5 of the largest number.
    """
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= 1e-5 * float(expected.abs().max())

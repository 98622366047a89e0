import itertools

import numpy as np
import torch

from models.configs import LabelGeneratorConfig
from models.pixel_orders import AllBut, Source, draws, epochs
from models.seeding import philox

CPU = torch.device("cpu")


def taken(source, times=1, seed=0):
    """
    All that one member draws.
    """
    return torch.cat(list(itertools.islice(draws([source], seed, CPU), times))).flatten()


class TestAllBut:
    def test_reads_like_a_pool_without_those_images(self):
        """
        Place by place it is what a copy would be; images without any labelled pixel, at the
        borders too, are no obstacle.
        """
        area, images = 10, 7
        stream = philox("pool")
        pool = torch.arange(area * images)[torch.from_numpy(stream.random(70) < 0.4)]
        pool = pool[(pool // area != 0) & (pool // area != 3)]
        for kept in itertools.product([False, True], repeat=images):
            copy = pool[torch.tensor(kept)[pool // area]]

            found = AllBut(pool, area, torch.tensor(kept))

            assert len(found) == len(copy)
            assert torch.equal(found[torch.arange(len(copy))], copy)


class TestSampling:
    def test_uniform_draws_each_pixel_as_often(self):
        """
        Over many draws, a class is met as often as it has pixels.
        """
        pool = torch.arange(100, 200)

        drawn = taken(Source.uniform(pool, 64), 200)

        counts = np.bincount(drawn.numpy() - 100, minlength=100)
        assert counts.sum() == 12_800
        assert abs(counts / 128 - 1).max() < 0.4

    def test_balanced_draws_each_class_as_often(self):
        """
        One pixel of a class in a hundred is met as often as all others together; within a class
        each as often; a class outside of the pool never.
        """
        targets = torch.tensor([0] * 50 + [4] * 2 + [2] * 48)
        pool = torch.arange(100)[(targets != 2) | (torch.arange(100) > 90)]

        drawn = taken(Source.balanced(pool, targets, 64), 200)

        counts = np.bincount(drawn.numpy(), minlength=100) / len(drawn)
        assert not counts[52:91].any()
        for places in (slice(50), slice(50, 52), slice(91, 100)):
            expected = 1 / 3 / (places.stop - (places.start or 0))
            assert abs(counts[places] / expected - 1).max() < 0.4

    def test_members_have_streams_of_their_own(self):
        """
        No two members draw the same, and a member draws the same in any company.
        """
        source = Source.uniform(torch.arange(1000), 32)

        three, one = (next(draws([source] * members, 5, CPU)) for members in (3, 1))

        assert torch.equal(three[:1], one)
        assert len({tuple(row.tolist()) for row in three}) == 3


def test_an_epoch_meets_every_pixel_once():
    """
    In each epoch a member meets each pixel at most once, in an order of its own and of the epoch;
    an incomplete last batch is left out.
    """
    pool = torch.arange(50, 120)
    config = LabelGeneratorConfig(mode="paper", members=2, batch=16)

    steps = torch.stack(list(epochs(pool, config, 8)))  # 4 to an epoch.

    orders = [steps[:4, 0], steps[:4, 1], steps[4:, 0], steps[4:, 1]]
    assert [len(set(order.flatten().tolist()) & set(range(50, 120))) for order in orders] == [
        64
    ] * 4
    assert len({tuple(order.flatten().tolist()) for order in orders}) == 4

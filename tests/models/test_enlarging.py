import pytest
import torch
import torch.nn.functional as F
from support.features import assert_near

from models.enlarging import EnlargedSum, Tile, resized, tiles


def doubling(count, first=(3, 2), n=2):
    """
    `count` random maps, each twice as large as the one before.
    """
    stream = torch.Generator().manual_seed(0)
    h, w = first
    return [torch.randn(n, 3, h << i, w << i, generator=stream) for i in range(count)]


def directly(maps):
    """
    Each map enlarged by itself, straight to twice the size of the last, and all added up.
    """
    size = (2 * maps[-1].shape[2], 2 * maps[-1].shape[3])
    return sum(F.interpolate(x, size, mode="bilinear", align_corners=False) for x in maps)


def summed(maps):
    """
    The sum of maps that are there already.
    """
    return EnlargedSum.of([lambda x=x: x for x in maps])


class TestEnlargedSum:
    @pytest.mark.parametrize("count", [1, 2, 3, 6])
    @pytest.mark.parametrize("edge", [7, 16, 1000])
    def test_is_the_sum_of_direct_enlargements(self, count, edge):
        """
        In every tile, odd ones too, however many maps were climbed over.
        """
        maps = doubling(count)
        expected = directly(maps)

        found = summed(maps)

        for tile in tiles(expected.shape[2:], edge):
            assert_near(found.at(tile), tile.of(expected))

    def test_a_chain_of_doublings_is_another_function(self):
        """
        It would miss by a tenth and more, so the comparison above can tell them apart.
        """
        coarse, fine = doubling(1)[0], torch.zeros(2, 3, 6, 4)

        chained = resized(resized(coarse, (6, 4)), (12, 8))

        direct = summed([coarse, fine]).at(Tile(0, 12, 0, 8))
        assert float((chained - direct).abs().max()) > 0.1

    def test_one_pixel_alone(self):
        """
        A tile of one pixel, in a corner or within, is that pixel of the whole.
        """
        maps = doubling(3)
        expected, found = directly(maps), summed(maps)

        for row, column in [(0, 0), (23, 15), (7, 8)]:
            tile = Tile(row, row + 1, column, column + 1)
            assert_near(found.at(tile), tile.of(expected))


def test_tiles_hold_every_pixel_once():
    """
    Sizes that the edge does not divide leave smaller tiles at the far sides.
    """
    held = torch.zeros(10, 7)

    for tile in tiles((10, 7), 4):
        tile.of(held).add_(1)

    assert held.eq(1).all()

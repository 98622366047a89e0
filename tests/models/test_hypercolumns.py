import pytest
import torch
from support.features import assert_near, feature_maps

from models import hypercolumns


def bilinear(line, out):
    """
    A line of numbers enlarged to `out` of them, pixel by pixel, by the definition.
    """
    values = []
    for i in range(out):
        place = min(max((i + 0.5) * len(line) / out - 0.5, 0), len(line) - 1)
        lower = int(place)
        upper = min(lower + 1, len(line) - 1)
        share = place - lower
        values.append(line[lower] * (1 - share) + line[upper] * share)
    return values


def slowly(x, size):
    """
    One map [h, w] enlarged to `size`, first its rows and then its columns.
    """
    rows = [bilinear(row.tolist(), size[1]) for row in x]
    columns = [bilinear(list(column), size[0]) for column in zip(*rows, strict=True)]
    return torch.tensor(columns).T


class TestEverywhere:
    def test_is_bilinear_from_the_native_size(self):
        """
        Each map is enlarged straight to the label's size, borders repeated; the order is kept.
        """
        features = feature_maps(n=1)

        got = hypercolumns.everywhere(features, (32, 32))

        expected = torch.stack([slowly(c, (32, 32)) for f in features for c in f[0]])
        assert_near(got[0], expected)

    def test_averages_maps_of_twice_the_labels_size(self):
        """
        A map larger than the label is reduced first: from twice the size, a mean of four.
        """
        x = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))

        got = hypercolumns.everywhere([x], (8, 8))

        expected = x.unflatten(2, (8, 2)).unflatten(4, (8, 2)).mean(dim=(3, 5))
        assert_near(got, expected)


class TestProject:
    @pytest.mark.parametrize("edge", [64, 32, 16, 12, 5])
    @pytest.mark.parametrize("shape", [(4, 4), (4, 2)])
    def test_is_a_linear_layer_on_hypercolumns(self, edge, shape):
        """
        Applying the layer to maps at their native size and enlarging its outputs is the layer on
        hypercolumns, whatever the tiles.
        """
        features, size = feature_maps(shape=shape), (8 * shape[0], 8 * shape[1])
        stream = torch.Generator().manual_seed(1)
        weight = torch.randn(7, sum(f.shape[1] for f in features), generator=stream)
        bias = torch.randn(7, generator=stream)
        whole = hypercolumns.everywhere(features, size)
        expected = torch.einsum("nchw,dc->nhwd", whole, weight) + bias

        got = torch.full_like(expected, torch.nan)
        for tile, part in hypercolumns.project(features, weight, bias, size, edge):
            got[:, tile.top : tile.bottom, tile.left : tile.right] = part

        assert_near(got, expected)

    def test_reduces_large_maps_first(self):
        """
        A label smaller than the finest maps gets the same layer on reduced maps.
        """
        features, size = feature_maps(), (16, 16)
        weight = torch.randn(2, sum(f.shape[1] for f in features))
        ((_, got),) = hypercolumns.project(features, weight, torch.zeros(2), size, 16)

        whole = hypercolumns.everywhere(features, size)
        assert_near(got, torch.einsum("nchw,dc->nhwd", whole, weight))

    def test_refuses_a_label_that_maps_do_not_divide(self):
        """
        The label's size must be a whole multiple of each map's; the message names both.
        """
        features = feature_maps()
        weight = torch.zeros(1, sum(f.shape[1] for f in features))

        with pytest.raises(ValueError, match=r"\(48, 48\) .* 32 x 32"):
            next(hypercolumns.project(features, weight, torch.zeros(1), (48, 48), 16))

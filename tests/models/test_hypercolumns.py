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


def projected(features, weight, bias, size, edge):
    """
    A layer on the maps as they come from synthesis.
    """
    return hypercolumns.project(hypercolumns.native_maps(features, size), weight, bias, edge)


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
        for tile, part in projected(features, weight, bias, size, edge):
            got[:, tile.top : tile.bottom, tile.left : tile.right] = part

        assert_near(got, expected)

    def test_reduces_large_maps_first(self):
        """
        A label smaller than the finest maps gets the same layer on reduced maps.
        """
        features, size = feature_maps(), (16, 16)
        weight = torch.randn(2, sum(f.shape[1] for f in features))
        ((_, got),) = projected(features, weight, torch.zeros(2), size, 16)

        whole = hypercolumns.everywhere(features, size)
        assert_near(got, torch.einsum("nchw,dc->nhwd", whole, weight))

    @pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 16), (32, 32)])
    def test_needs_no_smaller_maps(self, size):
        """
        Of a generator of few blocks there may be no map to enlarge, or one alone.
        """
        features = [f for f in feature_maps() if f.shape[2] <= size[0]]
        weight = torch.randn(3, sum(f.shape[1] for f in features))
        bias = torch.randn(3)

        ((_, got),) = projected(features, weight, bias, size, 64)

        whole = hypercolumns.everywhere(features, size)
        assert_near(got, torch.einsum("nchw,dc->nhwd", whole, weight) + bias)

    def test_leaves_the_maps_as_they_are(self):
        """
        What it adds up is its own: another layer can be applied to the same maps.
        """
        maps = hypercolumns.native_maps(feature_maps(), (32, 32))
        before = [f.clone() for level in maps for f in level]
        weight = torch.randn(3, sum(f.shape[1] for level in maps for f in level))

        for _, part in hypercolumns.project(maps, weight, torch.randn(3), 16):
            part.zero_()

        after = [f for level in maps for f in level]
        assert all(map(torch.equal, before, after))

    def test_refuses_a_label_that_maps_do_not_divide(self):
        """
        Maps must double from level to level up to the label; the message names all sizes.
        """
        with pytest.raises(ValueError, match=r"\(48, 48\) .* 4 x 4, 8 x 8, 16 x 16, 32 x 32"):
            hypercolumns.native_maps(feature_maps(), (48, 48))

    def test_refuses_maps_with_a_level_missing(self):
        """
        From 8 to 32 pixels is no doubling, though both divide the label.
        """
        features = [f for f in feature_maps() if f.shape[2] != 16]

        with pytest.raises(ValueError, match="4 x 4, 8 x 8, 32 x 32"):
            hypercolumns.native_maps(features, (32, 32))

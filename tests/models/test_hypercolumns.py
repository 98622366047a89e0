import pytest
import torch

from models import hypercolumns
from models.hypercolumns import FeatureTable


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


def assert_near(actual, expected):
    """
    Equal up to 1e-5 of the largest number.
    """
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


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


class TestAtPixels:
    @pytest.mark.parametrize("size", [(32, 32), (16, 16), (48, 40)])
    @pytest.mark.parametrize("shape", [(4, 4), (4, 2)])
    def test_agrees_with_everywhere(self, size, shape):
        """
        Reading all pixels of all images gives the numbers of the whole map.
        """
        features = feature_maps(shape=shape)
        table = FeatureTable.build(features, size, torch.float32)

        read = hypercolumns.at_pixels(table, torch.arange(2 * size[0] * size[1]))

        whole = hypercolumns.everywhere(features, size).permute(0, 2, 3, 1)
        assert_near(read.view(whole.shape), whole)

    def test_half_precision_is_as_good_as_it_can_be(self):
        """
        A table in half precision errs by half precision's rounding, and no more.
        """
        features = feature_maps()
        pixels = torch.arange(2 * 32 * 32)
        exact = hypercolumns.at_pixels(
            FeatureTable.build(features, (32, 32), torch.float32), pixels
        )

        read = hypercolumns.at_pixels(FeatureTable.build(features, (32, 32), torch.float16), pixels)

        assert torch.float32 == read.dtype
        assert float((read - exact).abs().max()) < 2e-3 * float(exact.abs().max())


class TestFeatureTable:
    def test_joins_images_in_order(self):
        """
        Tables built image by image and joined are the table of all images.
        """
        features = feature_maps(n=3)
        whole = FeatureTable.build(features, (32, 32), torch.float32)
        parts = [
            FeatureTable.build([f[i : i + 1] for f in features], (32, 32), torch.float32)
            for i in range(3)
        ]

        joined = FeatureTable.join(parts)

        for one, other in zip(joined.tables, whole.tables, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)

    def test_standardises_hypercolumns_with_the_maps(self):
        """
        Standardised maps give hypercolumns minus the means, over the deviations.
        """
        features = feature_maps()
        table = FeatureTable.build(features, (32, 32), torch.float32)
        pixels = torch.arange(2 * 32 * 32)
        raw = hypercolumns.at_pixels(table, pixels)

        mean, deviation = table.standardise()

        assert_near(hypercolumns.at_pixels(table, pixels), (raw - mean) / deviation)
        for values in table.tables:
            torch.testing.assert_close(values.mean(0), torch.zeros(values.shape[1]))

    def test_a_dead_channel_is_not_blown_up(self):
        """
        A channel that never varied is divided by a share of the usual deviation, not by nothing.
        """
        x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        x[:, 1] = 7.0
        table = FeatureTable.build([x], (4, 4), torch.float32)

        _, deviation = table.standardise()

        assert float(deviation[1]) >= 0.04 * float(deviation.mean())


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

import pytest
import torch
from support.features import assert_near, feature_maps

from models import feature_tables, hypercolumns
from models.feature_tables import FeatureTable, at_pixels, level_shapes


def shapes_of(features):
    """
    What a generator says of its maps: (C_l, h_l, w_l) of each.
    """
    return [tuple(feature.shape[1:]) for feature in features]


def table_of(features, size, dtype=torch.float32):
    """
    The table of all images, filled one by one.
    """
    count = len(features[0])

    def new(rows, channels):
        return torch.full((rows, channels), torch.nan, dtype=dtype)

    table = FeatureTable.empty(count, shapes_of(features), size, new)
    for index in range(count):
        table.put(index, [feature[index : index + 1] for feature in features])
    return table


@pytest.fixture
def small_pieces(monkeypatch):
    """
    Tables are worked on in pieces of a few rows.
    """
    monkeypatch.setattr(feature_tables, "_NUMBERS_AT_ONCE", 100)


class TestAtPixels:
    @pytest.mark.parametrize("size", [(32, 32), (16, 16), (48, 40)])
    @pytest.mark.parametrize("shape", [(4, 4), (4, 2)])
    def test_agrees_with_everywhere(self, size, shape):
        """
        Reading all pixels of all images gives the numbers of the whole map.
        """
        features = feature_maps(shape=shape)
        table = table_of(features, size)

        read = at_pixels(table, torch.arange(2 * size[0] * size[1]))

        whole = hypercolumns.everywhere(features, size).permute(0, 2, 3, 1)
        assert_near(read.view(whole.shape), whole)

    def test_half_precision_is_as_good_as_it_can_be(self):
        """
        A table in half precision errs by half precision's rounding, and no more.
        """
        features = feature_maps()
        pixels = torch.arange(2 * 32 * 32)
        exact = at_pixels(table_of(features, (32, 32)), pixels)

        read = at_pixels(table_of(features, (32, 32), torch.float16), pixels)

        assert torch.float32 == read.dtype
        assert float((read - exact).abs().max()) < 2e-3 * float(exact.abs().max())


class TestFilling:
    @pytest.mark.parametrize("size", [(32, 32), (16, 16)])
    def test_images_lie_in_order_at_their_levels(self, size):
        """
        Each level is that of all images at once, one below the other, whether or not the largest
        maps are reduced; no number is left as it was.
        """
        features = feature_maps(n=3)

        table = table_of(features, size)

        for own, level in zip(table.tables, hypercolumns.levels(features, size), strict=True):
            assert torch.equal(own, level.permute(0, 2, 3, 1).flatten(0, 2))

    @pytest.mark.parametrize("size", [(32, 32), (16, 16), (4, 4)])
    def test_shapes_are_known_before_the_maps(self, size):
        """
        What room the levels take follows from the shapes of the maps.
        """
        features = feature_maps()

        found = level_shapes(shapes_of(features), size)

        assert found == shapes_of(hypercolumns.levels(features, size))


class TestStandardising:
    def test_hypercolumns_are_standardised_with_the_maps(self):
        """
        Standardised maps give hypercolumns minus the means, over the deviations.
        """
        table = table_of(feature_maps(), (32, 32))
        pixels = torch.arange(2 * 32 * 32)
        raw = at_pixels(table, pixels)

        mean, deviation = table.standardise()

        assert_near(at_pixels(table, pixels), (raw - mean) / deviation)
        for values in table.tables:
            torch.testing.assert_close(values.mean(0), torch.zeros(values.shape[1]))

    def test_pieces_have_the_moments_of_the_whole(self, small_pieces):
        """
        Far from 0 and piece by piece, means and deviations are those of float64 on all at once.
        """
        features = [1000 + feature for feature in feature_maps()]
        table = table_of(features, (32, 32))
        whole = [values.double() for values in table.tables]

        mean, deviation = table.standardise()

        means, deviations = (
            torch.cat([getattr(values, name)(dim=0, **more) for values in whole])
            for name, more in (("mean", {}), ("std", {"correction": 0}))
        )
        torch.testing.assert_close(mean.double(), means, rtol=1e-7, atol=0)
        varied = deviations > 0.1
        # Of values at 1000, float32 knows deviations of 1 to some millionths.
        torch.testing.assert_close(
            deviation.double()[varied], deviations[varied], rtol=1e-5, atol=0
        )

    def test_is_done_in_place(self, small_pieces):
        """
        The tables stay where they are, in their precision.
        """
        table = table_of(feature_maps(), (32, 32), torch.float16)
        before = [(values.data_ptr(), values.dtype) for values in table.tables]

        table.standardise()

        assert [(values.data_ptr(), values.dtype) for values in table.tables] == before

    def test_a_dead_channel_is_not_blown_up(self):
        """
        A channel that never varied is divided by a share of the usual deviation, not by nothing.
        """
        x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        x[:, 1] = 7.0

        _, deviation = table_of([x], (4, 4)).standardise()

        assert float(deviation[1]) >= 0.04 * float(deviation.mean())

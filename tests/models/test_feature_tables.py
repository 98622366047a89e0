import pytest
import torch
from support.features import assert_near, feature_maps

from models import hypercolumns
from models.feature_tables import FeatureTable, at_pixels


class TestAtPixels:
    @pytest.mark.parametrize("size", [(32, 32), (16, 16), (48, 40)])
    @pytest.mark.parametrize("shape", [(4, 4), (4, 2)])
    def test_agrees_with_everywhere(self, size, shape):
        """
        Reading all pixels of all images gives the numbers of the whole map.
        """
        features = feature_maps(shape=shape)
        table = FeatureTable.build(features, size, torch.float32)

        read = at_pixels(table, torch.arange(2 * size[0] * size[1]))

        whole = hypercolumns.everywhere(features, size).permute(0, 2, 3, 1)
        assert_near(read.view(whole.shape), whole)

    def test_half_precision_is_as_good_as_it_can_be(self):
        """
        A table in half precision errs by half precision's rounding, and no more.
        """
        features = feature_maps()
        pixels = torch.arange(2 * 32 * 32)
        exact = at_pixels(FeatureTable.build(features, (32, 32), torch.float32), pixels)

        read = at_pixels(FeatureTable.build(features, (32, 32), torch.float16), pixels)

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
        raw = at_pixels(table, pixels)

        mean, deviation = table.standardise()

        assert_near(at_pixels(table, pixels), (raw - mean) / deviation)
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

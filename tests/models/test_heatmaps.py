import numpy as np
import pytest
import torch

from models.heatmaps import gaussians, peaks


def points(n=3, k=4, size=(20, 30), margin=3.0):
    """
    Visible points between pixels, away from the border: float32 [n, k, 3].
    """
    stream = np.random.default_rng(0)
    low, high = np.full(2, margin), np.array(size) - 1 - margin
    places = stream.uniform(low, high, (n, k, 2))
    return torch.from_numpy(np.concatenate([places, np.full((n, k, 1), 2)], -1)).float()


class TestGaussians:
    def test_agree_with_the_formula(self):
        """
        Each pixel is as high as its distance from the point says.
        """
        given = points(n=1, k=2, size=(6, 9), margin=0)

        maps = gaussians(given, (6, 9), sigma=1.5)

        for k, (row, column, _) in enumerate(given[0].tolist()):
            for y in range(6):
                for x in range(9):
                    expected = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.5**2))
                    assert float(maps[0, k, y, x]) == pytest.approx(expected, abs=1e-6)

    def test_points_without_a_label_have_an_empty_map(self):
        """
        Visibility 0 leaves no trace, even where the place is not a number; 1 and 2 are alike.
        """
        given = torch.tensor([[[4.0, 4.0, 1], [4.0, 4.0, 2], [torch.nan, 4.0, 0]]])

        seen, hidden, absent = gaussians(given, (9, 9), sigma=1.0)[0]

        assert torch.equal(seen, hidden)
        assert float(seen.max()) == 1
        assert not absent.any()


class TestPeaks:
    @pytest.mark.parametrize("sigma", [1.0, 1.3, 4.0])
    @pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
    def test_of_gaussians_are_their_points(self, sigma, scale):
        """
        Between pixels, to a thousandth of one, and as high as the Gaussian is at its middle.
        """
        given = points()

        found = peaks(scale * gaussians(given, (20, 30), sigma))

        torch.testing.assert_close(found[..., :2], given[..., :2], atol=1e-3, rtol=0)
        torch.testing.assert_close(found[..., 2], torch.full((3, 4), scale), rtol=1e-3, atol=0)

    def test_at_the_border_are_whole_pixels(self):
        """
        Where a neighbour is missing, a side says nothing; the other side still does.
        """
        given = torch.tensor([[[0.2, 5.3, 2], [8.9, 0.0, 2]]])

        found = peaks(gaussians(given, (10, 10), 1.5))[0]

        torch.testing.assert_close(found[:, :2], torch.tensor([[0.0, 5.3], [9.0, 0.0]]))

    @pytest.mark.parametrize("value", [0.0, -2.0, 3.0])
    def test_of_flat_maps_are_some_pixel(self, value):
        """
        A map that is the same everywhere has a peak, and numbers for it.
        """
        assert peaks(torch.full((2, 1, 5, 5), value)).tolist() == [[[0, 0, value]]] * 2

    def test_negative_values_disturb_nothing(self):
        """
        A peak beside pixels below zero stays within half a pixel of the highest one.
        """
        maps = torch.full((1, 5, 5), -1.0)
        maps[0, 2, 2], maps[0, 2, 3] = 1.0, 0.5

        row, column, height = peaks(maps)[0].tolist()

        assert row == 2
        assert 2 < column < 2.5
        assert height >= 1

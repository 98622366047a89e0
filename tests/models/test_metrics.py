import math
from fractions import Fraction

import numpy as np
import pytest

from models.metrics import (
    confusion_matrix,
    depth_errors,
    mean_iou,
    pck,
    per_class_iou,
    psnr,
    ssim,
)


def masks(seed, n=4, classes=5, size=(6, 7)):
    """
    Random predicted and true masks [n, *size].
    """
    stream = np.random.default_rng(seed)
    return (
        stream.integers(0, classes, (n, *size)).astype(np.uint8),
        stream.integers(0, classes, (n, *size)).astype(np.uint8),
    )


class TestMeanIou:
    @pytest.mark.parametrize("ignore", [None, 0, 3])
    def test_is_intersection_over_union_of_sets_of_pixels(self, ignore):
        """
        Over the whole set: pixels that are a class and are called so, over those of either.
        """
        predicted, true = masks(0)
        expected = []
        pixels = list(zip(predicted.ravel().tolist(), true.ravel().tolist(), strict=True))
        counted = [(p, t) for p, t in pixels if t != ignore]
        for c in range(5):
            said = {i for i, (p, _) in enumerate(counted) if p == c}
            real = {i for i, (_, t) in enumerate(counted) if t == c}
            expected.append(Fraction(len(said & real), len(said | real)))

        confusion = confusion_matrix(predicted, true, 5, ignore)

        np.testing.assert_allclose([float(f) for f in expected], per_class_iou(confusion))
        assert math.isclose(float(sum(expected) / 5), mean_iou(confusion))

    def test_sums_before_it_divides(self):
        """
        Matrices of images are added: a class that fills one image outweighs a speck in another.
        """
        predicted, true = masks(1)
        parts = [confusion_matrix(p, t, 5) for p, t in zip(predicted, true, strict=True)]

        np.testing.assert_array_equal(confusion_matrix(predicted, true, 5), sum(parts))

    def test_absent_classes_are_left_out_or_count_zero(self):
        """
        A class that is nowhere, predicted or true, is skipped, or zero as the authors have it.
        """
        confusion = np.diag([3, 5, 0])

        assert np.isnan(per_class_iou(confusion)[2])
        assert mean_iou(confusion) == 1.0
        assert mean_iou(confusion, absent="zero") == 2 / 3

    def test_nothing_counted_is_not_a_number(self):
        """
        Where every pixel is ignored there is no mean.
        """
        ignored = np.full((2, 2), 7)

        assert math.isnan(mean_iou(confusion_matrix(ignored, ignored, 3, ignore_index=7)))

    def test_rows_are_true_and_columns_predicted(self):
        """
        One pixel of class 2 that was called 1 stands in row 2, column 1.
        """
        confusion = confusion_matrix(np.array([1]), np.array([2]), 3)

        assert 1 == confusion[2, 1] == confusion.sum()

    def test_refuses_what_cannot_be_compared(self):
        """
        Other shapes and ids outside the classes are errors that say so.
        """
        with pytest.raises(ValueError, match=r"\(2,\), true is \(3,\)"):
            confusion_matrix(np.zeros(2, int), np.zeros(3, int), 2)
        with pytest.raises(ValueError, match="0 to 1"):
            confusion_matrix(np.array([2]), np.array([0]), 2)


class TestPck:
    def test_counts_visible_points_within_reach(self):
        """
        Of the visible points, the share that is at most alpha times the normaliser away.
        """
        true = np.zeros((1, 4, 2))
        predicted = np.array([[[0, 0], [3, 4], [3, 4.1], [0, 0]]])
        visible = np.array([[True, True, True, False]])

        assert pck(predicted, true, visible, np.array([50.0]), alpha=0.1) == 2 / 3

    def test_each_image_has_its_own_normaliser(self):
        """
        The same error is near on a large picture and far on a small one.
        """
        true, predicted = np.zeros((2, 1, 2)), np.full((2, 1, 2), 1.0)
        visible = np.ones((2, 1), bool)

        assert pck(predicted, true, visible, np.array([10.0, 100.0]), alpha=0.05) == 0.5

    def test_nothing_visible_is_not_a_number(self):
        """
        Without a visible point there is no share.
        """
        nothing = np.zeros((1, 2, 2))
        assert math.isnan(pck(nothing, nothing, np.zeros((1, 2), bool), np.ones(1), 0.1))

    def test_names_shapes_that_differ(self):
        """
        Arrays that do not belong together are refused with their shapes.
        """
        with pytest.raises(ValueError, match=r"\(1, 2, 2\)"):
            pck(np.zeros((1, 2, 2)), np.zeros((1, 3, 2)), np.ones((1, 3), bool), np.ones(1), 0.1)
        with pytest.raises(ValueError, match=r"\[1\], got \[2\]"):
            pck(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), np.ones((1, 3), bool), np.ones(2), 0.1)


class TestDepthErrors:
    def test_agrees_with_sums_by_hand(self):
        """
        Two valid pixels, one unknown: each error is its textbook sum over the valid ones.
        """
        true = np.array([[[2.0, 4.0, 0.0]]])
        predicted = np.array([[[1.0, 5.0, 9.0]]])

        got = depth_errors(predicted, true)

        expected = {
            "nmse": (1 + 1) / (4 + 16),
            "rmse": 1.0,
            "rmse_log": math.sqrt((math.log(2) ** 2 + math.log(5 / 4) ** 2) / 2),
            "abs_rel": (1 / 2 + 1 / 4) / 2,
            "sq_rel": (1 / 2 + 1 / 4) / 2,
        }
        assert expected == pytest.approx(got)

    def test_clips_before_all_but_the_first(self):
        """
        Beyond 80 metres a difference counts in nmse alone.
        """
        got = depth_errors(np.full((1, 1, 1), 200.0), np.full((1, 1, 1), 100.0))

        assert got == {"nmse": 1.0, "rmse": 0.0, "rmse_log": 0.0, "abs_rel": 0.0, "sq_rel": 0.0}

    def test_clips_to_other_limits_where_told(self):
        """
        In millimetres 80 is near: there 100 and 200 differ.
        """
        maps = np.full((1, 1, 1), 200.0), np.full((1, 1, 1), 100.0)

        assert depth_errors(*maps, limits=(1, 10_000))["rmse"] == 100
        assert depth_errors(*maps, limits=(1, 150))["rmse"] == 50

    def test_not_a_number_is_unknown(self):
        """
        NaN counts like 0: as no depth.
        """
        true = np.array([[[2.0, np.nan, 0.0]]])

        assert depth_errors(np.array([[[1.0, 9.0, 9.0]]]), true)["rmse"] == 1

    def test_averages_over_images(self):
        """
        Images weigh the same, whatever their number of valid pixels.
        """
        true = np.array([[[1.0, 1.0]], [[1.0, 0.0]]])
        predicted = np.array([[[1.0, 1.0]], [[3.0, 0.0]]])

        assert depth_errors(predicted, true)["rmse"] == 1.0

    def test_refuses_an_image_without_depth(self):
        """
        An image whose depth is nowhere known is named.
        """
        with pytest.raises(ValueError, match="depth map 1"):
            depth_errors(np.ones((2, 1, 1)), np.array([[[1.0]], [[0.0]]]))
        with pytest.raises(ValueError, match=r"\[N, H, W\]"):
            depth_errors(np.ones((1, 1)), np.ones((1, 1)))


class TestImages:
    def test_psnr_of_a_known_error(self):
        """
        An error of a tenth everywhere is 20 dB; none is infinite.
        """
        image = np.full((2, 4, 4), 0.5)

        assert math.isclose(20.0, psnr(image + 0.1, image))
        assert math.inf == psnr(image, image)

    def test_ssim_agrees_with_a_sum_over_windows(self):
        """
        The mean over all windows of the product of luminance and structure, window by window.
        """
        stream = np.random.default_rng(0)
        x = stream.random((14, 13, 1))
        y = np.clip(x + stream.normal(0, 0.2, x.shape), 0, 1)
        d = np.arange(11) - 5
        g = np.exp(-(d[:, None] ** 2 + d**2) / 4.5)
        g /= g.sum()
        values = []
        for r in range(4):
            for c in range(3):
                a, b = x[r : r + 11, c : c + 11, 0], y[r : r + 11, c : c + 11, 0]
                ma, mb = (g * a).sum(), (g * b).sum()
                va, vb = (g * (a - ma) ** 2).sum(), (g * (b - mb) ** 2).sum()
                cov = (g * (a - ma) * (b - mb)).sum()
                values.append(
                    (2 * ma * mb + 1e-4)
                    * (2 * cov + 9e-4)
                    / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
                )

        assert math.isclose(float(np.mean(values)), ssim(x, y), rel_tol=1e-9)
        assert math.isclose(1.0, ssim(x, x))

    def test_ssim_of_content_minds_only_windows_around_it(self):
        """
        What lies farther than a window from the content has no part; without windows it is NaN.
        """
        stream = np.random.default_rng(1)
        x = stream.random((40, 13, 1))
        y = np.clip(x + stream.normal(0, 0.2, x.shape), 0, 1)
        content = np.zeros((40, 13), dtype=bool)
        content[10:20] = True
        near, far = y.copy(), y.copy()
        near[14] = far[30] = 0

        whole = ssim(x[5:25], y[5:25])

        assert math.isclose(whole, ssim(x, y, content), rel_tol=1e-9)
        assert math.isclose(whole, ssim(x, far, content), rel_tol=1e-9)
        assert ssim(x, near, content) < whole
        assert math.isnan(ssim(x, y, np.zeros((40, 13), dtype=bool)))

    def test_ssim_needs_room_for_a_window(self):
        """
        Images smaller than the window are refused with their size.
        """
        with pytest.raises(ValueError, match="11 x 11"):
            ssim(np.zeros((10, 20, 3)), np.zeros((10, 20, 3)))

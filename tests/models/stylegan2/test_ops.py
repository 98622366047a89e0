"""Each operation beside a slow, literal reading of its equation."""

import math

import numpy as np
import pytest
import torch

from models.stylegan2 import ops

FILTERS = [(1.0, 3.0, 3.0, 1.0), (1.0, 1.0), (1.0, 2.0, 4.0, 3.0), (0.0, 1.0, 2.0, 1.0)]

each_filter = pytest.mark.parametrize("taps", FILTERS)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def channels_last(*shape, seed=0):
    return randn(*shape, seed=seed).float().contiguous(memory_format=torch.channels_last)


def convolved(image, kernel):
    """Full true convolution of two arrays, one product at a time."""
    height, width = (a + b - 1 for a, b in zip(image.shape, kernel.shape, strict=True))
    out = np.zeros((height, width))
    for row, column in np.ndindex(*image.shape):
        rows, columns = (slice(i, i + n) for i, n in zip((row, column), kernel.shape, strict=True))
        out[rows, columns] += image[row, column] * kernel
    return out


def upsampled(image, taps):
    """Zeros between pixels, padding, then the filter with gain 4: [H, W] -> [2H, 2W]."""
    height, width = image.shape
    stuffed = np.zeros((2 * height, 2 * width))
    stuffed[::2, ::2] = image
    kernel = np.outer(taps, taps) / np.sum(taps) ** 2 * 4
    before, after = (len(taps) + 1) // 2, (len(taps) - 2) // 2
    padded = np.pad(stuffed, [(before, after), (before, after)])
    inner = len(taps) - 1
    return convolved(padded, kernel)[inner:-inner, inner:-inner]


class TestUpsampleImage:
    @each_filter
    @pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 2)])
    def test_agrees_with_the_definition(self, taps, size):
        """
        Enlarging agrees with zero-stuffing, padding and convolving by hand, for symmetric and
        other filters and for any shape.
        """
        image = randn(2, 3, *size)

        enlarged = ops.upsample_image(image, ops.fir_kernel(taps).double())

        for n, c in np.ndindex(2, 3):
            expected = upsampled(image[n, c].numpy(), taps)
            np.testing.assert_allclose(enlarged[n, c], expected, atol=1e-6)

    def test_keeps_flat_areas(self):
        """
        A flat image stays flat and as bright, away from the border.
        """
        enlarged = ops.upsample_image(torch.ones(1, 1, 4, 4), ops.fir_kernel((1, 3, 3, 1)))

        torch.testing.assert_close(enlarged[..., 2:-2, 2:-2], torch.ones(1, 1, 4, 4))


class TestUpsampleConv:
    @each_filter
    def test_agrees_with_the_definition(self, taps):
        """
        The enlarging convolution is a true convolution of the zero-stuffed image with the
        weights and then with the filter, less the rows the padding of 1 leaves out.
        """
        image, weight = randn(2, 3, 4, 5), randn(2, 3, 3, 3, seed=1)

        enlarged = ops.upsample_conv(image, weight, ops.fir_kernel(taps).double())

        kernel = np.outer(taps, taps) / np.sum(taps) ** 2 * 4
        crop = slice(len(taps) - 1 - (len(taps) // 2 - 1), None)
        for n, o in np.ndindex(2, 2):
            total = 0
            for i in range(3):
                stuffed = np.zeros((7, 9))
                stuffed[::2, ::2] = image[n, i].numpy()
                total = total + convolved(convolved(stuffed, weight[o, i].numpy()), kernel)
            expected = total[crop, crop][:8, :10]
            np.testing.assert_allclose(enlarged[n, o], expected, atol=1e-6)


class TestModulatedConv:
    @pytest.mark.parametrize("enlarge", [False, True])
    def test_agrees_with_weights_modulated_per_sample(self, enlarge):
        """
        Scaling activations is the same as scaling and demodulating each sample's weights,
        which is how the paper states it.
        """
        x, weight, styles = randn(3, 4, 5, 6), randn(2, 4, 3, 3, seed=1), randn(3, 4, seed=2)
        kernel = ops.fir_kernel((1, 3, 3, 1)).double() if enlarge else None

        y, factor = ops.modulated_conv(x, weight, styles, kernel)

        for n in range(3):
            own = weight * styles[n][None, :, None, None]
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            if kernel is None:
                expected = torch.nn.functional.conv2d(x[n : n + 1], own, padding=1)
            else:
                expected = ops.upsample_conv(x[n : n + 1], own, kernel)
            torch.testing.assert_close((y * factor[:, :, None, None])[n], expected[0])

    def test_half_precision_survives_large_weights(self):
        """
        In float16 neither large weights nor large styles overflow.
        """
        x, weight, styles = randn(1, 64, 4, 4), randn(8, 64, 3, 3, seed=1), randn(1, 64, seed=2)
        exact, exact_factor = ops.modulated_conv(x, weight, styles)

        y, factor = ops.modulated_conv(x.half(), weight.float() * 3000, styles.float() * 3000)

        expected = exact * exact_factor[:, :, None, None]
        actual = y.double() * factor[:, :, None, None]
        torch.testing.assert_close(actual, expected, rtol=0.02, atol=0.02)

    def test_half_precision_survives_dead_channels(self):
        """
        Weights or styles that are all zero give zeros in float16 too, not NaN.
        """
        x, weight, styles = randn(2, 4, 4, 4), randn(3, 4, 3, 3, seed=1), randn(2, 4, seed=2)
        weight[0], styles[1] = 0, 0

        y, factor = ops.modulated_conv(x.half(), weight.float(), styles.float())

        finished = y * factor[:, :, None, None]
        assert finished.isfinite().all()
        assert not finished[0, 0].any()
        assert not finished[1].any()


class TestFinishStyledConv:
    @pytest.mark.parametrize("clamp", [None, 0.5])
    @pytest.mark.parametrize("gain", [1.0, 0.7])
    def test_order_is_demodulate_noise_bias_activate_clamp(self, clamp, gain):
        """
        The folded gains change nothing: the steps one by one give the same numbers. A layer's
        gain scales its clamp too.
        """
        y, factor, bias, noise = randn(2, 3, 4, 4), randn(2, 3), randn(3), randn(2, 1, 4, 4)

        finished = ops.finish_styled_conv(y, factor, bias, noise, clamp, gain)

        steps = y * factor[:, :, None, None] + noise + bias[None, :, None, None]
        expected = torch.where(steps > 0, steps, 0.2 * steps) * math.sqrt(2)
        if clamp is not None:
            expected = expected.clamp(-clamp, clamp)
        expected = expected * gain
        torch.testing.assert_close(finished, expected)

    @pytest.mark.parametrize("clamp", [None, 0.5])
    @pytest.mark.parametrize("noises", [0, 1, 2])
    def test_is_the_same_without_gradients(self, clamp, noises):
        """
        In place and band by band the numbers stay bit for bit what they are with gradients.
        """
        y = channels_last(2, 33, 70, 65)
        noise = channels_last(noises, 1, 70, 65, seed=1) if noises else None
        assert len(ops._bands(y, noise)) == (3 if noises == 2 else 2 if noises else 1)
        rest = randn(2, 33).float(), randn(33).float(), noise, clamp

        expected = ops.finish_styled_conv(y.clone(), *rest)
        with torch.no_grad():
            finished = ops.finish_styled_conv(y, *rest)

        assert torch.equal(finished, expected)
        assert finished.data_ptr() == y.data_ptr()
        assert finished.stride() == expected.stride()

    def test_keeps_what_gradients_need(self):
        """
        With gradients nothing is overwritten, and they arrive.
        """
        y, factor = channels_last(1, 3, 4, 4), randn(1, 3).float().requires_grad_()
        before = y.clone()

        ops.finish_styled_conv(y, factor, randn(3).float(), None, None).sum().backward()

        assert torch.equal(y, before)
        assert factor.grad.abs().sum() > 0


def test_second_moment_is_one():
    """
    Normalised rows have a mean square of 1.
    """
    rows = ops.normalize_second_moment(randn(4, 9) * 7)

    torch.testing.assert_close(rows.square().mean(dim=1), torch.ones(4, dtype=torch.float64))


def test_a_filter_sums_to_one():
    """
    Taps of any scale make a kernel that keeps brightness.
    """
    assert pytest.approx(ops.fir_kernel((2, 6, 6, 2)).sum().item()) == 1.0

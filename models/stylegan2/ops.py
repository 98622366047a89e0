"""StyleGAN2's arithmetic as pure functions of tensors: no parameters, no compiled extensions.

The equations are those of Karras et al., "Analyzing and Improving the Image Quality of
StyleGAN" (CVPR 2020), cited as [K20].

Modulated convolutions scale activations instead of weights: x * s, one convolution shared by
the batch, then the demodulation factor. That is the same function, because the factor depends
on the output channel only, and far faster on a CPU than one grouped convolution per sample.
Sampling filters run as depthwise convolutions on channels-last tensors, the fastest of five
forms measured on a CPU with AVX-512, in both directions.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-8
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)
_NUMBERS_OF_BAND = 2**17
"""That a step over a large map takes at once: half a megabyte of float32."""


def normalize_second_moment(x: Tensor) -> Tensor:
    """x [N, D] scaled so that the mean square of each row is 1."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


def leaky_relu(x: Tensor, clamp: float | None = None) -> Tensor:
    """sqrt(2) * leaky ReLU, then clipped to +-clamp; any shape."""
    y = F.leaky_relu(x, LRELU_SLOPE) * LRELU_GAIN
    return y if clamp is None else y.clamp(-clamp, clamp)


def fir_kernel(taps: Sequence[float]) -> Tensor:
    """The separable filter as a float32 [T, T] kernel that sums to 1."""
    line = torch.tensor(taps, dtype=torch.float32)
    return torch.outer(line, line) / line.sum().square()


def _depthwise(kernel: Tensor, x: Tensor, gain: float) -> Tensor:
    """kernel [T, T] for every channel of x: [C, 1, T, T] in x's dtype."""
    return (kernel * gain).to(x.dtype).expand(x.shape[1], 1, -1, -1)


def upsample_image(x: Tensor, kernel: Tensor) -> Tensor:
    """x [N, C, H, W] twice as large: zeros inserted, then the FIR with gain 4.

    A transposed convolution is a true convolution of the zero-stuffed image, so `kernel`
    [T, T] (T even, sum 1) needs no flip.
    """
    weight = _depthwise(kernel, x, gain=4.0)
    padding = kernel.shape[0] // 2 - 1
    return F.conv_transpose2d(x, weight, stride=2, padding=padding, groups=x.shape[1])


def filter_image(
    x: Tensor, kernel: Tensor, padding: int, gain: float = 1.0, stride: int = 1
) -> Tensor:
    """x [N, C, H, W] truly convolved with `kernel` [T, T], zero padded on all four sides."""
    weight = _depthwise(kernel.flip(0, 1), x, gain)
    return F.conv2d(x, weight, stride=stride, padding=padding, groups=x.shape[1])


def upsample_conv(x: Tensor, weight: Tensor, kernel: Tensor) -> Tensor:
    """3x3 convolution onto twice the size: [N, I, H, W] -> [N, O, 2H, 2W].

    Transposed convolution with stride 2 (H -> 2H + 1), then the FIR with gain 4 (-> 2H).

    Args:
        x: any float dtype.
        weight: [O, I, 3, 3], applied unflipped, in x's dtype.
        kernel: float32 [T, T], T even, sum 1.
    """
    doubled = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [N, O, 2H + 1, 2W + 1]
    return filter_image(doubled, kernel, padding=kernel.shape[0] // 2 - 1, gain=4.0)


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """1 / standard deviation of each output channel, [K20] equation 3.

    Args:
        weight: [O, I, k, k].
        styles: [N, I].

    Returns:
        [N, O]: rsqrt(sum over i, k of (w[o, i, k] s[n, i])^2 + 1e-8).
    """
    energy = weight.square().sum(dim=(2, 3))  # [O, I]
    return torch.rsqrt(styles.square() @ energy.T + EPSILON)


def modulated_conv(
    x: Tensor, weight: Tensor, styles: Tensor, kernel: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Convolution with weights scaled per sample, [K20] equations 1 and 3, demodulation apart.

    Args:
        x: [N, I, H, W], any float dtype.
        weight: float32 [O, I, 3, 3].
        styles: float32 [N, I].
        kernel: float32 [T, T] to enlarge two times; None keeps the size.

    Returns:
        y [N, O, H, W] or [N, O, 2H, 2W] in x's dtype and factor float32 [N, O]; the layer's
        output is y * factor. They come apart so that bias and noise join in the same pass.
    """
    if x.dtype == torch.float16:  # cancels exactly; keeps products inside half precision
        largest = weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=EPSILON)
        weight = weight * (weight[0].numel() ** -0.5 / largest)
        styles = styles / styles.abs().amax(dim=1, keepdim=True).clamp(min=EPSILON)
    factor = demodulation(weight, styles)
    scaled = x * styles.to(x.dtype)[:, :, None, None]
    shared = weight.to(x.dtype)
    if kernel is None:
        return F.conv2d(scaled, shared, padding=weight.shape[-1] // 2), factor
    return upsample_conv(scaled, shared, kernel), factor


def finish_styled_conv(
    y: Tensor,
    factor: Tensor,
    bias: Tensor,
    noise: Tensor | None,
    clamp: float | None,
    gain: float = 1.0,
) -> Tensor:
    """What follows a styled convolution: demodulation, noise, bias, activation, gain, clamp.

    lrelu(v) * g = lrelu(v * g) for g > 0, so the gain rides on the factor and the offset and
    the whole step costs two passes over y. Where no gradient is asked for, the result takes y's
    place: at 1024 pixels another map would be 134 MB an image.

    Args:
        y: [N, O, H, W], float32, bfloat16 or float16; lost unless a gradient is asked for.
        factor: float32 [N, O].
        bias: float32 [O].
        noise: float32 [1 or N, 1, H, W], its strength applied; None for none.
        clamp: clip the result to +- `gain` times this.
        gain: of the layer, beside the activation's sqrt(2).
    """
    total = LRELU_GAIN * gain
    scale = (factor * total).to(y.dtype)[:, :, None, None]
    bias, noise = bias * total, None if noise is None else noise * total
    limit = None if clamp is None else clamp * gain
    if torch.is_grad_enabled():
        shifted = torch.addcmul(_offset(bias, noise).to(y.dtype), y, scale)
        return _activated(shifted, limit)
    for rows in _bands(y, noise):
        band, part = y[:, :, rows], None if noise is None else noise[:, :, rows]
        torch.addcmul(_offset(bias, part).to(y.dtype), band, scale, out=band)
        _activated(band, limit)
    return y


def _activated(y: Tensor, limit: float | None) -> Tensor:
    """Leaky ReLU and clip to +- `limit`, in place where nothing else needs what was there."""
    F.leaky_relu(y, LRELU_SLOPE, inplace=True)
    if limit is None:
        return y
    return y.clamp(-limit, limit) if torch.is_grad_enabled() else y.clamp_(-limit, limit)


def _offset(bias: Tensor, noise: Tensor | None) -> Tensor:
    """bias [O] and noise [1 or N, 1, h, W] together: [1 or N, O, h or 1, W or 1].

    Channels lie last in memory, as y has them: a sum takes this layout, and whoever reads the maps
    would have to copy them out of another.
    """
    offset = bias[None, None, None]
    if noise is not None:
        offset = offset + noise.permute(0, 2, 3, 1)
    return offset.permute(0, 3, 1, 2)


def _bands(y: Tensor, noise: Tensor | None) -> list[slice]:
    """Rows of y whose offsets stay in a processor's cache; all of them on other devices."""
    height = y.shape[2]
    if noise is None or y.device.type != "cpu":
        return [slice(None)]
    rows = max(1, _NUMBERS_OF_BAND // (len(noise) * y.shape[1] * y.shape[3]))
    return [slice(first, first + rows) for first in range(0, height, rows)]

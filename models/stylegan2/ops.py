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
    the whole step costs two passes over y.

    Args:
        y: [N, O, H, W], float32, bfloat16 or float16.
        factor: float32 [N, O].
        bias: float32 [O].
        noise: float32 [1 or N, 1, H, W], its strength applied; None for none.
        clamp: clip the result to +- `gain` times this.
        gain: of the layer, beside the activation's sqrt(2).
    """
    total = LRELU_GAIN * gain
    offset = (bias * total)[None, None, None]
    if noise is not None:
        offset = offset + noise.permute(0, 2, 3, 1) * total  # [1 or N, H, W, O]
    scale = (factor * total).to(y.dtype)[:, :, None, None]
    # The result takes the offset's layout: as y has it, or whoever reads the maps must copy them.
    shifted = torch.addcmul(offset.to(y.dtype).permute(0, 3, 1, 2), y, scale)
    active = F.leaky_relu(shifted, LRELU_SLOPE, inplace=True)
    return active if clamp is None else active.clamp(-clamp * gain, clamp * gain)

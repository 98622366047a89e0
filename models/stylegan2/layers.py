"""StyleGAN2's layers: parameters beside the functions of `ops` that use them.

Parameters are float32 and drawn so that every layer has unit gain at the start; layers compute
in the dtype of their input and cast weights to it.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.stylegan2 import ops


class FullyConnected(nn.Module):
    """Equalised linear layer: x @ (W g)^T + b m, with g = m / sqrt(in) and multiplier m.

    Weights are stored undivided, N(0, 1) / m.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        lr_multiplier: float = 1.0,
        bias: float = 0.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias / lr_multiplier))
        self.lr_multiplier = lr_multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, in] -> [N, out]."""
        gain = self.lr_multiplier / math.sqrt(self.weight.shape[1])
        y = F.linear(x, self.weight * gain, self.bias * self.lr_multiplier)
        return ops.leaky_relu(y) if self.activate else y


class StyledConv(nn.Module):
    """Modulated 3x3 convolution with noise, bias and activation; optionally enlarging 2x."""

    kernel: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        size: tuple[int, int],
        kernel: Tensor,
        enlarge: bool,
        use_noise: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("kernel", kernel, persistent=False)
        if use_noise:
            self.noise_strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("noise_const", torch.randn(size))
        self.size = size
        self.enlarge = enlarge
        self.use_noise = use_noise
        self.clamp = clamp

    def forward(
        self, x: Tensor, w: Tensor, noise: str | Iterator[Tensor] = "const", gain: float = 1.0
    ) -> Tensor:
        """x [N, I, h, w] and w float32 [N, w_dim] -> [N, O, H, W] in x's dtype, times `gain`."""
        styles = self.affine(w)
        y, factor = ops.modulated_conv(
            x, self.weight, styles, self.kernel if self.enlarge else None
        )
        assert y.shape[2:] == self.size
        drawn = self._noise(y, noise)
        return ops.finish_styled_conv(y, factor, self.bias, drawn, self.clamp, gain)

    def _noise(self, y: Tensor, mode: str | Iterator[Tensor]) -> Tensor | None:
        """float32 [1 or N, 1, H, W], or None where there is none."""
        if not self.use_noise or mode == "none":
            return None
        if not isinstance(mode, str):
            return next(mode) * self.noise_strength
        if mode == "const":
            return (self.noise_const * self.noise_strength)[None, None]
        drawn = torch.randn(y.shape[0], 1, *self.size, device=y.device)
        return drawn * self.noise_strength


class Shortcut(nn.Module):
    """The way around a residual block: a plain 1x1 convolution, then twice as large."""

    kernel: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor, gain: float) -> Tensor:
        """[N, I, H, W] -> [N, O, 2H, 2W] in x's dtype, times `gain`."""
        weight = self.weight * (gain / math.sqrt(self.weight.shape[1]))
        return ops.upsample_image(F.conv2d(x, weight.to(x.dtype)), self.kernel)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to image channels, not demodulated and not activated."""

    def __init__(
        self, in_channels: int, image_channels: int, w_dim: int, clamp: float | None
    ) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(image_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, I, H, W] and w [N, w_dim] -> float32 [N, C, H, W]."""
        styles = self.affine(w) / math.sqrt(self.weight.shape[1])
        scaled = x * styles.to(x.dtype)[:, :, None, None]
        rgb = F.conv2d(scaled, self.weight.to(x.dtype)).float() + self.bias[:, None, None]
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)

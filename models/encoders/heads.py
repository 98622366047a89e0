"""Heads of encoders: three maps in, codes out. Knows nothing of what the codes mean.

Parameters are named as the files of pSp, e4e and ReStyle name them. The equalised linear layer
is StyleGAN2's: x @ (W / sqrt(in))^T + b.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.config import EncoderConfig, Head
from models.stylegan2.layers import FullyConnected

SLOPE = 0.01
POOLED = 7
"""Rows and columns of the map that the `w-plus` head flattens."""
DENSE_POOLED = 4
DENSE_WIDTH = 256
"""Rows and columns of the map that the `dense` head flattens, and features that it makes of it."""


class MapToStyle(nn.Module):
    """One code out of one map: convolutions that halve it down to a pixel, then a linear layer."""

    def __init__(self, in_channels: int, w_dim: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(halvings):
            layers.append(nn.Conv2d(w_dim if index else in_channels, w_dim, 3, 2, 1))
            layers.append(nn.LeakyReLU(SLOPE))
        self.convs = nn.Sequential(*layers)
        self.linear = FullyConnected(w_dim, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W], at most 2^halvings pixels high and wide -> [N, w_dim]."""
        x = self.convs(x)
        assert x.shape[2:] == (1, 1)
        code: Tensor = self.linear(x.flatten(1))
        return code


def halvings_of(code: int) -> int:
    """How often the FPN's map of code `code` is halved: coarse codes 0-2, middle 3-6, fine 7-."""
    return 4 if code < 3 else 5 if code < 7 else 6


class FPNHead(nn.Module):
    """Coarse codes from the last map, finer ones from it enlarged and added to earlier maps."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        _, fine, middle, coarse = config.channels
        self.styles = nn.ModuleList(
            MapToStyle(coarse, config.w_dim, halvings_of(code)) for code in range(config.num_codes)
        )
        self.latlayer1 = nn.Conv2d(middle, coarse, 1)
        self.latlayer2 = nn.Conv2d(fine, coarse, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of 1/4, 1/8 and 1/16 of the picture -> [N, num_codes, w_dim]."""
        fine, middle, coarse = maps
        middle = _enlarged(coarse, middle) + self.latlayer1(middle)
        fine = _enlarged(middle, fine) + self.latlayer2(fine)
        levels = {4: coarse, 5: middle, 6: fine}
        codes = [style(levels[halvings_of(i)]) for i, style in enumerate(self.styles)]
        return torch.stack(codes, dim=1)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    """`x` with the height and width of `like`; corners stay corners."""
    size = list(like.shape[2:])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class LastMapHead(nn.Module):
    """Every code from the last map (ReStyle, section 3.3: a simpler encoder does)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.styles = nn.ModuleList(
            MapToStyle(config.channels[-1], config.w_dim, 4) for _ in range(config.num_codes)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The same maps -> [N, num_codes, w_dim]."""
        return torch.stack([style(maps[-1]) for style in self.styles], dim=1)


class WHead(nn.Module):
    """One code from the last map's mean."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.linear = FullyConnected(config.channels[-1], config.w_dim)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The same maps -> [N, 1, w_dim]."""
        w: Tensor = self.linear(maps[-1].mean(dim=(2, 3)))
        return w.unsqueeze(1)


class WPlusHead(nn.Module):
    """All codes at once from the last map, pooled to 7x7 and flattened."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.channels[-1]
        self.output_layer_2 = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.AdaptiveAvgPool2d(POOLED),
            nn.Flatten(),
            nn.Linear(width * POOLED**2, config.w_dim),
        )
        self.linear = FullyConnected(config.w_dim, config.w_dim * config.num_codes)
        self.shape = (config.num_codes, config.w_dim)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The same maps -> [N, num_codes, w_dim]."""
        codes: Tensor = self.linear(self.output_layer_2(maps[-1]))
        return codes.reshape(-1, *self.shape)


class DenseHead(nn.Module):
    """All codes at once from the last map, pooled to 4x4: where things are counts, as in a face."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(DENSE_POOLED)
        ins = config.channels[-1] * DENSE_POOLED**2
        self.hidden = nn.Linear(ins, DENSE_WIDTH)
        self.linear = nn.Linear(DENSE_WIDTH, config.w_dim * config.num_codes)
        self.shape = (config.num_codes, config.w_dim)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The same maps -> [N, num_codes, w_dim]."""
        x = F.leaky_relu(self.hidden(self.pool(maps[-1]).flatten(1)), SLOPE)
        codes: Tensor = self.linear(x)
        return codes.reshape(-1, *self.shape)


HEADS: Mapping[Head, Callable[[EncoderConfig], nn.Module]] = {
    Head.FPN: FPNHead,
    Head.LAST_MAP: LastMapHead,
    Head.W: WHead,
    Head.W_PLUS: WPlusHead,
    Head.DENSE: DenseHead,
}


def last_layers(head: nn.Module) -> list[FullyConnected | nn.Linear]:
    """The layers that put out the codes; every head calls them `linear`.

    Returns:
        layers with weights [some codes * w_dim, in], in the order of the codes.
    """
    return [
        module
        for name, module in head.named_modules()
        if name.endswith("linear") and isinstance(module, FullyConnected | nn.Linear)
    ]

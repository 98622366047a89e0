"""M pixel MLPs trained side by side: every parameter has M as its first axis. Knows no data.

A member is Linear - ReLU - BatchNorm, twice, and a Linear (HandsOff, 3.2); weights begin as
N(0, 0.02^2), biases as 0. For prediction `folded` turns it into three plain Linear layers.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.fused_layers import Layers
from models.seeding import philox

INITIAL_DEVIATION = 0.02
EPSILON = 1e-5
MOMENTUM = 0.1


class MemberwiseBatchNorm(nn.Module):
    """BatchNorm over the pixels of each member, x [M, P, width]; PyTorch's defaults."""

    mean: Tensor
    variance: Tensor

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(members, 1, width))
        self.shift = nn.Parameter(torch.zeros(members, 1, width))
        self.register_buffer("mean", torch.zeros(members, 1, width))
        self.register_buffer("variance", torch.ones(members, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """[M, P, width], normalised by the batch in training and by running means afterwards."""
        if not self.training:
            scale, offset = self.affine()
            return x * scale + offset
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        with torch.no_grad():
            self.mean.lerp_(mean, MOMENTUM)
            self.variance.lerp_(variance * (x.shape[1] / (x.shape[1] - 1)), MOMENTUM)
        return (x - mean) * (self.gain * torch.rsqrt(variance + EPSILON)) + self.shift

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and offset [M, 1, width] that it comes down to after training."""
        scale = self.gain * torch.rsqrt(self.variance + EPSILON)
        return scale, self.shift - self.mean * scale


class PixelMLPs(nn.Module):
    """The members, for widths (C, h1, h2, K)."""

    def __init__(self, widths: Sequence[int], members: int, seed: int) -> None:
        super().__init__()
        streams = [philox(seed, "member", m) for m in range(members)]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, o in pairwise(widths):
            drawn = np.stack([s.standard_normal((i, o), dtype=np.float32) for s in streams])
            self.weights.append(torch.from_numpy(drawn) * INITIAL_DEVIATION)
            self.biases.append(torch.zeros(members, 1, o))
        self.norms = nn.ModuleList(MemberwiseBatchNorm(members, w) for w in widths[1:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Hypercolumns float32 [M, P, C] -> outputs [M, P, K]."""
        for weight, bias, norm in zip(self.weights, self.biases, self.norms, strict=False):
            x = norm(torch.baddbmm(bias, x, weight).relu())
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])

    @torch.no_grad()
    def of_member(self, member: int, x: Tensor) -> Tensor:
        """What one member says of hypercolumns float32 [P, C]: outputs [1, P, K]."""
        own = {key: value[member : member + 1] for key, value in self.state_dict().items()}
        outputs: Tensor = functional_call(self, own, (x[None],))
        return outputs

    @torch.no_grad()
    def folded(self, mean: Tensor, deviation: Tensor) -> Layers:
        """The same function of raw features as plain Linear layers, computed in float64.

        W (s * x + t) + b = (W s) x + (b + W t), for standardised features and for each BatchNorm.

        Args:
            mean: float32 [C], subtracted from features in training.
            deviation: float32 [C], by which they were then divided.
        """
        scale = (1 / deviation).double()[None, None]  # [1, 1, C]
        offset = -mean.double() * scale
        layers: list[Tensor] = []
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            w = weight.double().mT  # [M, out, in]
            layers += [w * scale, bias.double().squeeze(1) + (w * offset).sum(-1)]
            if index < len(self.norms):
                norm = self.norms[index]
                assert isinstance(norm, MemberwiseBatchNorm)
                scale, offset = (t.double() for t in norm.affine())  # [M, 1, width]
        return Layers(*(t.float().contiguous() for t in layers))

"""Labels as the peers make them: the slow reference beside which ours are measured.

Written from the paper and from what is known of the authors' settings, not from their code: the
whole hypercolumn of one image is stored at the label's size in full precision, each member is a
network of PyTorch's own layers that reads all of it, one after the other, and nothing is folded.
It does not copy more than it must, so that what it takes is taken by the method.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.pixel_mlps import MemberwiseBatchNorm, PixelMLPs

Size = tuple[int, int]


def networks(mlps: PixelMLPs) -> list[nn.Sequential]:
    """Linear - ReLU - BatchNorm, twice, and a Linear, for each member."""
    return [_network(mlps, member).eval() for member in range(len(mlps.weights[0]))]


def _network(mlps: PixelMLPs, member: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (weight, bias) in enumerate(zip(mlps.weights, mlps.biases, strict=True)):
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.load_state_dict({"weight": weight[member].mT, "bias": bias[member, 0]})
        layers.append(linear)
        if index < len(mlps.norms):
            layers += [nn.ReLU(), _norm(mlps.norms[index], member)]
    return nn.Sequential(*layers)


def _norm(norm: nn.Module, member: int) -> nn.BatchNorm1d:
    assert isinstance(norm, MemberwiseBatchNorm)
    own = nn.BatchNorm1d(norm.mean.shape[-1])
    named = {
        "weight": norm.gain,
        "bias": norm.shift,
        "running_mean": norm.mean,
        "running_var": norm.variance,
    }
    own.load_state_dict({key: value[member, 0] for key, value in named.items()}, strict=False)
    return own


@torch.no_grad()
def logits(
    members: list[nn.Sequential], features: list[Tensor], size: Size, bands: int = 1
) -> Tensor:
    """What each member says of each pixel of one image.

    Args:
        members: on the device and of the dtype of the features.
        features: maps [1, C_l, h_l, w_l], the constant first.
        size: (H, W) of the label.
        bands: into how many pieces the label's rows are cut, where it does not fit whole.

    Returns:
        [M, K, H, W].
    """
    rows = -(-size[0] // bands)
    found = [
        _band(members, features, size, slice(top, min(top + rows, size[0])))
        for top in range(0, size[0], rows)
    ]
    return torch.cat(found, dim=2)


def _band(members: list[nn.Sequential], features: list[Tensor], size: Size, rows: slice) -> Tensor:
    """Some rows of the logits: [M, K, rows, W]."""
    columns = _hypercolumns(features, size, rows)
    said = torch.stack([member(columns) for member in members])  # [M, P, K]
    return said.mT.reshape(len(members), -1, rows.stop - rows.start, size[1])


def _hypercolumns(features: list[Tensor], size: Size, rows: slice) -> Tensor:
    """Maps [1, C_l, h_l, w_l], each resized straight to the label -> [P, C]."""
    channels = [f.shape[1] for f in features]
    columns = features[0].new_empty((rows.stop - rows.start) * size[1], sum(channels))
    for part, feature in zip(torch.split(columns, channels, dim=1), features, strict=True):
        resized = F.interpolate(feature, size, mode="bilinear", align_corners=False)
        part.copy_(resized[0, :, rows].permute(1, 2, 0).flatten(0, 1))
    return columns


@torch.no_grad()
def decided(said: Tensor) -> tuple[Tensor, Tensor]:
    """The mode of the members' votes and their Jensen-Shannon divergence.

    Args:
        said: logits [M, K, H, W].

    Returns:
        ids int64 [H, W], the smallest of those with most votes; [H, W] from 0 upwards.
    """
    p = F.softmax(said, dim=1)
    votes = F.one_hot(said.argmax(dim=1), said.shape[1]).sum(dim=0)  # [H, W, K]
    mean = p.mean(dim=0)
    return votes.argmax(dim=-1), _entropy(mean, 0) - _entropy(p, 1).mean(dim=0)


def _entropy(p: Tensor, dim: int) -> Tensor:
    return -torch.xlogy(p, p).sum(dim=dim)

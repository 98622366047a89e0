"""How far two pictures look apart: LPIPS, or a distance on random features that needs no file.

LPIPS (Zhang et al., CVPR 2018): features of VGG16, each pixel's channels scaled to unit length,
squared differences weighed by channel, averaged over pixels, summed over layers:
d(a, b) = sum_l mean_hw sum_c w_lc (a_lchw - b_lchw)^2. The other distance is the mean absolute
difference of random features; it is called `perceptual`, never `lpips`.

Both also give a `summary` of a picture: the same features, averaged over a few cells of it.
"""

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import BackboneUnavailable
from models.seeding import philox

TRUNK_FILE = "vgg16-397923af.pth"
LARGEST = 512
"""Rows at which pictures are compared, at most."""
CELLS = 8
"""Cells that a summary has along a side, at most."""

_EPSILON = 1e-10
_RANDOM_GAIN = 3.0
"""Brings random features to where the usual weights of loss terms suit them, too."""


def reduced(images: Tensor) -> Tensor:
    """[N, 3, H, W] at 512 rows at most, as the authors compare (bilinear: a 2 x 2 mean of 1024)."""
    height, width = images.shape[2:]
    if height <= LARGEST:
        return images
    size = (LARGEST, round(width * LARGEST / height))
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


class Distance(Protocol):
    """A distance between pictures [N, 3, H, W] in [-1, 1] of one size."""

    @property
    def name(self) -> str:
        """`lpips` or `perceptual`."""

    @property
    def backbone(self) -> str:
        """What computes the features, in words for a report."""

    def targets(self, images: Tensor) -> list[Tensor]:
        """What is computed of a picture once, however often it is compared: maps [N, …]."""

    def summary(self, images: Tensor) -> Tensor:
        """Features averaged over a few cells of the picture: float32 [N, S]."""

    def __call__(self, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Distances float32 [N] of images from the pictures that `targets` were made of."""


class _Features:
    """What both distances share: a frozen trunk, images -> maps [N, C_l, h_l, w_l]."""

    def __init__(self, name: str, backbone: str, trunk: nn.Module) -> None:
        self.name = name
        self.backbone = backbone
        self._trunk = trunk.eval().requires_grad_(False)

    def _maps(self, images: Tensor) -> list[Tensor]:
        return list(self._trunk(reduced(images)))

    def summary(self, images: Tensor) -> Tensor:
        """Features averaged over at most 8 x 8 cells: float32 [N, S]."""
        cells = [
            F.adaptive_avg_pool2d(m, (min(CELLS, m.shape[2]), min(CELLS, m.shape[3])))
            for m in self._maps(images)
        ]
        return torch.cat([c.flatten(1) for c in cells], dim=1)


class Lpips(_Features):
    """LPIPS by the equation above.

    Args:
        backbone: words for a report.
        trunk: images [N, 3, H, W] in [-1, 1] -> feature maps.
        channel_weights: w_l, per map float32 [C_l], not negative.
    """

    def __init__(self, backbone: str, trunk: nn.Module, channel_weights: Sequence[Tensor]) -> None:
        super().__init__("lpips", backbone, trunk)
        self._roots = [w.clamp(min=0).sqrt() for w in channel_weights]

    def targets(self, images: Tensor) -> list[Tensor]:
        """Maps whose squared differences add up to the distance: weighed, and over sqrt(h w)."""
        return [
            _unit(m) * (root / math.sqrt(m.shape[2] * m.shape[3]))[:, None, None]
            for m, root in zip(self._maps(images), self._roots, strict=True)
        ]

    def __call__(self, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Distances float32 [N] from the pictures that `targets` were made of."""
        pairs = zip(self.targets(images), targets, strict=True)
        return torch.stack([(a - b).square().flatten(1).sum(dim=1) for a, b in pairs]).sum(dim=0)


def _unit(x: Tensor) -> Tensor:
    """[N, C, h, w] with the channels of each pixel scaled to length 1."""
    return x / (x.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()


class RandomFeatures(_Features):
    """Mean absolute difference of random features, summed over maps."""

    def targets(self, images: Tensor) -> list[Tensor]:
        """The features themselves."""
        return self._maps(images)

    def __call__(self, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Distances float32 [N] from the pictures that `targets` were made of."""
        pairs = zip(self._maps(images), targets, strict=True)
        means = torch.stack([(a - b).abs().flatten(1).mean(dim=1) for a, b in pairs])
        return _RANDOM_GAIN * means.sum(dim=0)


def lpips_distance(trunk: Path | None, device: torch.device) -> Lpips:
    """LPIPS v0.1 on VGG16, with the linear heads that come with the `lpips` package.

    Args:
        trunk: torchvision's ImageNet weights of VGG16 (`vgg16-397923af.pth`); None looks for them
            in torch's hub cache and then tries to download them there.
        device: where distances will be computed.

    Raises:
        BackboneUnavailable: no such file, it is not VGG16, or it could not be downloaded.
    """
    state = _trunk_state(trunk)
    network = package_network()
    _load_trunk(network.net, state, trunk or TRUNK_FILE)
    heads = [lin.model[-1].weight.detach().flatten().to(device) for lin in network.lins]
    scaled = nn.Sequential(network.scaling_layer, network.net).to(device)
    return Lpips("VGG16, ImageNet", scaled, heads)


def package_network() -> Any:
    """The `lpips` package's network on VGG16: its own heads, and a random trunk.

    Its constructor would fetch the trunk itself, unasked, from wherever torchvision points.
    """
    import lpips  # Its import takes seconds.

    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # It asks torchvision with words of long ago.
        return lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)


def _trunk_state(trunk: Path | None) -> dict[str, Tensor]:
    """VGG16's tensors from a file, torch's cache or the network."""
    remedy = (
        f"set HANDSOFF_LPIPS_TRUNK to a copy of torchvision's {TRUNK_FILE}, "
        'or ask for distance="perceptual", which needs no file'
    )
    path = trunk or Path(torch.hub.get_dir()) / "checkpoints" / TRUNK_FILE
    if trunk is None and not path.exists():
        _download(path, remedy)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BackboneUnavailable(f"there is no LPIPS trunk at {path}; {remedy}") from error
    except Exception as error:  # Whatever a file can do to torch's reader.
        raise BackboneUnavailable(f"{path} cannot be read as weights: {error}; {remedy}") from error
    if not isinstance(state, dict):
        raise BackboneUnavailable(f"{path} holds no named weights; {remedy}")
    return state


def _download(path: Path, remedy: str) -> None:
    """Fetch the trunk into torch's cache."""
    from torchvision.models import VGG16_Weights

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            VGG16_Weights.IMAGENET1K_V1.url, os.fspath(path), hash_prefix="397923af", progress=False
        )
    except (OSError, RuntimeError) as error:
        raise BackboneUnavailable(
            f"LPIPS needs an ImageNet VGG16; it is not at {path} and could not be downloaded "
            f"({error}); {remedy}"
        ) from error


def _load_trunk(network: nn.Module, state: dict[str, Tensor], source: object) -> None:
    """Put `features.{i}.weight` into the slices of the package's VGG16, which keep the i."""
    wanted = network.state_dict()
    names = {key: f"features.{key.split('.', 1)[1]}" for key in wanted}
    bad = [n for k, n in names.items() if n not in state or state[n].shape != wanted[k].shape]
    if bad:
        raise BackboneUnavailable(f"{source} is not torchvision's VGG16: {', '.join(bad[:3])} …")
    network.load_state_dict({key: state[name] for key, name in names.items()})


def random_distance(seed: int, device: torch.device) -> RandomFeatures:
    """A distance on seeded random convolutions at several scales; needs no file.

    Args:
        seed: of the weights; equal seeds give equal distances.
        device: where distances will be computed.
    """
    trunk = RandomPyramid(seed).to(device)
    return RandomFeatures("perceptual", trunk.description, trunk)


class RandomPyramid(nn.Module):
    """Two random 3x3 convolutions with ReLU on each of several halvings of the picture.

    Random features keep what a picture's local structure is, at a fraction of VGG's cost;
    the halvings let a gradient reach across the picture.
    """

    def __init__(self, seed: int, width: int = 32, scales: int = 4) -> None:
        super().__init__()
        self.description = (
            f"random pyramid, {scales} scales x 2 convolutions x {width}, seed {seed}"
        )
        self.scales = scales
        self.first = nn.Parameter(_he_normal((width, 3, 3, 3), seed, 0))
        self.second = nn.Parameter(_he_normal((width, width, 3, 3), seed, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, 3, H, W] in [-1, 1] -> 2 * scales maps, fine to coarse."""
        maps = []
        x = images
        for _ in range(self.scales):
            low = F.relu(F.conv2d(x, self.first, padding=1))
            maps += [low, F.relu(F.conv2d(low, self.second, padding=1))]
            x = F.avg_pool2d(x, 2)
        return maps


def _he_normal(shape: tuple[int, ...], seed: int, index: int) -> Tensor:
    """Normal weights that keep a ReLU network's scale: float32 [O, I, k, k]."""
    drawn = philox(seed, "trunk", index).standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(drawn).mul_((2 / drawn[0].size) ** 0.5)

"""Files that are no StyleGAN2 generator but are known: what they are, and what can be done.

Each is told by names of tensors or entries. Knows no file format and loads no network.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from models.checkpoints.unpickle import Inert, PersistedObject

_CONVERT = "a StyleGAN2 generator is needed"
STYLEGAN1 = (
    f"a StyleGAN1 generator, another network than StyleGAN2 (its features differ); {_CONVERT}"
)
EARLY_CONFIG = (
    "a StyleGAN2 generator of configuration A to D (its image layers are called ToRGB_lod), "
    f"which no converter reads; {_CONVERT} of configuration E or F"
)
OLD_LABELS = (
    "a conditional generator of the first StyleGAN2 (LabelConcat), which joins labels in a way "
    "that later networks cannot express; conditional StyleGAN2-ADA generators can be read"
)
STYLEGAN3 = f"a StyleGAN3 generator (T or R), another network than StyleGAN2; {_CONVERT}"
STYLEGAN_XL = f"a StyleGAN-XL generator, built on StyleGAN3; {_CONVERT}"
SWAGAN = f"a SWAGAN generator, which draws wavelet coefficients instead of RGB; {_CONVERT}"
LUCIDRAINS = (
    "a network of lucidrains' stylegan2-pytorch, which differs from the published StyleGAN2 in "
    f"resampling, styles and noise and cannot be converted; {_CONVERT}"
)
ALIAS_FREE = f"a generator of rosinality's alias-free-gan (StyleGAN3); {_CONVERT}"
DISCRIMINATOR = "a discriminator alone; the file with the generator (g_ema, G_ema) is needed"
PERCEPTUAL = "weights of a perceptual distance (LPIPS or VGG), not a generator"
CLASSIFIER = "a classifier or a backbone of one, not a generator"
ENCODER = (
    "an encoder (pSp, e4e or ReStyle), not a generator; register it as an encoder: "
    "that also takes the generator inside it"
)
LATENTS = "latents, not a generator; give them to an inversion"
DIRECTIONS = "directions in latent space (closed-form factorisation), not a generator"
TORCHSCRIPT = "a TorchScript program, which is code and is not run"

_MAX_DEPTH, _MAX_GROUPS = 3, 64


def refusal(root: Any) -> str | None:
    """What the objects of a file are, as the end of "this file holds ..", or None if unknown."""
    if isinstance(root, Tensor | np.ndarray):
        return LATENTS
    if isinstance(root, Inert) and root.name.startswith("__torch__"):
        return TORCHSCRIPT
    if isinstance(root, PersistedObject):
        root = {root.class_name: root}
    if not isinstance(root, dict):
        return None
    if sentence := _by_entries(root):
        return sentence
    groups = [set(names) for names in _groups(root)]
    for known, sentence in _NAMES:
        if any(known(names) for names in groups):
            return sentence
    return None


def _by_entries(root: Mapping[Any, Any]) -> str | None:
    """What the file's own entries tell."""
    if "GAN" in root and "version" in root:
        return LUCIDRAINS
    if {"ckpt", "eigvec"} <= root.keys():
        return DIRECTIONS
    objects = [value.class_name for value in root.values() if isinstance(value, PersistedObject)]
    if objects and all(name == "Discriminator" for name in objects):
        return DISCRIMINATOR
    if root and all(_is_projection(value) for value in root.values()):
        return LATENTS
    if _settings(root.get("args")).get("arch") == "swagan":
        return SWAGAN
    if any(isinstance(v, Inert) and v.name.startswith("dill.") for v in root.values()):
        return STYLEGAN_XL
    return None


def _settings(value: Any) -> Mapping[Any, Any]:
    """Settings of a training, a dictionary or an argparse.Namespace."""
    state = value.state if isinstance(value, Inert) else value
    return state if isinstance(state, dict) else {}


def _is_projection(value: Any) -> bool:
    """Whether an entry is what rosinality's projector leaves of one image."""
    return isinstance(value, dict) and {"img", "latent"} <= value.keys()


def _groups(node: Any, depth: int = 0) -> Iterator[list[str]]:
    """Names of the tensors in each dictionary of the file, without parallel wrappers' prefix."""
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return
    names = [key for key in node if isinstance(key, str) and isinstance(node[key], Tensor)]
    if names:
        yield [name.removeprefix("module.") for name in names]
    for child in list(node.values())[:_MAX_GROUPS]:
        yield from _groups(child, depth + 1)


def _has(*patterns: str) -> Callable[[set[str]], bool]:
    """Whether every pattern starts some name."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return lambda names: all(any(p.match(name) for name in names) for p in compiled)


_NAMES: Sequence[tuple[Callable[[set[str]], bool], str]] = (
    (_has(r"encoder\.", r"decoder\."), ENCODER),
    (_has(r"encoder\.(input_layer|conv1|styles|body)\."), ENCODER),
    (_has(r"input_layer\.0\.weight$", r"styles\.0\."), ENCODER),
    (_has(r"(.+\.)?input\.freqs$", r"mapping\.class_embed|.*\.head_layer_names"), STYLEGAN_XL),
    (_has(r"(.+\.)?synthesis\.(input\.freqs|L0_\d+_\d+\.)"), STYLEGAN3),
    (_has(r"input\.freqs?$|input\.phases?$"), ALIAS_FREE),
    (_has(r"(to_rgbs\.\d+\.)?iwt\."), SWAGAN),
    (_has(r"g_mapping\.", r"g_synthesis\."), STYLEGAN1),
    (_has(r"generator\.progression\."), STYLEGAN1),
    (_has(r"(.+\.)?blocks\.4x4\.", r"(.+\.)?blocks\.8x8\."), STYLEGAN1),
    (_has(r"(GE?|S)\.", r"(GE?)\.(initial_block|blocks)"), LUCIDRAINS),
    (
        _has(r"(discriminator\.)?final_linear\.1\.", r"(discriminator\.)?final_conv\."),
        DISCRIMINATOR,
    ),
    (_has(r"b4\.out\.", r"b4\.fc\."), DISCRIMINATOR),
    (_has(r"lin0\.model\.\d+\.weight$|(net\.)?slice1\."), PERCEPTUAL),
    (_has(r"features\.0\.weight$"), PERCEPTUAL),
    (_has(r"layer1\.0\.conv1\.weight$|body\.0\.res_layer\."), CLASSIFIER),
)
"""In the order of asking: what is told by more names comes first."""

"""Generators as the TensorFlow repositories pickled them: networks (G, D, Gs) with variables.

StyleGAN2 and StyleGAN2-ADA. Weights lie as [k, k, in, out] and [in, out], style biases lack the
1 that is added to them, kernels of enlarging convolutions are mirrored. Settings are in
`static_kwargs`, defaults left out.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import refusals
from models.checkpoints.completion import complete
from models.checkpoints.neutral import build_generator
from models.checkpoints.notes import Notes
from models.checkpoints.nvidia import STANDARD_FIR
from models.checkpoints.parts import Part, Role
from models.checkpoints.renaming import (
    LR_MULTIPLIER,
    count,
    described,
    renamed,
    with_our_signs,
)
from models.checkpoints.unpickle import Inert
from models.errors import CheckpointError
from models.stylegan2.config import MAX_TAPS, GeneratorConfig
from models.stylegan2.networks import Generator

NETWORK = "dnnlib.tflib.network.Network"
STYLEGAN2_VERSIONS = (4, 5)
"""Of the pickle format; 2 and 3 are StyleGAN1's."""


def recognises(root: Any) -> bool:
    """Whether `root` is a tuple of TensorFlow networks, or one of them."""
    return bool(_networks(root))


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The averaged generator Gs, the last of the tuple.

    Raises:
        CheckpointError: StyleGAN1, an early configuration, a discriminator, or weights that are
            not a whole generator.
    """
    networks = _networks(root)
    variables = _variables(networks[-1])
    settings = _settings(networks[-1])
    if problem := _refusal(networks[-1], variables, settings):
        raise CheckpointError(f"{source} holds {problem}")
    blocks = 1 + count(variables, r"\d+x\d+/Conv1/weight")
    depth = count(variables, r"Dense\d+/weight")
    laid_out = {name: _laid_out(name, tensor) for name, tensor in variables.items()}
    tensors, left = renamed(laid_out, blocks, depth, spelling, source)
    config = _described(tensors, blocks, source, notes, settings)
    if len(networks) > 1:
        notes.ignored += ["G: the generator before averaging", "D: the discriminator"]
    tensors = with_our_signs(tensors) | {k: t for k, t in left.items() if k != "lod"}
    return build_generator(config, complete(config, tensors, notes), source)


def _networks(root: Any) -> list[Inert]:
    """The networks of a pickle."""
    items = root if isinstance(root, tuple | list) else [root]
    found = [item for item in items if isinstance(item, Inert) and item.name == NETWORK]
    return found if len(found) == len(items) <= 3 else []


def _fields(network: Inert) -> dict[str, Any]:
    """What a network was pickled with."""
    return network.state if isinstance(network.state, dict) else {}


def _components(network: Inert) -> list[dict[str, Any]]:
    """The fields of the network and of its parts, mapping and synthesis."""
    fields = _fields(network)
    inner = fields.get("components")
    children = inner.values() if isinstance(inner, dict) else []
    return [fields, *(_fields(child) for child in children if isinstance(child, Inert))]


def _variables(network: Inert) -> dict[str, Tensor]:
    """All variables; names are unique across components, save for counters."""
    found = {}
    for fields in _components(network):
        for item in fields.get("variables") or ():
            match item:
                case (str(name), np.ndarray() as array) if array.dtype.kind == "f":
                    found[name] = torch.from_numpy(array)  # not copied: it may be there often
                case (str(name), int() | float() as number):
                    found[name] = torch.tensor(float(number))
    return found


def _settings(network: Inert) -> dict[str, Any]:
    """Arguments that the network was made with, those of its components included."""
    settings: dict[str, Any] = {}
    for fields in _components(network):
        given = fields.get("static_kwargs")
        settings |= given if isinstance(given, dict) else {}
    return settings


def _refusal(
    network: Inert, variables: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> str | None:
    """Why this is not a StyleGAN2 generator that can be read."""
    version = _fields(network).get("version")
    known = isinstance(version, int) and version in STYLEGAN2_VERSIONS
    if not known or any("/StyleMod/" in name for name in variables):
        return refusals.STYLEGAN1
    if any("ToRGB_lod" in name for name in variables):
        return refusals.EARLY_CONFIG
    if "LabelConcat/weight" in variables:
        return refusals.OLD_LABELS
    if "4x4/Const/const" not in variables and any("/FromRGB/" in name for name in variables):
        return refusals.DISCRIMINATOR
    if (activation := str(settings.get("nonlinearity", "lrelu"))) != "lrelu":
        return f"a generator with activation {activation[:40]!r}; only lrelu is supported"
    return None


def _laid_out(name: str, tensor: Tensor) -> Tensor:
    """Weights as [out, in, k, k] and [out, in]; anything else as it is."""
    if name.endswith("weight") and tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.T if name.endswith("weight") and tensor.ndim == 2 else tensor


def _described(
    tensors: Mapping[str, Tensor],
    blocks: int,
    source: str,
    notes: Notes,
    settings: Mapping[str, Any],
) -> GeneratorConfig:
    """The description, from shapes where they tell and from settings where not."""
    try:
        taps = list(settings.get("resample_kernel") or STANDARD_FIR)[:MAX_TAPS]
        lr_multiplier = float(settings.get("mapping_lrmul") or LR_MULTIPLIER)
        clamp, half = settings.get("conv_clamp"), int(settings.get("num_fp16_res") or 0)
        line = torch.tensor([float(tap) for tap in taps])
        config = described(
            tensors, blocks, source, notes, torch.outer(line, line), lr_multiplier=lr_multiplier
        )
        return replace(
            config,
            conv_clamp=None if clamp is None else float(clamp),
            half_from=max(config.image_shape[1] >> (half - 1), 8) if half > 0 else None,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{source}: bad settings: {error}") from error


def spelling(part: Part) -> str:
    """Their name of a part."""
    block = f"{part.size}x{part.size}"
    kind = part.kind.replace("affine.", "mod_")
    match part.role:
        case Role.AVERAGE:
            return "dlatent_avg"
        case Role.EMBED:
            return f"LabelEmbed/{kind}"
        case Role.MAPPING:
            return f"Dense{part.index}/{kind}"
        case Role.CONSTANT:
            return "4x4/Const/const"
        case Role.CONV if kind == "noise_const":
            return f"noise{part.index}"
        case Role.CONV:
            layer = ("Conv1", "Conv0_up")[part.index % 2] if part.index else "Conv"
            return f"{block}/{layer}/{kind}"
        case Role.RGB:
            return f"{block}/ToRGB/{kind}"
        case Role.SKIP:
            return f"{block}/Skip/{kind}"

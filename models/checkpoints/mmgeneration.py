"""Generators as mmgeneration writes them: rosinality's network under other names.

Whether such a file draws RGB cannot be read from it: official conversions do, networks that
were trained there draw BGR, and mmgeneration's own tools swap these after drawing.
"""

from typing import Any

from torch import Tensor

from models.checkpoints.completion import complete
from models.checkpoints.neutral import build_generator
from models.checkpoints.notes import Notes
from models.checkpoints.parts import Part, Role
from models.checkpoints.renaming import count, described, renamed
from models.checkpoints.state_dicts import note_ignored, tensors_of, under
from models.stylegan2.networks import Generator

PREFIXES = ("generator_ema.", "generator.", "")
SIGNATURE = ("style_mapping.1.linear.weight_orig", "constant_input.input")
KERNEL = "convs.0.conv.blur.kernel"

IN_LAYER = {
    "weight": "conv.weight_orig",
    "bias": "activate.bias",
    "affine.weight": "conv.style_modulation.linear.weight_orig",
    "affine.bias": "conv.style_modulation.bias",
    "noise_strength": "noise_injector.weight",
}
"""Names inside a styled convolution, ours to theirs."""


def recognises(root: Any) -> bool:
    """Whether `root` is a checkpoint {state_dict, ..} or a bare state dict of theirs."""
    return _found(root) is not None


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The averaged generator; its mean w, which is never in the file, is estimated.

    Raises:
        CheckpointError: weights that are not a whole generator; the message names a key.
    """
    found = _found(root)
    assert found is not None
    prefix, state = found
    own = {key.replace(".linear.bias", ".bias"): t for key, t in under(state, prefix).items()}
    blocks = 1 + count(own, r"to_rgbs\.\d+\.bias")
    depth = count(own, r"style_mapping\.\d+\.linear\.weight_orig")
    tensors, left = renamed(own, blocks, depth, spelling, source)
    config = described(tensors, blocks, source, notes, own.get(KERNEL))
    tensors |= {key: tensor for key, tensor in left.items() if not key.endswith(".kernel")}
    notes.inferred.append("order of colours: RGB, not in the file; trained there it may be BGR")
    if prefix:
        others = {key.split(".")[0] for key in state if not key.startswith(prefix)}
        note_ignored(dict.fromkeys(sorted(others)), (), notes)
    if "state_dict" in root:
        note_ignored(root, ("state_dict",), notes)
    return build_generator(config, complete(config, tensors, notes), source)


def _found(root: Any) -> tuple[str, dict[str, Tensor]] | None:
    """The prefix of the generator's keys, and the whole state dict."""
    if not isinstance(root, dict):
        return None
    state = tensors_of(root.get("state_dict", root))
    for prefix in PREFIXES:
        if all(prefix + key in state for key in SIGNATURE):
            return prefix, state
    return None


def spelling(part: Part) -> str:
    """Their name of a part; a name that is in no file for what they do not have."""
    match part.role:
        case Role.MAPPING:
            kind = "linear.weight_orig" if part.kind == "weight" else part.kind
            return f"style_mapping.{part.index + 1}.{kind}"
        case Role.CONSTANT:
            return "constant_input.input"
        case Role.CONV if part.kind == "noise_const":
            return f"injected_noise_{part.index}"
        case Role.CONV:
            layer = f"convs.{part.index - 1}" if part.index else "conv1"
            return f"{layer}.{IN_LAYER[part.kind]}"
        case Role.RGB:
            layer = f"to_rgbs.{part.index - 1}" if part.index else "to_rgb1"
            return f"{layer}.{'bias' if part.kind == 'bias' else IN_LAYER[part.kind]}"
        case _:
            return f"(none) {part.key}"

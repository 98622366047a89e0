"""What a file that was given as an encoder is instead, in words and with what can be done.

Knows the files that lie beside encoders: their initialisations, their losses, their generators.
"""

from collections.abc import Mapping
from typing import Any

from models.checkpoints import nvidia, rosinality
from models.checkpoints.state_dicts import tensors_of

ARCFACE = (
    "this is an identity network (ArcFace's IR-SE50), a loss and the initialisation of encoders, "
    "not an encoder; give the file that a training of pSp, e4e or ReStyle wrote"
)
MOCO = (
    "this is a MoCo network, the loss that encoders of other things than faces are trained with, "
    "not an encoder; give the file that the training wrote"
)
RESNET = (
    "this is an ImageNet classifier, the initialisation of ResNet encoders, not an encoder; "
    "give the file that a training wrote"
)
GENERATOR = "this is a generator, not an encoder; register it as a generator"
DECODER = "this has a decoder but no encoder; register it as a generator"
OPTIMISER = "this holds the state of an optimiser and no network; give the checkpoint beside it"


def what_it_is(root: Any) -> str:
    """What the objects of a file are, given that they are no encoder."""
    if nvidia.recognises(root) or rosinality.recognises(root):
        return GENERATOR
    if not isinstance(root, dict):
        return f"no encoder: found {type(root).__name__}"
    tensors = {**tensors_of(root), **tensors_of(root.get("state_dict"))}
    return _by_tensors(tensors) or _by_entries(root)


def _by_tensors(tensors: Mapping[str, object]) -> str | None:
    """By the names of tensors."""
    plain = {key.removeprefix("encoder.") for key in tensors}
    if any(key.startswith("encoder_q.") for key in plain):
        return MOCO
    if "output_layer.3.weight" in plain:
        return ARCFACE
    if "fc.weight" in plain and "layer1.0.conv1.weight" in plain:
        return RESNET
    return DECODER if any(key.startswith("decoder.") for key in plain) else None


def _by_entries(root: Mapping[Any, Any]) -> str:
    """By what lies in the file's dictionary."""
    if {"state", "param_groups"} <= set(root) or ("optimizer" in root and "state_dict" not in root):
        return OPTIMISER
    return f"no encoder of pSp, e4e or ReStyle: found keys {sorted(map(str, root))[:8]}"

"""How each kind of label is stored, read, counted and shown: one file a kind, one line here."""

from collections.abc import Callable, Mapping
from typing import Any

from models.data.kinds.base import Kind
from models.data.kinds.depth import DepthMaps
from models.data.kinds.keypoints import Keypoints
from models.data.kinds.segmentation import Masks
from models.labels import LabelSpec

KINDS: Mapping[str, Callable[[Any], Kind]] = {
    "segmentation": Masks,
    "keypoints": Keypoints,
    "depth": DepthMaps,
}


def kind_of(spec: LabelSpec) -> Kind:
    """What knows labels of `spec` in datasets."""
    return KINDS[spec.kind](spec)

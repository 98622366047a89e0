"""What kinds of label can be learnt: one file a kind, and one line in this table."""

from collections.abc import Callable, Mapping
from typing import Any

from models.heads.base import Head, Learnt
from models.heads.depth import DepthHead
from models.heads.keypoints import KeypointsHead
from models.heads.segmentation import SegmentationHead
from models.labels import LabelSpec

HEADS: Mapping[str, Callable[[Any, Learnt], Head]] = {
    "segmentation": SegmentationHead,
    "keypoints": KeypointsHead,
    "depth": DepthHead,
}


def head_of(spec: LabelSpec, learnt: Learnt | None = None) -> Head:
    """The head that learns and decides labels of `spec`.

    Args:
        spec: what the labels mean.
        learnt: of a head that was `fitted` before; without it, one that knows no labels yet.
    """
    return HEADS[spec.kind](spec, learnt or {})

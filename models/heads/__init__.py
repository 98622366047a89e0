"""What kinds of label can be learnt: one file a kind, and one line in this table."""

from models.heads.base import Head
from models.heads.segmentation import SegmentationHead
from models.labels import LabelSpec

HEADS = {"segmentation": SegmentationHead}


def head_of(spec: LabelSpec) -> Head:
    """The head that learns and decides labels of `spec`."""
    return HEADS[spec.kind](spec)

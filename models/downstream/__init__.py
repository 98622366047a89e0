"""The judge of a dataset, for each kind of label: a network trained on it, tested on real data."""

from models.downstream.base import LabelledImages
from models.downstream.judging import Judgement, judge

__all__ = ["Judgement", "LabelledImages", "judge"]

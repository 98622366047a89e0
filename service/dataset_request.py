"""What is asked for when a dataset is made. Pure: shapes alone; `service.domains` fills them in."""

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import Field, model_validator

from models.data.fitting import Canvas, Policy
from models.labels import ClassName, KeypointsSpec, LabelSpec
from service.schemas import Licence, Name, examples
from workers.params import Kind, Params, ReadingParams

_FACES: Mapping[str, Any] = {
    "kind": "segmentation",
    "classes": ["background", "skin", "hair", "eyes", "mouth"],
}


class FitRequest(Params):
    """How pictures are brought onto a generator's canvas; what is left out, the domain says."""

    canvas: Canvas | None = Field(default=None, description="needed without a domain")
    policy: Policy | None = Field(default=None, description="without a domain `resize`")
    landmarks: KeypointsSpec | None = Field(
        default=None,
        description="points to align by, for datasets without keypoints; given as keypoints are",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, given: Any) -> Any:
        """Null is the same as leaving a field out."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class DatasetRequest(ReadingParams):
    """What a dataset's labels mean; it is read from an archive, if one is named."""

    model_config = examples(
        {"name": "faces, 16 labelled", "licence": "CC-BY-4.0", "label": _FACES},
        {"name": "faces", "licence": "", "label": _FACES, "upload_id": "upl_01jd5"},
        {
            "name": "faces of all kinds",
            "labels": [_FACES, {"kind": "keypoints", "names": ["nose"]}, {"kind": "depth"}],
            "fit": {"canvas": {"height": 512, "width": 512}, "policy": {"name": "pad"}},
        },
        {
            "name": "CelebAMask-HQ, eight classes",
            "domain": "faces-8",
            "source": "s3://datasets/celebamask-hq-50.zip",
            "fit": {"canvas": {"height": 256, "width": 256}},
            "on_fault": "skip",
            "tiny_classes": "clean",
        },
        {
            "name": "cars by colour",
            "label": {"kind": "segmentation", "classes": ["background", "wheel"]},
            "upload_id": "upl_01jd5",
            "layout": "folder",
            "colours": {"#000000": "background", "#ff0000": "wheel"},
        },
    )

    name: Name = ""
    licence: Licence = ""
    label: LabelSpec | None = Field(default=None, description="a single one, in place of `labels`")
    labels: tuple[LabelSpec, ...] | None = Field(
        default=None, min_length=1, max_length=len(get_args(Kind)), description="one of a kind"
    )
    domain: str | None = Field(
        default=None,
        max_length=64,
        description="a preset, in place of `labels`: it says labels, merge and fit",
        examples=["faces-8"],
    )
    merge: dict[ClassName, ClassName] = Field(
        default={},
        max_length=1000,
        description="the files' own class names, and the classes that they become",
    )
    fit: FitRequest | None = Field(
        default=None, description="without it and without a domain, pictures stay as they are"
    )

    @model_validator(mode="after")
    def _says_what_labels_mean(self) -> Self:
        given = (self.label, self.labels, self.domain)
        if sum(each is not None for each in given) != 1:
            raise ValueError("give exactly one of label, labels and domain")
        return self

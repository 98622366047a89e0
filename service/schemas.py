"""The wire shapes: what requests carry and what answers look like. Pure: no store, no Redis."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.configs import InversionConfig, LabelGeneratorConfig
from models.data.manifest import ItemFile
from workers.jobs import JobRecord
from workers.params import (
    EncoderTrainingParams,
    EvaluationParams,
    GenerationParams,
    InversionParams,
    Kind,
    Params,
    RegisterEncoderParams,
    RegisterParams,
    SelectionParams,
)

Name = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
Licence = Annotated[
    str,
    StringConstraints(max_length=200, strip_whitespace=True),
    Field(description="free text, carried into the card of everything made from it"),
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
T = TypeVar("T")


def examples(*requests: Mapping[str, Any]) -> ConfigDict:
    """The configuration of a model whose documentation shows these requests."""
    return ConfigDict(json_schema_extra={"examples": [dict(each) for each in requests]})


class ResourceState(StrEnum):
    """How far a resource is; `ready` if and only if its last document has been written."""

    OPEN = "open"
    PENDING = "pending"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"


# ---- requests


class UploadRequest(Params):
    """A file that is about to be sent."""

    model_config = examples({"filename": "ffhq.pkl", "size": 381673535})

    filename: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    size: int | None = Field(default=None, ge=0, description="bytes, where known")
    sha256: Sha256 | None = Field(default=None, description="checked where the service stores it")


class GeneratorRequest(RegisterParams):
    """A StyleGAN2 checkpoint that was uploaded, or that lies in a bucket."""

    model_config = examples(
        {"name": "faces 1024", "licence": "CC-BY-NC-SA-4.0", "upload_id": "upl_01jd5"},
        {"name": "cars 512", "licence": "", "source": "s3://models/stylegan2-car-config-f.pkl"},
    )

    name: Name = ""
    licence: Licence = ""


class EncoderRequest(RegisterEncoderParams):
    """A pSp, e4e or ReStyle checkpoint that was uploaded, or that lies in a bucket."""

    model_config = examples(
        {"name": "ReStyle faces", "upload_id": "upl_01jd5", "register_decoder": True},
        {"name": "e4e cars", "source": "s3://models/e4e_cars_encode.pt", "family": "e4e"},
    )

    name: Name = ""
    licence: Licence = ""
    register_decoder: bool = Field(
        default=False,
        description="also register the generator inside the file; `parents.generator` is its id",
    )


class EncoderTrainingRequest(EncoderTrainingParams):
    """For which generator, and from which unlabelled images beside its own."""

    model_config = examples(
        {"name": "faces", "generator_id": "gen_01jd5"},
        {"generator_id": "gen_01jd5", "dataset_id": "dst_01jd5", "config": {"steps": 20000}},
    )

    name: Name = ""


class InversionRequest(InversionParams):
    """Whose latents to find, in which generator."""

    model_config = examples(
        {"dataset_id": "dst_01jd5", "generator_id": "gen_01jd5"},
        {"dataset_id": "dst_01jd5", "generator_id": "gen_01jd5", "encoder_id": "enc_01jd5"},
        {
            "dataset_id": "dst_01jd5",
            "generator_id": "gen_01jd5",
            "latents_upload_id": "upl_01jd5",
        },
    )

    name: Name = ""


class LabelGeneratorRequest(SelectionParams):
    """What to train on: an inversion, or a dataset and a generator to make one of first.

    Or `like` another label generator: all is as it was, but for what is said here, and images to
    `exclude` are left out beside those that were.
    """

    model_config = examples(
        {"name": "faces", "inversion_id": "inv_01jd5"},
        {
            "dataset_id": "dst_01jd5",
            "generator_id": "gen_01jd5",
            "inversion": {"steps": 300},
            "config": {"members": 10},
        },
        {"name": "faces, landmarks", "inversion_id": "inv_01jd5", "kind": "keypoints"},
        {"dataset_id": "dst_01jd5", "generator_id": "gen_01jd5", "encoder_id": "enc_01jd5"},
        {"inversion_id": "inv_01jd5", "max_distance": 0.4, "drop_worst": 0.1},
        {"like": "lbl_01jd5", "exclude": ["face_000010"]},
    )

    name: Name = ""
    like: str | None = Field(
        default=None, description="a label generator that is to be trained again, changed"
    )
    inversion_id: str | None = None
    dataset_id: str | None = None
    generator_id: str | None = None
    encoder_id: str | None = Field(
        default=None, description="whose guesses the inversion that is made first starts from"
    )
    inversion: InversionConfig = Field(
        default=InversionConfig(), description="of the inversion that is made first"
    )
    kind: Kind | None = Field(
        default=None, description="which of the dataset's labels is learnt; null for the first"
    )
    config: LabelGeneratorConfig = LabelGeneratorConfig()

    @model_validator(mode="after")
    def _says_what_to_train_on(self) -> Self:
        if self.like is not None:
            return self._says_nothing_else()
        pair = (self.dataset_id is not None, self.generator_id is not None)
        if pair != ((self.inversion_id is None),) * 2:
            raise ValueError("give either inversion_id, or both dataset_id and generator_id")
        if self.encoder_id is not None and self.inversion_id is not None:
            raise ValueError(
                "give either encoder_id or inversion_id: an encoder is for the inversion that is "
                "made first"
            )
        return self

    def _says_nothing_else(self) -> Self:
        of_inversions = ("inversion_id", "dataset_id", "generator_id", "encoder_id", "inversion")
        if said := [name for name in of_inversions if name in self.model_fields_set]:
            raise ValueError(f"like takes the inversion of the other one: leave out {said[0]}")
        return self


class GenerationRequest(GenerationParams):
    """How many labelled images, of which label generators, under which rule."""

    model_config = examples(
        {
            "name": "faces 10k",
            "label_generator_ids": ["lbl_01jd5"],
            "count": 10000,
            "seed": 7,
            "psi": 0.7,
            "uncertainty": {"drop": 0.1},
        },
        {
            "name": "faces with masks, landmarks and depth",
            "label_generator_ids": ["lbl_01jd5", "lbl_01jd6", "lbl_01jd7"],
            "count": 10000,
        },
        {
            "name": "ships and planes of a conditional generator",
            "label_generator_ids": ["lbl_01jd5"],
            "count": 1000,
            "labels": [1, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        },
    )

    name: Name = ""


class EvaluationRequest(EvaluationParams):
    """What the downstream network is trained on, and what it is tested on."""

    model_config = examples(
        {
            "generation_id": "gnn_01jd5",
            "validation_dataset_id": "dst_01jd5",
            "test_dataset_id": "dst_01jd6",
            "kind": "segmentation",
        }
    )

    name: Name = ""

    @model_validator(mode="after")
    def _says_what_to_train_on(self) -> Self:
        if (self.generation_id is None) == (self.dataset_id is None):
            raise ValueError("give exactly one of generation_id and dataset_id to train on")
        return self


# ---- answers


class JobBody(JobRecord):
    """A job as it stands. `version` is its ETag."""

    links: dict[str, str]

    @classmethod
    def of(cls, record: JobRecord) -> "JobBody":
        """The wire shape of a record."""
        here = f"/v1/jobs/{record.id}"
        links = {
            "self": here,
            "events": f"{here}/events",
            "resource": "/v1/{}/{}".format(*record.resource),
        }
        if not record.state.is_terminal:
            links["cancel"] = f"{here}/cancel"
        return cls.model_construct(**dict(record), links=links)


class ResourceBody(BaseModel):
    """A resource as it stands."""

    id: str
    collection: str
    name: str
    licence: str
    state: ResourceState
    created_at: datetime
    parents: dict[str, str] = Field(description="what it is made of: ids by role")
    spec: dict[str, Any] = Field(description="its parameters, defaults filled in")
    job: JobBody | None = Field(description="what makes it ready; null while a dataset is open")
    result: dict[str, Any] | None = Field(
        default=None, description="card, report or manifest, once ready; left out of lists"
    )
    links: dict[str, str]


class DeletedBody(BaseModel):
    """What was deleted, or would be."""

    deleted: list[str] = Field(description="collection/id, what depended on others first")
    bytes: int = Field(description="of all their files")


class PutTarget(BaseModel):
    """Where the bytes go: an absolute URL, and the headers that must be sent."""

    url: str
    method: str = "PUT"
    headers: dict[str, str] = {}


class UploadBody(BaseModel):
    """An upload: `pending` until its bytes have arrived, then `ready`."""

    id: str
    filename: str
    state: ResourceState
    size: int | None = Field(description="bytes: those that arrived, else those announced")
    sha256: str | None
    created_at: datetime
    put: PutTarget
    links: dict[str, str]


class ItemBody(BaseModel):
    """A labelled image of an open dataset, as it was stored: an RGB PNG, and labels by kind."""

    key: str
    image: ItemFile
    labels: dict[str, ItemFile]
    height: int
    width: int


class FileBody(BaseModel):
    """A file of a resource."""

    path: str
    bytes: int
    sha256: str | None = Field(description="where it is known")
    url: str


class EstimateBody(BaseModel):
    """What a generation would cost. Figures that nothing is known of yet are null."""

    samples: int
    shards: int
    candidates_expected: int = Field(
        description="images drawn, dropped ones included; with several label generators the most"
    )
    bytes: int | None = Field(description="with several label generators the most")
    seconds: float | None = Field(
        description="on a machine like the one in `basis`; with several label generators the most"
    )
    free_bytes: int | None = Field(description="room in the store, where that can be known")
    fits: bool | None
    basis: dict[str, Any] = Field(
        description="by label generator the measurement that the figures come from"
    )


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = Field(description="pass as `after` for the next page")


class ResourcePage(Page[ResourceBody]):
    """A page of resources, without their results."""


class JobPage(Page[JobBody]):
    """A page of jobs."""


class FilePage(Page[FileBody]):
    """A page of files, by path."""


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """Everything the service needs answers; milliseconds by part."""

    status: str = "ready"
    checks: dict[str, float]
    workers: dict[str, int] = Field(description="live ones, by the queue that they listen to")
    can_work: bool = Field(description="whether every queue has one; without, its jobs wait")


class Version(BaseModel):
    """What is running."""

    version: str
    api: str = "v1"

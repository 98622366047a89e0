"""What the service answers, as typed views. Pure: no HTTP.

Views are tolerant: fields that a newer service adds are kept as they are, none is an error, and
words that are not known yet (a new state, a new kind) stay plain strings.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.client._errors import Misused

# What an id starts with, and the collection it belongs to.
COLLECTIONS: Mapping[str, str] = {
    "gen": "generators",
    "enc": "encoders",
    "dst": "datasets",
    "inv": "inversions",
    "lbl": "label-generators",
    "gnn": "generations",
    "evl": "evaluations",
}


def collection_of(resource_id: str) -> str:
    """The collection that an id belongs to.

    Raises:
        Misused: the id has no prefix that we know.
    """
    prefix = resource_id.partition("_")[0]
    if prefix not in COLLECTIONS:
        known = ", ".join(f"{p}_… ({c})" for p, c in COLLECTIONS.items())
        raise Misused(f"{resource_id!r} is no resource's id; ids look like {known}")
    return COLLECTIONS[prefix]


class JobState(StrEnum):
    """The states of a job, spelled as the API spells them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class View(BaseModel):
    """The base of all: frozen, and unknown fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Progress(View):
    """How far the present phase of a job is.

    Attributes:
        phase: a word for what is being done, e.g. `optimising`.
        done, total: in `unit`s; total is 0 while it is not known.
        rate: units per second; None at first.
        eta_seconds: what is left of this phase at that rate; None while unknown.
    """

    phase: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float | None = None
    eta_seconds: float | None = None


class Failure(View):
    """Why a job failed, for programs (`code`) and people (`message`)."""

    code: str = "unknown"
    message: str = ""
    retryable: bool = False
    details: dict[str, Any] = Field(default_factory=dict)


class Job(View):
    """One job as it stood when it was asked for."""

    id: str
    kind: str = ""
    state: str = JobState.QUEUED
    attempt: int = 1
    progress: Progress | None = None
    error: Failure | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether its state will never change again."""
        return self.state in ENDED


class Resource(View):
    """A generator, an encoder, a dataset, an inversion or any other resource.

    Attributes:
        state: `open` (a dataset that takes items), `pending`, `running`, `ready`, `failed` or
            `cancelled`.
        job: the job that makes it ready; None for a dataset that is still open.
        parents: ids of the resources it is made of, by role.
        spec: its parameters, as they were asked for.
        result: what its job found out: the card, manifest or report; None until it is ready.
    """

    id: str
    name: str = ""
    licence: str = ""
    state: str = ""
    created_at: datetime | None = None
    job: Job | None = None
    parents: dict[str, str] = Field(default_factory=dict)
    spec: dict[str, Any] = Field(default_factory=dict)
    result: dict[str, Any] | None = None

    @property
    def collection(self) -> str:
        """Its collection, as in the URL, e.g. `label-generators`."""
        return collection_of(self.id)


class File(View):
    """One file of a resource: `path` inside it, and what the bytes there must be."""

    path: str
    bytes: int | None = None
    sha256: str | None = None


class Estimate(View):
    """What a generation would cost; nothing has been started. None: nothing is known of it yet.

    Attributes:
        candidates_expected: images drawn, those included that will be dropped; with several label
            generators this, `bytes` and `seconds` are the most that it can be.
        seconds: on a machine like the one in `basis`.
        fits: whether the store has room for it, where that can be known.
    """

    samples: int
    shards: int
    candidates_expected: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    free_bytes: int | None = None
    fits: bool | None = None
    basis: dict[str, Any] = Field(default_factory=dict)


class Deleted(View):
    """What was deleted, or would be.

    Attributes:
        deleted: `collection/id`, what depended on others first.
        bytes: of all their files.
    """

    deleted: tuple[str, ...]
    bytes: int


class Webhook(View):
    """Who is told how jobs end.

    Attributes:
        secret: of the signatures; only where the webhook was just made.
    """

    id: str
    url: str
    events: tuple[str, ...]
    name: str = ""
    secret: str | None = Field(default=None, repr=False)
    created_at: datetime


class Attempt(View):
    """One try to deliver; `status` is that of the answer, `error` says why it does not count."""

    at: datetime
    status: int | None = None
    milliseconds: int
    error: str | None = None


class Delivery(View):
    """An event on its way to a webhook; `state` is pending, delivered or given_up."""

    id: str
    type: str
    state: str
    job_id: str | None = None
    created_at: datetime
    attempts: tuple[Attempt, ...] = ()
    next_at: datetime | None = None


class Segmentation(BaseModel):
    """What a dataset's masks mean: value k of a mask is `classes[k]`.

    Attributes:
        classes: names by id, id 0 first (usually the background).
        palette: one RGB triple in 0..255 per class, for pictures only.
        ignore_index: a value that means "no label here".
    """

    model_config = ConfigDict(frozen=True)

    kind: str = "segmentation"
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] | None = None
    ignore_index: int | None = None


class Keypoints(BaseModel):
    """What a dataset's points are.

    Attributes:
        names: of the points, in order.
        skeleton: pairs of points, by number, that pictures join by a line.
        flip_pairs: points that change places in a mirror.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = "keypoints"
    names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()


class Depth(BaseModel):
    """What a dataset's distances are.

    Attributes:
        unit: of the values.
        smallest, largest: the valid range; values outside of it count as none.
        invalid: a value in files that means "none", beside NaN.
        log: whether the logarithm is learnt.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = "depth"
    unit: str = "m"
    smallest: float = 1e-3
    largest: float = 80.0
    invalid: float | None = 0.0
    log: bool = False


Label = Segmentation | Keypoints | Depth
LABELS: Mapping[str, type[Label]] = {
    "segmentation": Segmentation,
    "keypoints": Keypoints,
    "depth": Depth,
}
"""By kind: what says what such labels mean."""

"""What a job is, and the steps it may take. Pure: no Redis, no clock of its own.

queued ───► running ───► succeeded
  │  ▲         ├───────► failed      (from queued too: what it waits for failed)
  │  └─────────┤                     back to queued: the worker died, or said Retryable
  └────────────┴───────► cancelled   a wish to cancel is a field, not a state
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from workers.errors import IllegalTransition


class JobState(StrEnum):
    """Every state, spelled as the API spells it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; such a state is never left."""
        return not NEXT[self]


NEXT: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(JobState) - {JobState.RUNNING},
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class JobKind(StrEnum):
    """What a job does; its stages stand in `workers.flows`."""

    REGISTER = "register"
    REGISTER_ENCODER = "register_encoder"
    TRAIN_ENCODER = "train_encoder"
    INGEST = "ingest"
    INVERT = "invert"
    TRAIN = "train"
    GENERATE = "generate"
    EVALUATE = "evaluate"


class Progress(BaseModel):
    """How far the present phase is.

    Attributes:
        phase: a word for what is being done, e.g. `optimising`.
        done, total: in `unit`s; total is 0 while it is not known.
        rate: units per second, over the phase so far; None at first.
        eta_seconds: what is left of this phase at that rate; None while unknown.
    """

    model_config = ConfigDict(frozen=True)

    phase: str
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float | None = None
    eta_seconds: float | None = None


class JobError(BaseModel):
    """Why a job failed, for programs (`code`) and people (`message`)."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    retryable: bool = False
    details: dict[str, Any] = Field(default_factory=dict)


class Origin(BaseModel):
    """The request that asked for a job.

    Attributes:
        request_id: its `X-Request-ID`; empty where none asked.
        traceparent: its span, as W3C's Trace Context spells it; empty where nothing is traced.
    """

    model_config = ConfigDict(frozen=True)

    request_id: str = ""
    traceparent: str = ""


class JobRecord(BaseModel):
    """One job as it stands. Records never change; a step makes a new one.

    Attributes:
        resource: the collection and id that the job makes, e.g. `("generations", "gnn_01…")`.
        after: ids of the jobs that must succeed before this one may start.
        attempt: 1 at first; one more for each return to the queue.
        version: one more for each change of any field; the API's ETag.
        origin: who asked for it, for those who read logs and traces.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    id: str
    tenant: str
    kind: JobKind
    resource: tuple[str, str]
    after: tuple[str, ...] = ()
    state: JobState = JobState.QUEUED
    attempt: int = 1
    progress: Progress | None = None
    error: JobError | None = None
    cancel_requested_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    changed_at: datetime
    version: int = 1
    origin: Origin = Origin()

    def step(self, state: JobState, at: datetime, error: JobError | None = None) -> "JobRecord":
        """This job in its next state.

        Raises:
            IllegalTransition: the drawing above has no such edge.
        """
        if state not in NEXT[self.state]:
            raise IllegalTransition(f"job {self.id} is {self.state}; it cannot become {state}")
        changes: dict[str, Any] = {"state": state, "error": error}
        if state is JobState.QUEUED:
            changes |= {"attempt": self.attempt + 1}
        if state is JobState.RUNNING and self.started_at is None:
            changes |= {"started_at": at}
        if state.is_terminal:
            changes |= {"finished_at": at}
        return self.with_changes(at, **changes)

    def with_changes(self, at: datetime, **changes: Any) -> "JobRecord":
        """This job with other fields replaced: one version on."""
        return self.model_copy(
            update={**changes, "changed_at": at, "version": self.version + 1},
        )

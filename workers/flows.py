"""The stages of each kind of job, and the queue each runs on. Pure: one table.

A stage is one step, or with `fan_out` as many as the stage before it said. The next stage starts
when every step of this one is done; the job succeeds with its last stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from workers.jobs import JobKind


class QueueName(StrEnum):
    """One queue per kind of worker process, so that a small job never waits behind a training."""

    CPU = "cpu"
    COMPUTE = "compute"


@dataclass(frozen=True)
class Stage:
    """One stage of a job: which task runs it (`workers.tasks.{task}`), where, and how often."""

    task: str
    queue: QueueName
    fan_out: bool = False


FLOWS: Mapping[JobKind, tuple[Stage, ...]] = {
    JobKind.REGISTER: (Stage("register", QueueName.COMPUTE),),
    JobKind.REGISTER_ENCODER: (Stage("register_encoder", QueueName.COMPUTE),),
    JobKind.TRAIN_ENCODER: (Stage("train_encoder", QueueName.COMPUTE),),
    JobKind.INGEST: (Stage("ingest", QueueName.CPU),),
    JobKind.INVERT: (Stage("invert", QueueName.COMPUTE),),
    JobKind.TRAIN: (Stage("train", QueueName.COMPUTE),),
    JobKind.GENERATE: (
        Stage("plan", QueueName.COMPUTE),  # It may have to calibrate.
        Stage("generate", QueueName.COMPUTE, fan_out=True),
        Stage("finalize", QueueName.CPU),
    ),
    JobKind.EVALUATE: (Stage("evaluate", QueueName.COMPUTE),),
}

"""What each line says that speaks of a job: whose it is, which step, and who asked for it. Pure.

`request_id` is that of the request that asked for the job, in whichever process the line is
written; `shard` counts from 0, and stands only where a step is one of several of its stage.
"""

from contextlib import AbstractContextManager
from typing import Any

from structlog.contextvars import bound_contextvars

from workers.flows import FLOWS
from workers.jobs import JobRecord
from workers.steps import StepRef


def telling(
    tenant: str, job_id: str, record: JobRecord | None = None, step: StepRef | None = None
) -> AbstractContextManager[None]:
    """While it lasts, every line of this thread says which job is spoken of.

    Args:
        tenant: whose the job is.
        job_id: its id.
        record: the job, where it is known.
        step: a step of it, where one is spoken of.
    """
    return bound_contextvars(**words_of(tenant, job_id, record, step))


def words_of(
    tenant: str, job_id: str, record: JobRecord | None = None, step: StepRef | None = None
) -> dict[str, Any]:
    """The same words, for one line."""
    words: dict[str, Any] = {"tenant": tenant, "job": job_id}
    if record is not None and record.origin.request_id:
        words["request_id"] = record.origin.request_id
    if step is not None:
        words["step"] = step.name.removesuffix("-a0")  # What ran out may not say which attempt.
    if step is not None and record is not None and _is_shard(record, step):
        words["shard"] = step.index
    return words


def _is_shard(record: JobRecord, step: StepRef) -> bool:
    """Whether a step is one of several; what is queued may name a stage that there is not."""
    return any(stage.fan_out for stage in FLOWS[record.kind][step.stage : step.stage + 1])

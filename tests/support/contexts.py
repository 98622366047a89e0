"""What a task is given, with a reporter that remembers."""

from datetime import UTC, datetime

from workers.jobs import JobKind, JobRecord, JobState
from workers.resources import Resource
from workers.tasks.context import TaskContext

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Reports(list):
    """
    A reporter that keeps every report, and raises `stop` at its `after`th, if there is one.
    """

    def __init__(self, stop=None, after=0):
        self._stop, self._after = stop, after

    def __call__(self, phase, done, total, unit=""):
        self.append((phase, done, total, unit))
        if self._stop is not None and len(self) > self._after:
            raise self._stop


def task_context(store, scratch, kind, collection, params, report=None, **resource):
    """
    The first step of a job that makes the resource `made` of a tenant called `acme`.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    job = JobRecord(
        id="job_1",
        tenant="acme",
        kind=JobKind(kind),
        resource=(collection, "made"),
        state=JobState.RUNNING,
        created_at=NOON,
        changed_at=NOON,
    )
    described = Resource(
        id="made",
        tenant="acme",
        collection=collection,
        created_at=NOON,
        job_id=job.id,
        spec=params.model_dump(mode="json"),
        **resource,
    )
    return TaskContext(
        job=job,
        resource=described,
        index=0,
        attempt=1,
        store=store,
        report=Reports() if report is None else report,
        scratch=scratch,
    )

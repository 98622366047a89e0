"""The record of every job: written to the bucket first, then to Redis, where it is read.

A change is a compare-and-swap on the record's version. Terminal states stay. Of those that would
end a job at the same time one decides (in Redis), and how it ended is in the bucket before it is
in Redis. What Redis has forgotten is recalled from the bucket when it is asked for.
"""

import re
from collections.abc import Callable
from datetime import datetime

from redis import Redis

from workers.clock import Clock, utc_now
from workers.documents import JobDocuments
from workers.errors import IllegalTransition, NotFound
from workers.job_records import JobRecords, Swap
from workers.jobs import JobError, JobKind, JobRecord, JobState
from workers.storage.base import ObjectStore

_ID = re.compile(r"[a-z]+_[0-9a-z]{1,64}")
# A forgotten job begins again with versions and attempts that nobody has seen.
_VERSIONS_PER_LIFE = 1_000_000
_ATTEMPTS_PER_LIFE = 1_000


class JobStore:
    """All job records.

    Every method raises `QueueUnavailable` or `StorageUnavailable` where Redis or the bucket
    cannot be reached, and `NotFound` (naming the id) for a job that neither knows.

    Args:
        redis: a client of `workers.redis_client.connect`.
        store: the bucket.
        clock: gives the times in records.

    Attributes:
        redis: the client, for what else is kept beside the records.
        records: Redis's view alone.
        documents: the bucket's view alone.
    """

    def __init__(self, redis: Redis, store: ObjectStore, clock: Clock = utc_now) -> None:
        self.redis = redis
        self._clock = clock
        self.records = JobRecords(redis)
        self.documents = JobDocuments(store)

    def create(self, record: JobRecord) -> JobRecord:
        """Take up a job, durably; if its id is taken, the job that has it."""
        if self.documents.open(record) and self.records.enter(record):
            return record
        return self.get(record.tenant, record.id)

    def get(self, tenant: str, job_id: str) -> JobRecord:
        """A job as it stands: one round trip, unless Redis has forgotten it."""
        if not _ID.fullmatch(job_id):
            raise NotFound(f"there is no job {job_id[:80]!r}")
        return self.records.read(tenant, job_id) or self.revive(tenant, job_id)

    def find(self, tenant: str, job_id: str | None) -> JobRecord | None:
        """The same; None where there is no such job, or no id."""
        try:
            return None if job_id is None else self.get(tenant, job_id)
        except NotFound:
            return None

    def list(
        self,
        tenant: str,
        limit: int,
        after: str | None = None,
        state: JobState | None = None,
        kind: JobKind | None = None,
    ) -> tuple[list[JobRecord], str | None]:
        """Jobs, newest first, and a cursor that continues behind the last one (None at the end).

        Raises:
            ValueError: `after` is no cursor of ours.
        """
        found: list[JobRecord] = []
        cursor: str | None = None
        for behind, record in self.records.by_age(tenant, after, limit + 1):
            if (state and record.state is not state) or (kind and record.kind is not kind):
                continue
            if len(found) == limit:
                return found, cursor
            found.append(record)
            cursor = behind
        return found, None

    def change(self, tenant: str, job_id: str, fn: Callable[[JobRecord], JobRecord]) -> JobRecord:
        """Replace a record by what `fn` makes of it, as often as somebody else was faster.

        `fn` returns its argument to change nothing. A terminal state it makes goes through `end`.

        Raises:
            IllegalTransition: the job has ended.
        """
        while True:
            record = self.get(tenant, job_id)
            changed = fn(record)
            if changed is record:
                return record
            if record.state.is_terminal:
                raise IllegalTransition(f"job {job_id} is {record.state}; it cannot change")
            if changed.state.is_terminal:
                return self.end(tenant, job_id, changed.state, changed.error)
            match self.records.swap(record, changed):
                case Swap.DONE:
                    return changed
                case Swap.TOO_LATE:
                    return self.end(tenant, job_id, JobState.CANCELLED)

    def request_cancel(self, tenant: str, job_id: str) -> JobRecord:
        """Note, durably, that a job shall be cancelled; a job that has ended stays as it is."""
        record = self.get(tenant, job_id)
        if record.state.is_terminal:
            return record
        at = self._clock()
        self.documents.note_cancel(record, at)
        return self.change(tenant, job_id, lambda record: _wished(record, at))

    def end(
        self, tenant: str, job_id: str, state: JobState, error: JobError | None = None
    ) -> JobRecord:
        """End a job, once: whoever comes first decides, but a wish to cancel came before.

        Returns:
            The job as it ended, which need not be what was asked for.

        Raises:
            IllegalTransition: the drawing has no such step.
        """
        record = self.get(tenant, job_id)
        if record.state.is_terminal:
            return record
        at = self._clock()
        decided, reason = self.records.decide(record.step(state, at, error))
        ended = record.step(decided, at, reason)
        if decided is JobState.CANCELLED:
            # The wish that decided may have come after the record was read.
            wish = record.cancel_requested_at or self.get(tenant, job_id).cancel_requested_at
            ended = ended.model_copy(update={"cancel_requested_at": wish})
        return self._put_end(self.documents.close(ended))

    def adopt_end(self, tenant: str, job_id: str) -> JobRecord:
        """Tell Redis how a job ended that it takes for unfinished, but the bucket does not."""
        return self._put_end(self.documents.recall(tenant, job_id))

    def revive(self, tenant: str, job_id: str) -> JobRecord:
        """Bring a job that Redis has forgotten back from the bucket; one that it knows stays."""
        record = self.documents.recall(tenant, job_id)
        life = 1 if record.state.is_terminal else self.documents.begin_life(tenant, job_id)
        version = record.version + life * _VERSIONS_PER_LIFE
        revived = record.model_copy(update={"version": version})
        self.records.enter(revived, life * _ATTEMPTS_PER_LIFE)
        return self.records.read(tenant, job_id) or revived

    def remove(self, tenant: str, job_id: str) -> None:
        """Forget a job that has ended, durably; one that is not there is no error.

        Raises:
            IllegalTransition: it has not ended.
        """
        record = self.find(tenant, job_id)
        if record is None:
            return
        if not record.state.is_terminal:
            raise IllegalTransition(f"job {job_id} is {record.state}; it cannot be forgotten")
        self.documents.remove(tenant, job_id)
        self.records.remove(record)

    def _put_end(self, ended: JobRecord) -> JobRecord:
        """Put into Redis how a job ended, over whatever stands there."""
        while True:
            record = self.get(ended.tenant, ended.id)
            if record.state.is_terminal:
                return record
            version = max(ended.version, record.version + 1)
            final = ended.model_copy(update={"version": version})
            if self.records.swap(record, final) is Swap.DONE:
                return final


def _wished(record: JobRecord, at: datetime) -> JobRecord:
    """The record with a wish to cancel; itself if it has one or has ended."""
    if record.cancel_requested_at or record.state.is_terminal:
        return record
    return record.with_changes(at, cancel_requested_at=at)

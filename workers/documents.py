"""What the bucket knows of jobs, whatever Redis may have forgotten. Knows no Redis.

{tenant}/jobs/{id}/spec.json        the job as it was asked for, before anybody is told it is
{tenant}/jobs/{id}/cancel.json      that it shall be cancelled, before that is answered
{tenant}/jobs/{id}/end.json         how it ended; the first to be written counts
{tenant}/jobs/{id}/life-{n}.json    that Redis had forgotten the job n times

Lives keep attempts apart: a worker that still runs a step of an earlier life must not have the
same number as one of this life.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from workers import keys
from workers.errors import NotFound, ObjectNotFound
from workers.jobs import JobRecord
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

SPEC, CANCEL, END = "spec.json", "cancel.json", "end.json"


def tenants_of(store: ObjectStore) -> Iterator[str]:
    """Everybody who has something in a bucket; who may ask is nobody's."""
    return (folder for folder in store.folders("") if folder != keys.ACCESS)


class JobDocuments:
    """The documents of all jobs in a bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def open(self, record: JobRecord) -> bool:
        """Write down that a job is wanted; False if that job is written down already."""
        return self._store.put_if_absent(_key(record, SPEC), _document(record))

    def note_cancel(self, record: JobRecord, at: datetime) -> None:
        """Write down that a job shall be cancelled."""
        note = {"schema_version": 1, "requested_at": at.isoformat()}
        self._store.put_if_absent(_key(record, CANCEL), canonical_json(note))

    def close(self, record: JobRecord) -> JobRecord:
        """Write down how a job ended; how it did end, if that is written down already."""
        if self._store.put_if_absent(_key(record, END), _document(record)):
            return record
        return JobRecord.model_validate_json(self._store.get(_key(record, END)))

    def recall(self, tenant: str, job_id: str) -> JobRecord:
        """The job as it ended, else as it was asked for (with the wish to cancel it).

        Raises:
            NotFound: the bucket knows no such job.
        """
        ended = self._read(keys.job(tenant, job_id, END))
        if ended is not None:
            return JobRecord.model_validate_json(ended)
        spec = self._read(keys.job(tenant, job_id, SPEC))
        if spec is None:
            raise NotFound(f"there is no job {job_id!r}")
        record = JobRecord.model_validate_json(spec)
        note = self._read(keys.job(tenant, job_id, CANCEL))
        at = datetime.fromisoformat(json.loads(note)["requested_at"]) if note else None
        return record.model_copy(update={"cancel_requested_at": at})

    def begin_life(self, tenant: str, job_id: str) -> int:
        """Note that Redis has forgotten the job once more; how often that is, from 1."""
        life, note = 1, canonical_json({"schema_version": 1})
        while not self._store.put_if_absent(keys.job(tenant, job_id, f"life-{life}.json"), note):
            life += 1
        return life

    def remove(self, tenant: str, job_id: str) -> None:
        """Forget a job that has ended: its spec first, or it would be taken for unfinished."""
        places = [info.key for info in self._store.list(keys.job(tenant, job_id, ""))]
        last = {keys.job(tenant, job_id, SPEC): 0, keys.job(tenant, job_id, END): 2}
        for place in sorted(places, key=lambda place: last.get(place, 1)):
            self._store.delete(place)

    def tenants(self) -> Iterator[str]:
        """Everybody who has something in the bucket."""
        return tenants_of(self._store)

    def jobs(self, tenant: str) -> Iterator[tuple[str, bool]]:
        """The ids of a tenant's jobs, each with whether it has ended."""
        prefix = f"{tenant}/jobs/"
        parts = (info.key.removeprefix(prefix).split("/") for info in self._store.list(prefix))
        for job_id, documents in groupby(parts, key=lambda part: part[0]):
            names = {document[-1] for document in documents}
            if SPEC in names:
                yield job_id, END in names

    def _read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except ObjectNotFound:
            return None


def _key(record: JobRecord, name: str) -> str:
    return keys.job(record.tenant, record.id, name)


def _document(record: JobRecord) -> bytes:
    return canonical_json(record.model_dump(mode="json"))

"""Brings Redis back to what the bucket knows, after it has lost everything or a little.

A Redis that was emptied, or that started again and may have lost its last second, is compared
with the bucket once: forgotten jobs are entered again, unfinished ones first, and those that
ended without Redis knowing are ended. The reaper then finds what has to be queued.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog
from pydantic import ValidationError

from workers import redis_names as names
from workers.errors import NotFound
from workers.orchestrator import Orchestrator
from workers.trail import words_of

_AT_ONCE = 8
_log = structlog.get_logger(__name__)


def rebuild_if_needed(orchestrator: Orchestrator) -> bool:
    """Compare Redis with the bucket, unless this was done in this life of Redis; whether it was.

    Raises:
        QueueUnavailable, StorageUnavailable: one of them cannot be reached; it is to be repeated.
    """
    redis = orchestrator.jobs.redis
    life = str(redis.info("server")["run_id"])
    if redis.get(names.REBUILT) == life:
        return False
    rebuild(orchestrator)
    redis.set(names.REBUILT, life)
    return True


def rebuild(orchestrator: Orchestrator) -> None:
    """Enter every job of the bucket that Redis does not know as it should."""
    documents = orchestrator.jobs.documents
    for tenant in documents.tenants():
        found = list(documents.jobs(tenant))
        unfinished = [job_id for job_id, has_ended in found if not has_ended]
        ended = [job_id for job_id, has_ended in found if has_ended]
        _log.info("comparing", tenant=tenant, unfinished=len(unfinished), ended=len(ended))
        _each(tenant, unfinished, lambda job_id: _enter(orchestrator, tenant, job_id))  # noqa: B023
        _each(tenant, ended, lambda job_id: _end(orchestrator, tenant, job_id))  # noqa: B023


def _enter(orchestrator: Orchestrator, tenant: str, job_id: str) -> None:
    if orchestrator.jobs.records.read(tenant, job_id) is None:
        orchestrator.jobs.revive(tenant, job_id)


def _end(orchestrator: Orchestrator, tenant: str, job_id: str) -> None:
    record = orchestrator.jobs.records.read(tenant, job_id)
    if record is None:
        orchestrator.jobs.revive(tenant, job_id)
    elif not record.state.is_terminal:
        orchestrator.finish(orchestrator.jobs.adopt_end(tenant, job_id))


def _each(tenant: str, job_ids: Iterable[str], act: Callable[[str], None]) -> None:
    """Do it for all, several at a time; a document that cannot be read stops nothing."""

    def act_or_tell(job_id: str) -> None:
        try:
            act(job_id)
        except (ValidationError, NotFound) as error:
            words = words_of(tenant, job_id)
            _log.error("a job's document cannot be read", **words, error=str(error))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(act_or_tell, job_ids))

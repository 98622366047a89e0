"""All parts of HandsOff, made from settings: the one place where they are put together."""

from dataclasses import dataclass

from redis import Redis

from workers.job_store import JobStore
from workers.orchestrator import Orchestrator, Policy
from workers.queue import RqTaskQueue
from workers.redis_client import PATIENT, connect, connect_transport
from workers.settings import ConnectionSettings, WorkerSettings
from workers.storage.base import ObjectStore
from workers.storage.open import open_store


@dataclass(frozen=True)
class Parts:
    """What a process works with.

    Attributes:
        redis: gives text, says `QueueUnavailable`.
        transport: the same server as RQ wants it.
    """

    store: ObjectStore
    redis: Redis
    transport: Redis
    jobs: JobStore
    queue: RqTaskQueue
    orchestrator: Orchestrator

    def close(self) -> None:
        """Give the connections back."""
        self.redis.close()
        self.transport.close()


def open_parts(settings: ConnectionSettings, retries: int = PATIENT) -> Parts:
    """Everything that settings speak of; nothing is sent yet.

    Args:
        settings: those of a worker say how patient to be with workers.
        retries: how often to try again when Redis does not answer; see `redis_client.connect`.

    Raises:
        ValueError: a URL in the settings is malformed; the message says which.
    """
    store = open_store(settings)
    redis = connect(settings.redis_url, retries)
    transport = connect_transport(settings.redis_url, retries)
    jobs, queue = JobStore(redis, store), RqTaskQueue(transport)
    orchestrator = Orchestrator(jobs, queue, store, policy=_policy(settings))
    return Parts(store, redis, transport, jobs, queue, orchestrator)


def _policy(settings: ConnectionSettings) -> Policy:
    if not isinstance(settings, WorkerSettings):
        return Policy()
    return Policy(settings.lease_seconds, settings.max_attempts, settings.retry_delay_seconds)

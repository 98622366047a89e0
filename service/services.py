"""Everything the routes need, put together in one place."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis
from starlette.concurrency import run_in_threadpool

from models.domains import Domain, read_domains
from service.access import AccessDocuments
from service.api_keys import without_secrets
from service.deletion import Deletion
from service.door import Door
from service.downloads import Downloads
from service.idempotency import Idempotency
from service.index import ResourceIndex
from service.items import Items
from service.metrics import Metrics
from service.quota import Quota
from service.quotas import Quotas
from service.rate import RateLimiter
from service.resources import Resources
from service.room import Room
from service.settings import ServiceSettings
from service.store_check import StoreCheck
from service.uploads import Uploads
from service.watch import JobWatch
from service.webhooks import Webhooks
from workers.clock import utc_now
from workers.job_store import JobStore
from workers.orchestrator import Orchestrator
from workers.parts import Parts, open_parts
from workers.receivers import Receivers
from workers.removal import Removal
from workers.storage.base import ObjectStore
from workers.tracing import Traces, open_traces

# A service must answer soon: it sits out a hiccup of Redis, not a restart.
_REDIS_RETRIES = 2
# Of an address only what the log shows too.
_CLEANERS = {"url.path": without_secrets, "url.query": lambda _: ""}


@dataclass(frozen=True)
class Services:
    """What the routes need; one per process."""

    settings: ServiceSettings
    store: ObjectStore
    redis: Redis
    jobs: JobStore
    orchestrator: Orchestrator
    resources: Resources
    uploads: Uploads
    downloads: Downloads
    items: Items
    domains: Mapping[str, Domain]
    room: Room
    store_check: StoreCheck
    idempotency: Idempotency
    watch: JobWatch
    metrics: Metrics
    webhooks: Webhooks
    deletion: Deletion
    door: Door
    rate: RateLimiter
    quotas: Quotas
    parts: Parts
    traces: Traces

    async def close(self) -> None:
        """Give the connections back."""
        await self.watch.close()
        await self.rate.close()
        await run_in_threadpool(self.traces.close)
        self.parts.close()


def connect_services(settings: ServiceSettings, parts: Parts | None = None) -> Services:
    """Build everything; nothing is sent to Redis or the store yet.

    Args:
        settings: what the service is told from outside.
        parts: what it shares with the workers, where that is not to be made from the settings.

    Raises:
        ValueError: a URL in the settings is malformed, or the file of domains is, or something
            that they ask for is not installed; the message says which.
    """
    parts = parts or open_parts(settings, _REDIS_RETRIES)
    store, room = parts.store, Room(parts.store, settings.reserve_bytes)
    index = ResourceIndex(parts.redis, store)
    removal = Removal(store, parts.jobs)
    traces = open_traces(settings.otel_endpoint, "service", _CLEANERS)
    resources = Resources(store, parts.jobs, parts.orchestrator, index, removal.was_removed, traces)
    return Services(
        settings=settings,
        store=store,
        redis=parts.redis,
        jobs=parts.jobs,
        orchestrator=parts.orchestrator,
        resources=resources,
        uploads=Uploads(store, room, settings.max_upload_bytes),
        downloads=Downloads(store, settings.url_seconds),
        items=Items(store, resources, parts.redis, room),
        domains=read_domains(settings.domains) if settings.domains else {},
        room=room,
        store_check=StoreCheck(store),
        idempotency=Idempotency(store, utc_now),
        watch=JobWatch(settings.redis_url, parts.jobs),
        metrics=Metrics(parts),
        webhooks=Webhooks(store, parts.redis, Receivers(settings.webhook_allow)),
        deletion=Deletion(removal),
        door=Door(settings.auth, AccessDocuments(store), _quota(settings)),
        rate=RateLimiter(settings.redis_url),
        quotas=Quotas(parts.redis, store),
        parts=parts,
        traces=traces,
    )


def _quota(settings: ServiceSettings) -> Quota:
    """What each tenant may use of whom nothing else is said."""
    return Quota(
        jobs=settings.quota_jobs,
        images=settings.quota_images,
        bytes=settings.quota_bytes,
        rpm=settings.quota_rpm,
    )

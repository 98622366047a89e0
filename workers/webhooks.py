"""Webhooks and their deliveries, as the bucket keeps them. Knows no Redis and sends nothing.

{tenant}/webhooks/{id}/webhook.json             who wants to hear of which events
{tenant}/webhooks/{id}/pending/{name}.json      a delivery that goes on, with its attempts so far
{tenant}/webhooks/{id}/deliveries/{name}.json   one that has ended: delivered, or given up

A delivery's name is when its event was, then its id. Both follow from the event, so an event that
is found twice makes one delivery.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from workers import ids, keys
from workers import redis_names as names
from workers.documents import tenants_of
from workers.errors import NotFound, ObjectNotFound
from workers.jobs import JobRecord, JobState
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

BACKOFF_SECONDS = (1.0, 10.0, 60.0, 600.0, 3600.0)
"""Between attempts; after the last of them a delivery is given up."""

SIGNATURE = "HandsOff-Signature"
_JOB_FIELDS = {"after", "origin", "progress", "schema_version"}  # Left out: internal, or over.


class Event(StrEnum):
    """What can be heard of, spelled as the API spells it."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    TEST = "webhook.test"


EVENTS = {
    JobState.SUCCEEDED: Event.SUCCEEDED,
    JobState.FAILED: Event.FAILED,
    JobState.CANCELLED: Event.CANCELLED,
}


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Webhook(BaseModel):
    """Who wants to hear of which events.

    Attributes:
        secret: signs what is sent; kept as it is, for a digest of it could not sign.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    id: str
    tenant: str
    url: str
    events: tuple[Event, ...]
    name: str = ""
    secret: str = Field(repr=False)
    created_at: datetime


class Attempt(BaseModel):
    """One try to deliver.

    Attributes:
        status: of the answer; None where there was none.
        error: why it does not count as delivered; None where it does.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    status: int | None = None
    milliseconds: int
    error: str | None = None


class Delivery(BaseModel):
    """An event on its way to one webhook.

    Attributes:
        id: the event's too: the same however often it is sent.
        created_at: when the event was.
        body: what is sent, to the byte.
        next_at: when the next attempt is due; None once it has ended.
        request_id: of the request that asked for the job, for the log.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    id: str
    tenant: str
    webhook_id: str
    type: Event
    job_id: str | None = None
    created_at: datetime
    body: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: tuple[Attempt, ...] = ()
    next_at: datetime | None = None
    request_id: str = ""

    @property
    def name(self) -> str:
        """When it was, then its id: names that sort by age and can be part of a key."""
        return names.by_age(self.id, self.created_at).replace(":", "-")

    def after(self, attempt: Attempt) -> "Delivery":
        """This delivery once an attempt has been made: over, or with the time of the next."""
        attempts = (*self.attempts, attempt)
        if attempt.error is None:
            return self._ended(DeliveryState.DELIVERED, attempts)
        if len(attempts) > len(BACKOFF_SECONDS):
            return self._ended(DeliveryState.GIVEN_UP, attempts)
        next_at = attempt.at + timedelta(seconds=BACKOFF_SECONDS[len(attempts) - 1])
        return self.model_copy(update={"attempts": attempts, "next_at": next_at})

    def _ended(self, state: DeliveryState, attempts: tuple[Attempt, ...]) -> "Delivery":
        return self.model_copy(update={"state": state, "attempts": attempts, "next_at": None})


def delivery_of(webhook: Webhook, record: JobRecord) -> Delivery | None:
    """The delivery of a job's end; None where the webhook does not want to hear of it."""
    event, ended_at = EVENTS.get(record.state), record.finished_at
    if event not in webhook.events or ended_at is None or ended_at < webhook.created_at:
        return None
    job = record.model_dump(mode="json", exclude=_JOB_FIELDS)
    resource = "/v1/{}/{}".format(*record.resource)
    job["links"] = {"self": f"/v1/jobs/{record.id}", "resource": resource}
    made = ids.derived_id("deliveries", webhook.tenant, f"{webhook.id} {record.id}")
    delivery = new_delivery(webhook, made, event, ended_at, job, record.id)
    return delivery.model_copy(update={"request_id": record.origin.request_id})


def new_delivery(
    webhook: Webhook,
    made: str,
    event: Event,
    at: datetime,
    data: dict[str, object],
    job_id: str | None = None,
) -> Delivery:
    """A delivery of which nothing has been sent.

    Args:
        webhook: who gets it.
        made: its id.
        event: what it tells of.
        at: when that was.
        data: what there is to say.
        job_id: the job it is about.
    """
    body = {"id": made, "type": str(event), "created": at.isoformat(), "data": data}
    return Delivery(
        id=made,
        tenant=webhook.tenant,
        webhook_id=webhook.id,
        type=event,
        job_id=job_id,
        created_at=at,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        next_at=at,
    )


def signature(secret: str, body: bytes, at: datetime) -> str:
    """What `SIGNATURE` says: the time in seconds of 1970, and HMAC-SHA256(secret, "t.body")."""
    seconds = int(at.timestamp())
    signed = f"{seconds}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class WebhookDocuments:
    """All webhooks in a bucket, and what became of their deliveries."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def add(self, webhook: Webhook) -> None:
        """Write a webhook down; one that is there stays."""
        document = canonical_json(webhook.model_dump(mode="json"))
        self._store.put_if_absent(_place(webhook.tenant, webhook.id, "webhook.json"), document)

    def get(self, tenant: str, webhook_id: str) -> Webhook:
        """A webhook.

        Raises:
            NotFound: there is none of that id.
        """
        missing = NotFound(f"there is no webhook {webhook_id[:80]!r}")
        try:
            document = self._store.get(_place(tenant, webhook_id, "webhook.json"))
        except (ObjectNotFound, ValueError) as error:
            raise missing from error
        return Webhook.model_validate_json(document)

    def of(self, tenant: str) -> list[Webhook]:
        """A tenant's webhooks, oldest first."""
        found = []
        for webhook_id in self._store.folders(f"{tenant}/webhooks/"):
            with suppress(NotFound):  # Deleted, and its log is still going.
                found.append(self.get(tenant, webhook_id))
        return sorted(found, key=lambda webhook: (webhook.created_at, webhook.id))

    def remove(self, webhook: Webhook) -> None:
        """Forget a webhook, then all that was sent to it."""
        self._store.delete(_place(webhook.tenant, webhook.id, "webhook.json"))
        for info in list(self._store.list(f"{webhook.tenant}/webhooks/{webhook.id}/")):
            self._store.delete(info.key)

    def sweep(self, tenant: str) -> None:
        """Remove the logs of webhooks that are no more, written as these were removed."""
        for webhook_id in list(self._store.folders(f"{tenant}/webhooks/")):
            if self._store.size(_place(tenant, webhook_id, "webhook.json")) is None:
                for info in list(self._store.list(_place(tenant, webhook_id, ""))):
                    self._store.delete(info.key)

    def tenants(self) -> Iterator[str]:
        """Everybody who has something in the bucket."""
        return tenants_of(self._store)

    def begin(self, delivery: Delivery) -> bool:
        """Write down that an event shall be delivered; False if that has come to an end."""
        if self._store.size(_ended(delivery)) is not None:
            return False
        self._store.put_if_absent(_pending(delivery), _document(delivery))
        return True

    def keep(self, delivery: Delivery) -> None:
        """Write down how far a delivery is; one that has ended counts from then on."""
        if delivery.state is DeliveryState.PENDING:
            self._store.put(_pending(delivery), _document(delivery), "application/json")
            return
        self._store.put(_ended(delivery), _document(delivery), "application/json")
        self._store.delete(_pending(delivery))

    def pending(self, tenant: str, webhook_id: str) -> set[str]:
        """The names of the deliveries that go on."""
        return set(self._names(tenant, webhook_id, "pending"))

    def ended(self, tenant: str, webhook_id: str) -> set[str]:
        """The names of the deliveries that have ended."""
        return set(self._names(tenant, webhook_id, "deliveries"))

    def delivery(self, tenant: str, webhook_id: str, name: str) -> Delivery | None:
        """A delivery as it stands, None if it is not there."""
        for folder in ("deliveries", "pending"):  # In this order: it moves the other way.
            with suppress(ObjectNotFound):
                document = self._store.get(_place(tenant, webhook_id, f"{folder}/{name}.json"))
                return Delivery.model_validate_json(document)
        return None

    def _names(self, tenant: str, webhook_id: str, folder: str) -> Iterator[str]:
        prefix = _place(tenant, webhook_id, f"{folder}/")
        for info in self._store.list(prefix):
            yield info.key.removeprefix(prefix).removesuffix(".json")


def _place(tenant: str, webhook_id: str, path: str) -> str:
    return keys.inside(tenant, "webhooks", webhook_id, path)


def _pending(delivery: Delivery) -> str:
    return _place(delivery.tenant, delivery.webhook_id, f"pending/{delivery.name}.json")


def _ended(delivery: Delivery) -> str:
    return _place(delivery.tenant, delivery.webhook_id, f"deliveries/{delivery.name}.json")


def _document(delivery: Delivery) -> bytes:
    return canonical_json(delivery.model_dump(mode="json"))

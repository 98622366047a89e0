"""Webhooks as the API sees them: made, listed, tested, deleted; and what became of deliveries.

Nothing is sent from here: the reaper's process does that (`workers.deliveries`).
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

from redis import Redis

from service.errors import FieldError, ReceiverNotAllowed, TooManyWebhooks
from service.pagination import decode_cursor, encode_cursor
from service.webhook_schemas import WebhookRequest
from workers.deliveries import schedule
from workers.errors import NotFound
from workers.receivers import ReceiverRefused, Receivers
from workers.storage.base import ObjectStore
from workers.webhooks import Delivery, Event, Webhook, WebhookDocuments, new_delivery

MOST = 20
"""Webhooks that a tenant may have."""

_SECRET_BYTES = 32


class Webhooks:
    """All webhooks.

    Args:
        store: the bucket.
        redis: tells the reaper's process what is due.
        receivers: judges where something may be sent.
    """

    def __init__(self, store: ObjectStore, redis: Redis, receivers: Receivers) -> None:
        self._documents = WebhookDocuments(store)
        self._redis = redis
        self._receivers = receivers

    def judge(self, tenant: str, request: WebhookRequest) -> None:
        """Refuse a webhook that cannot be.

        Raises:
            ReceiverNotAllowed: nothing may be sent to its URL.
            TooManyWebhooks: the tenant has as many as it may.
        """
        try:
            self._receivers.find(request.url)
        except ReceiverRefused as error:
            raise ReceiverNotAllowed(
                f"url: {error}", "name an https:// address", [FieldError("/url", str(error))]
            ) from error
        if len(self.list(tenant)) >= MOST:
            raise TooManyWebhooks(f"there are {MOST} webhooks already", "delete one of them")

    def create(self, tenant: str, made: str, request: WebhookRequest, at: datetime) -> Webhook:
        """Make a webhook; one that is there already stays as it is."""
        webhook = Webhook(
            id=made,
            tenant=tenant,
            url=request.url,
            events=tuple(Event(event) for event in request.events),
            name=request.name,
            secret=f"whsec_{secrets.token_urlsafe(_SECRET_BYTES)}",
            created_at=at,
        )
        self._documents.add(webhook)
        return self._documents.get(tenant, made)

    def get(self, tenant: str, webhook_id: str) -> Webhook:
        """A webhook.

        Raises:
            NotFound: there is none of that id.
        """
        return self._documents.get(tenant, webhook_id)

    def find(self, tenant: str, webhook_id: str) -> Webhook | None:
        """The same, or None."""
        try:
            return self.get(tenant, webhook_id)
        except NotFound:
            return None

    def list(self, tenant: str) -> Sequence[Webhook]:
        """A tenant's webhooks, newest first."""
        return self._documents.of(tenant)[::-1]

    def delete(self, tenant: str, webhook_id: str) -> None:
        """Forget a webhook and all that was sent to it.

        Raises:
            NotFound: there is none of that id.
        """
        self._documents.remove(self.get(tenant, webhook_id))

    def test(self, webhook: Webhook, made: str, at: datetime) -> Delivery:
        """Let a made-up event be delivered; doing it twice is harmless."""
        data: dict[str, object] = {"webhook": webhook.id, "message": "this is a test"}
        delivery = new_delivery(webhook, made, Event.TEST, at, data)
        if self._documents.begin(delivery):
            schedule(self._redis, [delivery])
        return self.delivery(webhook, delivery.name) or delivery

    def delivery(self, webhook: Webhook, name: str) -> Delivery | None:
        """A delivery as it stands, by its name."""
        return self._documents.delivery(webhook.tenant, webhook.id, name)

    def deliveries(
        self, webhook: Webhook, limit: int, after: str | None
    ) -> tuple[Sequence[Delivery], str | None]:
        """The next `limit` deliveries, newest first, and a cursor behind the last of them.

        Raises:
            Unprocessable: `after` is no cursor of ours.
        """
        tenant = webhook.tenant
        # In this order: a delivery moves from the first to the second.
        names = self._documents.pending(tenant, webhook.id)
        names |= self._documents.ended(tenant, webhook.id)
        behind = decode_cursor(after) if after is not None else None
        left = [n for n in sorted(names, reverse=True) if behind is None or n < behind]
        page = left[:limit]
        found = [self.delivery(webhook, name) for name in page]
        cursor = encode_cursor(page[-1]) if len(left) > limit else None
        return [delivery for delivery in found if delivery is not None], cursor

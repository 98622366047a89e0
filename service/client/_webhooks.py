"""Webhooks: who is told how jobs end; and for those who are told, whether it was us."""

import hashlib
import hmac
import re
import time
from collections.abc import Iterator, Sequence

from service.client._models import Delivery, Webhook
from service.client._pages import pages
from service.client._transport import Transport

_PATH = "/v1/webhooks"
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


class Webhooks:
    """A service's webhooks."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        url: str,
        events: Sequence[str] | None = None,
        *,
        name: str = "",
        idempotency_key: str | None = None,
    ) -> Webhook:
        """Have an address told how jobs end; keep the `secret`, it is not shown again.

        Args:
            url: https, and public unless the service was told otherwise.
            events: of `job.succeeded`, `job.failed` and `job.cancelled`; all when left out.
            name: free text.
            idempotency_key: made up when left out.
        """
        given = {"events": list(events)} if events is not None else {}
        body = {"url": url, "name": name, **given}
        return Webhook.model_validate(self._transport.create(_PATH, idempotency_key, json=body))

    def get(self, webhook_id: str) -> Webhook:
        """A webhook, without its secret."""
        return Webhook.model_validate(self._transport.get(f"{_PATH}/{webhook_id}").json())

    def list(self) -> Iterator[Webhook]:
        """All webhooks, newest first."""
        return pages(self._transport, _PATH, Webhook, None, {})

    def delete(self, webhook_id: str) -> None:
        """Have it told no more."""
        self._transport.send("DELETE", f"{_PATH}/{webhook_id}")

    def test(self, webhook_id: str) -> Delivery:
        """Have a made-up event delivered; `deliveries` says what became of it."""
        return Delivery.model_validate(self._transport.create(f"{_PATH}/{webhook_id}/test"))

    def deliveries(self, webhook_id: str, limit: int | None = None) -> Iterator[Delivery]:
        """What was sent, newest first, at most `limit`."""
        return pages(self._transport, f"{_PATH}/{webhook_id}/deliveries", Delivery, limit, {})


def is_signed(
    secret: str,
    signature: str,
    body: bytes,
    tolerance_seconds: float = 300,
    now: float | None = None,
) -> bool:
    """Whether a request to a webhook came from the service that has its secret, just now.

    Args:
        secret: as `Webhooks.create` gave it.
        signature: the request's header `HandsOff-Signature`.
        body: the request's body, as it came.
        tolerance_seconds: how old it may be, or how far ahead the service's clock.
        now: seconds of 1970; by the machine's clock when left out.
    """
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        return False
    at, signed = match.groups()
    text = f"{at}.".encode() + body
    expected = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    age = abs((time.time() if now is None else now) - int(at))
    return hmac.compare_digest(expected, signed) and age <= tolerance_seconds

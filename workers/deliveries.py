"""Tells webhooks how jobs ended: at least once each, with the same id however often.

job ends ──► handsoff:ended ──► pending/{name}.json, handsoff:deliveries ──► POST ──► deliveries/
 (same script as its end)      (the truth, and when it is due)             └──► later, or given up

A Redis that lost everything is compared with the bucket again: pending deliveries are due at once,
and jobs that ended in the last week without one get theirs. Several processes may do this at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
import structlog
from pydantic import ValidationError
from redis import Redis

from workers import measures
from workers import redis_names as names
from workers.clock import Clock, utc_now
from workers.errors import NotFound
from workers.job_store import JobStore
from workers.jobs import JobRecord
from workers.measures import Measures
from workers.posting import Poster
from workers.receivers import ReceiverRefused, Receivers
from workers.retention_rules import RECONCILED_DAYS
from workers.webhooks import (
    SIGNATURE,
    Attempt,
    Delivery,
    DeliveryState,
    Webhook,
    WebhookDocuments,
    delivery_of,
    signature,
)

_AT_ONCE = 32
_ENDED_AT_ONCE = 100
_CLAIM_SECONDS = 60.0  # Who has not said by then what became of an attempt is taken for dead.
_log = structlog.get_logger(__name__)

# KEYS: deliveries. ARGV: now, until when those that are due now are ours, how many at most.
_CLAIM = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return due
"""


def schedule(redis: Redis, deliveries: Iterable[Delivery]) -> None:
    """Note when deliveries are due; one that is noted stays as it is."""
    due = {_member(each): _milliseconds(each.next_at or each.created_at) for each in deliveries}
    if due:
        redis.zadd(names.DELIVERIES, due, nx=True)


class Deliverer:
    """Makes deliveries of the ends of jobs, and sends those that are due.

    Args:
        jobs: the records, and Redis.
        documents: what the bucket knows of webhooks.
        receivers: judges where something may be sent.
        poster: sends.
        clock: the time.
    """

    def __init__(
        self,
        jobs: JobStore,
        documents: WebhookDocuments,
        receivers: Receivers,
        poster: Poster | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._jobs = jobs
        self._redis = jobs.redis
        self._documents = documents
        self._receivers = receivers
        self._poster = poster or Poster()
        self._clock = clock
        self._measures = Measures(jobs.redis)
        self._claim = jobs.redis.register_script(_CLAIM)

    def round(self) -> None:
        """Do all that is due.

        Raises:
            WorkersError, RedisError: Redis or the bucket cannot be reached; nothing is lost.
        """
        self._reconcile_if_needed()
        while self._take_ended():
            pass
        while self._send_due():
            pass

    def _take_ended(self) -> bool:
        """Make the deliveries of jobs that have ended; whether there were any."""
        members = [str(m) for m in self._redis.lrange(names.ENDED, 0, _ENDED_AT_ONCE - 1)]
        webhooks: dict[str, list[Webhook]] = {}
        for member in members:
            tenant, _, job_id = member.partition("/")
            if tenant not in webhooks:
                webhooks[tenant] = self._documents.of(tenant)
            try:
                record = self._jobs.get(tenant, job_id)
            except (NotFound, ValidationError):  # Deleted in the meantime.
                pass
            else:
                self._measures.job_ended(record)
                self._begin(record, webhooks[tenant])
            self._redis.lrem(names.ENDED, 1, member)
        return bool(members)

    def _begin(self, record: JobRecord, webhooks: Sequence[Webhook]) -> None:
        made = (delivery_of(webhook, record) for webhook in webhooks)
        wanted = [delivery for delivery in made if delivery is not None]
        schedule(self._redis, [each for each in wanted if self._documents.begin(each)])

    def _reconcile_if_needed(self) -> None:
        """Compare with the bucket, once in each life of Redis and after the jobs were."""
        life = self._redis.get(names.REBUILT)
        if life is None or self._redis.get(names.RECONCILED) == life:
            return
        for tenant in self._documents.tenants():
            if webhooks := self._documents.of(tenant):
                self._reconcile(tenant, webhooks)
        self._redis.set(names.RECONCILED, life)

    def _reconcile(self, tenant: str, webhooks: Sequence[Webhook]) -> None:
        known = {w.id: self._documents.ended(tenant, w.id) for w in webhooks}
        now = _milliseconds(self._clock())
        for webhook in webhooks:
            pending = self._documents.pending(tenant, webhook.id)
            known[webhook.id] |= pending
            due: dict[Any, Any] = {f"{tenant}/{webhook.id}/{name}": now for name in pending}
            if due:
                self._redis.zadd(names.DELIVERIES, due, nx=True)
        since = self._clock() - timedelta(days=RECONCILED_DAYS)
        for _, record in self._jobs.records.by_age(tenant, None, _ENDED_AT_ONCE):
            if record.finished_at is not None and record.finished_at > since:
                self._begin(record, [w for w in webhooks if not _is_known(w, record, known[w.id])])

    def _send_due(self) -> bool:
        """Send what is due, several at a time; whether there was any."""
        now = _milliseconds(self._clock())
        until = now + round(_CLAIM_SECONDS * 1000)
        members = self._claim(keys=[names.DELIVERIES], args=[now, until, _AT_ONCE])
        due = [found for member in members if (found := self._find(str(member)))]
        for delivery, attempt in anyio.run(self._attempts, due) if due else ():
            self._note(delivery.after(attempt), attempt)
        return bool(members)

    def _find(self, member: str) -> tuple[Webhook, Delivery] | None:
        """What a member of the schedule stands for; one that stands for nothing is dropped."""
        tenant, webhook_id, name = member.split("/")
        try:
            webhook = self._documents.get(tenant, webhook_id)
            delivery = self._documents.delivery(tenant, webhook_id, name)
        except (NotFound, ValidationError) as error:
            _log.info("delivery dropped", tenant=tenant, delivery=member, why=str(error))
            delivery = None
        if delivery is not None and delivery.state is DeliveryState.PENDING:
            return webhook, delivery
        self._redis.zrem(names.DELIVERIES, member)
        return None

    async def _attempts(
        self, due: Sequence[tuple[Webhook, Delivery]]
    ) -> list[tuple[Delivery, Attempt]]:
        made: list[tuple[Delivery, Attempt]] = []

        async def attempt(webhook: Webhook, delivery: Delivery) -> None:
            made.append((delivery, await self._attempt(webhook, delivery)))

        async with anyio.create_task_group() as group:
            for webhook, delivery in due:
                group.start_soon(attempt, webhook, delivery)
        return made

    async def _attempt(self, webhook: Webhook, delivery: Delivery) -> Attempt:
        at, body = self._clock(), delivery.body.encode()
        try:
            receiver = await anyio.to_thread.run_sync(self._receivers.find, webhook.url)
        except ReceiverRefused as error:
            return Attempt(at=at, milliseconds=0, error=str(error))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "handsoff-webhooks",
            SIGNATURE: signature(webhook.secret, body, at),
        }
        sent = await self._poster.send(receiver, body, headers)
        return Attempt(at=at, status=sent.status, milliseconds=sent.milliseconds, error=sent.error)

    def _note(self, delivery: Delivery, attempt: Attempt) -> None:
        """Write down what became of an attempt, then when the next is due, if there is one."""
        failed = delivery.state is DeliveryState.PENDING
        self._measures.add({(measures.DELIVERIES, "failed" if failed else delivery.state): 1})
        _log.info(
            "delivery attempted",
            delivery=delivery.id,
            webhook=delivery.webhook_id,
            tenant=delivery.tenant,
            job=delivery.job_id,
            request_id=delivery.request_id or None,
            status=attempt.status,
            error=attempt.error,
        )
        try:
            self._documents.get(delivery.tenant, delivery.webhook_id)
        except NotFound:  # Deleted while we sent.
            self._redis.zrem(names.DELIVERIES, _member(delivery))
            return
        self._documents.keep(delivery)
        if delivery.next_at is None:
            self._redis.zrem(names.DELIVERIES, _member(delivery))
        else:
            self._redis.zadd(names.DELIVERIES, {_member(delivery): _milliseconds(delivery.next_at)})


def _is_known(webhook: Webhook, record: JobRecord, known: set[str]) -> bool:
    delivery = delivery_of(webhook, record)
    return delivery is None or delivery.name in known


def _member(delivery: Delivery) -> str:
    return f"{delivery.tenant}/{delivery.webhook_id}/{delivery.name}"


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)

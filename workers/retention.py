"""What is kept for how long, and the hourly round that removes the rest.

Rules are `generations=30d uploads=1d jobs=90d`, by collection:

uploads             since they were announced; one that a job still reads stays
a collection        since its job ended; one that something ready or unfinished is made of stays
jobs                since they ended; with them goes what failed or was cancelled, nothing ready
deliveries          of webhooks, since their event

What no rule names is kept. A tenant's rules come before those of the setting.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from workers import keys
from workers import redis_names as names
from workers.clock import Clock, utc_now
from workers.documents import tenants_of
from workers.errors import ObjectNotFound
from workers.job_store import JobStore
from workers.jobs import JobRecord
from workers.removal import Removal, Thing
from workers.retention_rules import DELIVERIES, JOBS, UPLOADS, Rules, parse_rules, spelled
from workers.storage.base import ObjectInfo, ObjectStore
from workers.tasks.context import canonical_json
from workers.trail import words_of
from workers.webhooks import WebhookDocuments

EVERY_SECONDS = 3600

_PAGE = 200
_UPLOAD = f"{keys.PREFIX[UPLOADS]}_"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Doomed:
    """Something that a rule wants to be gone.

    Attributes:
        rule: which one.
        place: what it is, e.g. `generations/gnn_01…`.
        bytes: of all its objects.
        since: what its age counts from.
    """

    tenant: str
    rule: str
    place: str
    bytes: int
    since: datetime


class Retention:
    """Finds what no rule keeps, and removes it.

    Args:
        store: the bucket.
        jobs: the job records.
        defaults: the rules of tenants that have no others.
        clock: the time.
    """

    def __init__(
        self, store: ObjectStore, jobs: JobStore, defaults: Rules, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._defaults = defaults
        self._clock = clock
        self._removal = Removal(store, jobs, clock)
        self._webhooks = WebhookDocuments(store)

    def rules(self, tenant: str) -> Rules:
        """A tenant's rules: its own, and the setting's for what it says nothing of."""
        return {**self._defaults, **self.own_rules(tenant)}

    def own_rules(self, tenant: str) -> Rules:
        """The rules that a tenant has of its own."""
        try:
            document = json.loads(self._store.get(keys.retention(tenant)))
        except ObjectNotFound:
            return {}
        return parse_rules(" ".join(f"{what}={age}" for what, age in document["rules"].items()))

    def set_rules(self, tenant: str, rules: Rules) -> None:
        """Give a tenant rules of its own, beside or in place of those it has."""
        merged = spelled({**self.own_rules(tenant), **rules})
        document = canonical_json({"schema_version": 1, "rules": merged})
        self._store.put(keys.retention(tenant), document, "application/json")

    def tenants(self) -> list[str]:
        """Everybody who has something in the bucket."""
        return list(tenants_of(self._store))

    def hourly(self) -> None:
        """Apply all rules, unless some process has done so within the hour."""
        redis = self._jobs.redis
        if redis.get(names.REBUILT) is None:  # Jobs are still being found.
            return
        if redis.set(names.RETAINED, 1, nx=True, ex=EVERY_SECONDS):
            for tenant in self.tenants():
                self.apply(tenant)

    def apply(self, tenant: str, dry: bool = False) -> list[Doomed]:
        """Remove what no rule keeps, and finish what was left half deleted.

        Args:
            tenant: whose.
            dry: only find it.
        """
        if not dry:
            self._removal.sweep(tenant)
            self._webhooks.sweep(tenant)
        doomed = []
        for found, objects in self._doomed(tenant, self.rules(tenant)):
            if not dry:
                _log.info("removing", **_words(found, objects), rule=found.rule)
                self._remove(tenant, objects)
            doomed.append(found)
        return doomed

    def _remove(self, tenant: str, what: "Thing | JobRecord | ObjectInfo") -> None:
        if isinstance(what, Thing):
            self._removal.remove([what])
        elif isinstance(what, JobRecord):
            self._jobs.remove(tenant, what.id)
        else:
            self._store.delete(what.key)

    def _doomed(
        self, tenant: str, rules: Rules
    ) -> Iterator[tuple[Doomed, "Thing | JobRecord | ObjectInfo"]]:
        now = self._clock()
        before = {what: now - kept for what, kept in rules.items() if kept is not None}
        things = self._removal.things(tenant) if before.keys() - {DELIVERIES} else []
        uploads = self._removal.uploads(tenant) if UPLOADS in before else []
        gone: set[str] = set()
        needed: set[str] = set()  # What something that stays is made of.
        for thing in (*things, *uploads):  # What is made of others comes before those.
            if thing.id not in needed and (rule := _rule_against(thing, before)):
                gone.add(thing.id)
                yield self._told(thing, rule), thing
            elif thing.is_busy:
                needed |= thing.parents
            elif thing.is_ready:  # It has read its upload.
                needed |= {each for each in thing.parents if not each.startswith(_UPLOAD)}
        if JOBS in before:
            yield from self._old_jobs(tenant, before[JOBS], things, gone)
        if DELIVERIES in before:
            yield from self._old_deliveries(tenant, before[DELIVERIES])

    def _told(self, thing: Thing, rule: str) -> Doomed:
        since = thing.since or thing.created_at
        return Doomed(thing.tenant, rule, thing.place, self._removal.size(thing), since)

    def _old_jobs(
        self, tenant: str, before: datetime, things: Sequence[Thing], gone: set[str]
    ) -> Iterator[tuple[Doomed, JobRecord]]:
        """Jobs of what is ready, or is no more; others stay with what they failed to make."""
        made = {thing.job_id: thing for thing in things if thing.id not in gone}
        went = {thing.job_id for thing in things if thing.id in gone}
        for _, record in list(self._jobs.records.by_age(tenant, None, _PAGE)):
            thing = made.get(record.id)
            is_over = thing is None or thing.is_ready
            ended_at = record.finished_at
            if record.id in went or not is_over or ended_at is None or ended_at >= before:
                continue
            if self._jobs.records.dependents(tenant, record.id):
                continue
            size = sum(info.size for info in self._store.list(keys.job(tenant, record.id, "")))
            yield Doomed(tenant, JOBS, f"jobs/{record.id}", size, ended_at), record

    def _old_deliveries(self, tenant: str, before: datetime) -> Iterator[tuple[Doomed, ObjectInfo]]:
        for webhook_id in self._store.folders(f"{tenant}/webhooks/"):
            prefix = keys.inside(tenant, "webhooks", webhook_id, "deliveries/")
            for info in list(self._store.list(prefix)):
                name = info.key.removeprefix(prefix)
                with suppress(ValueError):
                    at = datetime.fromtimestamp(int(name[:16]) / 1_000_000, before.tzinfo)
                    if at < before:
                        place = f"webhooks/{webhook_id}/deliveries/{name.removesuffix('.json')}"
                        yield Doomed(tenant, DELIVERIES, place, info.size, at), info


def _words(doomed: Doomed, what: "Thing | JobRecord | ObjectInfo") -> dict[str, str]:
    """What a line says of something that is removed; of a job also whose request made it."""
    words = words_of(doomed.tenant, what.id, what) if isinstance(what, JobRecord) else {}
    return {"tenant": doomed.tenant, **words, "what": doomed.place}


def _rule_against(thing: Thing, before: Mapping[str, datetime]) -> str | None:
    """The rule that wants a thing to be gone that nothing needs; None if it stays."""
    since = thing.since or thing.created_at
    is_open = thing.job_id is None and thing.collection != UPLOADS
    if thing.is_busy or is_open:
        return None
    if thing.collection in before and since < before[thing.collection]:
        return thing.collection
    return JOBS if not thing.is_ready and JOBS in before and since < before[JOBS] else None

"""The door: lets callers in whose key counts, or everybody while there are no keys.

A door is open or guarded. Guarded, every request needs a key, whoever sends it from wherever, and
the key says for which tenant it acts. Open, everybody who gets here is the tenant `default`; so
an open service listens to this machine alone unless somebody has said otherwise.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import anyio
import anyio.to_thread
import structlog

from service.access import Access, AccessDocuments
from service.api_keys import ApiKey, Scope, parse
from service.errors import KeyInvalid, KeyMissing, ScopeMissing
from service.quota import NO_LIMITS, Quota
from workers.clock import Clock, utc_now
from workers.errors import StorageUnavailable

DEFAULT_TENANT = "default"
FRESH_SECONDS = 5.0
LIMIT_SECONDS = 10.0
"""How long what is known of keys may be used: unasked, and where the bucket does not answer."""

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_CHALLENGE = 'Bearer realm="handsoff"'
_REMEDY = "send the header `Authorization: Bearer ho_…`; `handsoff keys create` makes a key"
_log = structlog.get_logger(__name__)


class AuthMode(StrEnum):
    """When keys are asked for: AUTO as soon as there is one, REQUIRED always, OFF never."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Attributes:
        tenant: for whom.
        quota: how much that tenant may use; nothing in it is None.
        key_id: the public id of the key; None at an open door.
    """

    tenant: str
    quota: Quota
    key_id: str | None = None


class Door:
    """Lets callers in. What it knows of keys is at most `LIMIT_SECONDS` old.

    Belongs to one event loop, but for `is_guarded`.

    Args:
        mode: when keys are asked for.
        documents: the keys and quotas.
        quota: of tenants of whom nothing else was said.
        clock: the time, in UTC.
        seconds: a clock that only goes forward.
    """

    def __init__(
        self,
        mode: AuthMode,
        documents: AccessDocuments,
        quota: Quota,
        clock: Clock = utc_now,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mode = mode
        self._documents = documents
        self._quota = quota.over(NO_LIMITS)
        self._clock = clock
        self._seconds = seconds
        self._known: Access | None = None
        self._known_at = self._failed_at = -LIMIT_SECONDS
        self._lock = anyio.Lock()
        # A thread of its own: a bucket that hangs must not take those of the routes.
        self._threads = anyio.CapacityLimiter(1)

    def is_guarded(self) -> bool:
        """Whether requests need a key now; so it is, where the bucket does not say."""
        if self._mode is not AuthMode.AUTO:
            return self._mode is AuthMode.REQUIRED
        try:
            return self._documents.load().has_keys
        except StorageUnavailable:
            return True

    async def look(self) -> None:
        """Find out, at the start, whether there are keys, and say so; without an answer go on."""
        if self._mode is AuthMode.OFF:
            _log.warning("API keys are not asked for, whoever may come", auth=str(self._mode))
            return
        with suppress(StorageUnavailable):
            await self._access()

    async def admit(self, sent: Sequence[str], wanted: Scope) -> Caller:
        """Who is asking.

        Args:
            sent: the request's Authorization headers.
            wanted: what the request needs a key to be good for.

        Raises:
            KeyMissing, KeyInvalid, ScopeMissing: nobody who may.
            StorageUnavailable: the bucket has not said for too long who may.
        """
        if self._mode is AuthMode.OFF:
            return Caller(DEFAULT_TENANT, NO_LIMITS)
        access = await self._access()
        if self._mode is AuthMode.AUTO and not access.has_keys:
            quota = access.quotas.get(DEFAULT_TENANT, Quota())
            return Caller(DEFAULT_TENANT, quota.over(NO_LIMITS))
        key = self._key(access, sent)
        if not key.scope.covers(wanted):
            raise ScopeMissing(
                f"key {key.id} is good for {key.scope}, and this needs {wanted}",
                f"use a key that was made with --scope {wanted}",
                headers={"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope"'},
            )
        quota = access.quotas.get(key.tenant, Quota())
        return Caller(key.tenant, quota.over(self._quota), key.id)

    def _key(self, access: Access, sent: Sequence[str]) -> ApiKey:
        if not sent:
            raise KeyMissing(
                "this service wants an API key", _REMEDY, headers={"WWW-Authenticate": _CHALLENGE}
            )
        scheme, _, words = sent[0].partition(" ")
        parts = parse(words.strip()) if scheme.lower() == "bearer" and len(sent) == 1 else None
        if parts is None:
            raise _invalid("the Authorization header holds no API key of this service")
        key_id, secret = parts
        key, now = access.keys.get(key_id), self._clock()
        if key is None or not key.knows(secret, now):
            raise _invalid("the API key is not known here")  # Nor whether its id is.
        if fault := key.fault(now):
            raise _invalid(f"key {key_id} {fault}")
        return key

    async def _access(self) -> Access:
        """What is known of keys, asked anew where it is no longer fresh."""
        if self._known is not None and (self._is_younger(FRESH_SECONDS) or self._may_wait()):
            return self._known
        async with self._lock:
            if self._known is None or not self._is_younger(FRESH_SECONDS):
                await self._ask()
            assert self._known is not None
            return self._known

    def _may_wait(self) -> bool:
        """Whether what is known will do for now: somebody is asking, or was not answered just now.

        That there are no keys may be believed for longer: a bucket that does not answer us hardly
        takes a first key from somebody else, and without it there is nothing to get from us.
        """
        is_usable = self._is_younger(LIMIT_SECONDS) or not (self._known and self._known.has_keys)
        return is_usable and (self._lock.locked() or self._has_just_failed())

    async def _ask(self) -> None:
        if self._has_just_failed():
            raise StorageUnavailable("the bucket does not say who may ask")
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                found = await anyio.to_thread.run_sync(
                    self._documents.load, abandon_on_cancel=True, limiter=self._threads
                )
        except (StorageUnavailable, TimeoutError) as error:
            self._failed_at = self._seconds()
            if self._known is None or not self._may_wait():
                raise StorageUnavailable(f"the bucket does not say who may ask: {error}") from error
        else:
            self._tell(found)
            self._known, self._known_at = found, self._seconds()

    def _tell(self, found: Access) -> None:
        """Say what is asked of callers, at first and when that changes."""
        if self._known is not None and self._known.has_keys == found.has_keys:
            return
        if found.has_keys or self._mode is AuthMode.REQUIRED:
            _log.info("every request needs an API key", keys=len(found.keys))
        else:
            _log.warning(
                "there are no API keys: everybody who reaches this service is one tenant",
                tenant=DEFAULT_TENANT,
                remedy="handsoff keys create",
            )

    def _is_younger(self, seconds: float) -> bool:
        return self._seconds() - self._known_at < seconds

    def _has_just_failed(self) -> bool:
        return self._seconds() - self._failed_at < _PAUSE_SECONDS


def _invalid(detail: str) -> KeyInvalid:
    challenge = f'{_CHALLENGE}, error="invalid_token"'
    return KeyInvalid(detail, _REMEDY, headers={"WWW-Authenticate": challenge})

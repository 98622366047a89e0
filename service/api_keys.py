"""API keys: what one is, how it is made, and whether it is the right one. Pure: no store, no HTTP.

    ho_k3v7w2q5n6ab_…52 letters and digits…
    │  │            └ the secret, known to its owner alone
    │  └ the public id, which lists, logs and `handsoff keys` show
    └ by which people and scanners of repositories recognise it

Kept is the secret's SHA-256. A slow hash protects words that people choose, for it makes guessing
them dear; 256 random bits cannot be guessed at any speed, and a key is looked at in each request.
"""

import hmac
import re
import secrets
from base64 import b32encode
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What a tenant may be called: its name begins keys in the bucket and in Redis."""

_ID_BYTES, _ID_LENGTH, _SECRET_BYTES = 8, 12, 32
_TOKEN = re.compile(r"ho_([a-z2-7]{12})_([a-z2-7]{52})")
_ANYWHERE = re.compile(r"ho_[a-z2-7]{12}_[a-z2-7]+")


class Scope(StrEnum):
    """What a key is good for; each includes those before it.

    READ is to look at what there is, WRITE to make, cancel and delete, ADMIN to look after the
    service itself (`/metrics`).
    """

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def covers(self, wanted: "Scope") -> bool:
        """Whether a key of this scope is good for what wants that one."""
        order = list(Scope)
        return order.index(self) >= order.index(wanted)


class Secret(BaseModel):
    """A secret as it is kept.

    Attributes:
        digest: its SHA-256, in hexadecimal.
        valid_until: from when on it no longer counts; None while it has no successor.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    valid_until: datetime | None = None


class ApiKey(BaseModel):
    """A key as it is kept; a change makes a new one.

    Attributes:
        id: the public part.
        tenant: whom it acts for.
        scope: what it is good for.
        name: what its owner calls it.
        expires_at: from when on it no longer counts; None for never.
        revoked_at: when it was revoked.
        secrets: the newest first; several for a while after a rotation.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    id: str
    tenant: str
    scope: Scope
    name: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    secrets: tuple[Secret, ...] = Field(repr=False)

    def knows(self, secret: str, at: datetime) -> bool:
        """Whether this is the key's secret; the time it takes does not tell how wrong it is."""
        digest = _digest(secret)
        matching = [hmac.compare_digest(digest, kept.digest) for kept in self.secrets]
        is_over = [kept.valid_until is not None and kept.valid_until <= at for kept in self.secrets]
        return any(m and not over for m, over in zip(matching, is_over, strict=True))

    def fault(self, at: datetime) -> str | None:
        """Why the key does not count any more, for those who know its secret; None if it does."""
        if self.revoked_at is not None:
            return f"was revoked on {self.revoked_at:%Y-%m-%d %H:%M} UTC"
        if self.expires_at is not None and self.expires_at <= at:
            return f"expired on {self.expires_at:%Y-%m-%d %H:%M} UTC"
        return None

    def state(self, at: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        fault = self.fault(at)
        return "valid" if fault is None else "revoked" if self.revoked_at else "expired"

    def revoked(self, at: datetime) -> Self:
        """The same, of no more use; once revoked it stays as it is."""
        return self if self.revoked_at else self.model_copy(update={"revoked_at": at})

    def rotated(self, digest: str, at: datetime, grace: timedelta) -> Self:
        """The same with another secret; those it has count for `grace` longer, at the most."""
        end = at + grace
        old = [
            kept.model_copy(update={"valid_until": min(kept.valid_until or end, end)})
            for kept in self.secrets
            if kept.valid_until is None or kept.valid_until > at
        ]
        return self.model_copy(update={"secrets": (Secret(digest=digest), *old)})


def new_id() -> str:
    """A public id that no key has."""
    return _word(_ID_BYTES)[:_ID_LENGTH]


def new_secret() -> tuple[str, str]:
    """A secret of 256 random bits, and the digest that is kept of it."""
    secret = _word(_SECRET_BYTES)
    return secret, _digest(secret)


def token(key_id: str, secret: str) -> str:
    """A key as its owner keeps it."""
    return f"ho_{key_id}_{secret}"


def parse(text: str) -> tuple[str, str] | None:
    """The public id and the secret of a key; None if it is none."""
    match = _TOKEN.fullmatch(text)
    return (match[1], match[2]) if match else None


def without_secrets(text: str) -> str:
    """A text for the log: keys that somebody put where none belongs lose all but their id."""
    return _ANYWHERE.sub(lambda match: f"{match[0][:15]}_…", text)


def _word(count: int) -> str:
    """So many random bytes, in letters and digits that a double click selects."""
    return b32encode(secrets.token_bytes(count)).decode().rstrip("=").lower()


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()

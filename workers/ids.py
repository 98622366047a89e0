"""Ids of resources and jobs: a prefix that tells the kind, then 26 characters. Torch-free.

`gen_01k9z…`: 48 bits of milliseconds and 80 random bits in Crockford's base 32 (a ULID in lower
case), so that ids sort by age and cannot be guessed. A derived id has 128 bits of a digest in
their place: the same request always gets the same id, and no other tenant can name it.
"""

import hashlib
import secrets
from datetime import datetime

from workers import keys
from workers.clock import utc_now

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26
_RANDOM_BITS = 80


def new_id(collection: str, at: datetime | None = None) -> str:
    """An id that nothing has, sorted after those that were made a millisecond or more before.

    Args:
        collection: a key of `workers.keys.PREFIX`, e.g. `generators`.
        at: when it is made; now by default.
    """
    milliseconds = int((at or utc_now()).timestamp() * 1000)
    return _id(collection, milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))


def derived_id(collection: str, tenant: str, idempotency_key: str) -> str:
    """The one id that follows from a tenant and what the tenant calls its request."""
    # Lengths first, or ("a", "b:c") and ("a:b", "c") would be the same request.
    parts = (collection, tenant, idempotency_key)
    text = "".join(f"{len(part)}:{part}" for part in parts)
    digest = hashlib.sha256(text.encode()).digest()
    return _id(collection, int.from_bytes(digest[:16], "big"))


def _id(collection: str, number: int) -> str:
    digits = [_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(_LENGTH))]
    return f"{keys.PREFIX[collection]}_{''.join(digits)}"

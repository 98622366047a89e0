"""Addresses of files in users' own buckets, and which of them were allowed. Pure.

An address is read literally: nothing in it is decoded, and a key with `..` or empty parts is none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from workers.storage.base import check_key

PREFIXES_SETTING = "HANDSOFF_IMPORT_PREFIXES"
_SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


@dataclass(frozen=True)
class S3Address:
    """An object in a bucket."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, address: str) -> "S3Address":
        """The address that a text spells.

        Raises:
            ValueError: it is not `s3://bucket/key`; the message says what is wrong.
        """
        bucket, _, key = address.removeprefix(_SCHEME).partition("/")
        if not address.startswith(_SCHEME) or not _BUCKET.fullmatch(bucket):
            raise ValueError(f"an address is s3://bucket/key, got {address[:200]!r}")
        return cls(bucket, check_key(key))


def _checked(address: str) -> str:
    S3Address.parse(address)
    return address


Source = Annotated[
    str,
    Field(max_length=1000, description=f"s3://bucket/key, below one of {PREFIXES_SETTING}"),
    AfterValidator(_checked),
]


def is_allowed(address: str, prefixes: Sequence[str]) -> bool:
    """Whether an address lies below one of the prefixes; a prefix ends where a `/` is."""
    return any(address.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


def refusal(address: str, prefixes: Sequence[str]) -> str:
    """Why an address is not allowed, in words that name the setting."""
    allowed = ", ".join(prefixes) or "nothing"
    return f"{address} is not below what {PREFIXES_SETTING} allows ({allowed})"

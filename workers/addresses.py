"""Addresses of files in users' own buckets, and which of them were allowed. Pure.

An address is read literally: nothing in it is decoded, and a key with `..` or empty parts is none.
One that ends in `/` is a folder's: of all objects below it, where there may be many.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from workers.storage.base import check_prefix

PREFIXES_SETTING = "HANDSOFF_IMPORT_PREFIXES"
TENANT_MARK = "{tenant}"
_SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


@dataclass(frozen=True)
class S3Address:
    """An object in a bucket, or a folder: all objects whose keys begin so.

    Attributes:
        bucket: its name.
        key: of the object; of a folder empty, or ending in `/`.
    """

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder's."""
        return not self.key or self.key.endswith("/")

    @classmethod
    def parse(cls, address: str) -> "S3Address":
        """The address that a text spells.

        Raises:
            ValueError: it is neither `s3://bucket/key` nor `s3://bucket/folder/`; the message says
                what is wrong.
        """
        bucket, slash, key = address.removeprefix(_SCHEME).partition("/")
        if not (address.startswith(_SCHEME) and slash and _BUCKET.fullmatch(bucket)):
            raise ValueError(f"an address is s3://bucket/key, got {address[:200]!r}")
        return cls(bucket, check_prefix(key))


def _of_object(address: str) -> str:
    if S3Address.parse(address).is_folder:
        raise ValueError(f"{address} ends in / as a folder does; name a single object")
    return address


def _of_object_or_folder(address: str) -> str:
    S3Address.parse(address)
    return address


Source = Annotated[
    str,
    Field(max_length=1000, description=f"s3://bucket/key, below one of {PREFIXES_SETTING}"),
    AfterValidator(_of_object),
]
"""The address of one file."""

DatasetSource = Annotated[
    str,
    Field(
        max_length=1000,
        description="s3://bucket/key of an archive, or s3://bucket/folder/ (with a / at its end) "
        f"to read all objects below it in place; below one of {PREFIXES_SETTING}",
    ),
    AfterValidator(_of_object_or_folder),
]
"""The address of an archive, or of a folder."""


def prefixes_for(tenant: str, prefixes: Sequence[str]) -> tuple[str, ...]:
    """What a tenant may read: its id stands where a prefix says `{tenant}`."""
    return tuple(prefix.replace(TENANT_MARK, tenant) for prefix in prefixes)


def is_allowed(address: str, prefixes: Sequence[str]) -> bool:
    """Whether an address lies below one of the prefixes; a prefix ends where a `/` is."""
    return any(address.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


def refusal(address: str, prefixes: Sequence[str]) -> str:
    """Why an address is not allowed, in words that name the setting."""
    allowed = ", ".join(prefixes) or "nothing"
    return f"{address} is not below what {PREFIXES_SETTING} allows ({allowed})"

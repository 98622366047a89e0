"""Whether bytes that came from the store are those that a document names by digest. Pure.

Other bytes are a passing fault: perhaps they were hurt on their way. Where they lie so in the store
the step is tried as often as any, and its job then fails and names the object.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from workers.errors import Retryable


def checked(data: bytes, sha256: str, key: str) -> bytes:
    """The bytes themselves.

    Raises:
        Retryable: they have another SHA-256 than the one in hex.
    """
    _compare(hashlib.sha256(data).hexdigest(), sha256, key)
    return data


def checked_file(path: Path, sha256: str, key: str) -> Path:
    """The file itself; see `checked`."""
    with path.open("rb") as file:
        _compare(hashlib.file_digest(file, "sha256").hexdigest(), sha256, key)
    return path


def check_chunks(chunks: Iterable[bytes], sha256: str, key: str) -> None:
    """The same for what is too large to be held; it is read to its end.

    Raises:
        Retryable: all chunks together have another SHA-256.
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    _compare(digest.hexdigest(), sha256, key)


def _compare(found: str, wanted: str, key: str) -> None:
    if found != wanted:
        raise Retryable(
            f"{key} is not what was meant to be there: it has the sha256 {found}, not {wanted}"
        )

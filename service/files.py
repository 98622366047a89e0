"""The files of a resource: which ones users see, and what is known of their contents. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TYPES = {
    "json": "application/json",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "tar": "application/x-tar",
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown; charset=utf-8",
}
_SUBJECT = {"generators": "generator.safetensors", "encoders": "encoder.safetensors"}
# What the service and the workers keep for themselves.
_INTERNAL = re.compile(r"resource\.json|shards/.*|snapshots/.*|.*\.tmp")
_ATTEMPT = re.compile(r"attempts/\d+/")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


def digests(collection: str, final: Mapping[str, Any] | None) -> dict[str, str]:
    """The SHA-256 of each file that a card, report or manifest tells of, by path.

    Two forms are understood wherever they stand but in a lineage, which tells of other resources:
    `{"path": p, "sha256": d}`, and `{"image": p, "sha256": {"image": d}}`. Besides, the card of a
    collection in `_SUBJECT` has the digest of the one file that it is about at its top.
    """
    if final is None:
        return {}
    told = dict(_told(final))
    if collection in _SUBJECT and "sha256" in final:
        told[_SUBJECT[collection]] = final["sha256"]
    return told


def is_shown(path: str, final: Mapping[str, Any] | None) -> bool:
    """Whether users see a file: not our own notes, and of several attempts the one that counts.

    Args:
        path: inside the resource.
        final: its last document, which names the attempt that counts; None before it is written.
    """
    if attempt := _ATTEMPT.match(path):
        return any(text.startswith(attempt[0]) for text in _texts(final))
    return not _INTERNAL.fullmatch(path)


def media_type(path: str) -> str:
    """A file's type, by how its name ends."""
    return _TYPES.get(path.rpartition(".")[2], "application/octet-stream")


@dataclass(frozen=True)
class ByteRange:
    """The bytes [start, end) of a file of `size` bytes."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        """As the `Content-Range` header says it."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The part of a file that a `Range` header asks for; None for all of it.

    Headers that are malformed or ask for several parts are passed over, as RFC 9110 allows.

    Raises:
        ValueError: no byte of the file is in the range.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":  # The last so many bytes.
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), size if last == "" else min(size, int(last) + 1)
        if last and int(last) < start:
            return None
    if start >= end:
        raise ValueError(f"the file has {size} bytes, none of them in {header}")
    return ByteRange(start, end, size)


def _told(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for part in node:
            yield from _told(part)
    elif isinstance(node, Mapping):
        digest = node.get("sha256")
        if isinstance(digest, str) and isinstance(node.get("path"), str):
            yield node["path"], digest
        elif isinstance(digest, Mapping):
            yield from ((node[role], d) for role, d in digest.items() if role in node)
        for name, part in node.items():
            if name != "lineage":
                yield from _told(part)


def _texts(node: Any) -> Iterator[str]:
    """Every text of a document, however deep."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for part in node.values():
            yield from _texts(part)
    elif isinstance(node, list):
        for part in node:
            yield from _texts(part)

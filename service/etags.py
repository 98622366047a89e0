"""Entity tags: whether a client already has what it asks for. Pure."""

import re

_TAG = re.compile(r'(?:W/)?("[^"]*")')


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names this strong tag, by RFC 9110's weak comparison."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)

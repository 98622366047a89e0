"""Pages: newest first, with an opaque cursor that stays right while new things arrive."""

import base64
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request

from service.errors import FieldError, Unprocessable

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Entries on a page, at most.")]
After = Annotated[
    str | None,
    Query(max_length=512, description="`next_cursor` of the page before.", examples=[None]),
]


def encode_cursor(position: str) -> str:
    """A position in a list as a word that clients need not understand."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The position that `encode_cursor` wrote.

    Raises:
        Unprocessable: it is no cursor of ours.
    """
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise invalid_cursor(cursor) from error


def invalid_cursor(cursor: str) -> Unprocessable:
    """The refusal of a cursor that this service did not write."""
    detail = f"after: {cursor[:40]!r} is not a cursor of this list"
    return Unprocessable(
        detail,
        "pass `next_cursor` of the page before, unchanged; leave it out for the first page",
        [FieldError("/after", "not a cursor of this list", "query")],
    )


def link_to_next(request: Request, cursor: str | None) -> dict[str, str]:
    """The `Link` header that leads to the next page; none on the last."""
    if cursor is None:
        return {}
    query = dict(request.query_params) | {"after": cursor}
    return {"Link": f'<{request.url.path}?{urlencode(query)}>; rel="next"'}

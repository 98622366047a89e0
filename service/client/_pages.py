"""Lists that come in pages: `{"data": […], "next_cursor": …}` until the cursor is null."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from service.client._models import View
from service.client._transport import Transport

V = TypeVar("V", bound=View)
PAGE = 100


def pages(
    transport: Transport,
    path: str,
    view: type[V],
    limit: int | None,
    filters: Mapping[str, str | None],
) -> Iterator[V]:
    """Every item of a list, at most `limit`; a page is asked for when it is needed."""
    params: dict[str, Any] = {name: value for name, value in filters.items() if value}
    left = limit
    while left is None or left > 0:
        params["limit"] = PAGE if left is None else min(PAGE, left)
        body = transport.get(path, params=params).json()
        yield from (view.model_validate(item) for item in body["data"])
        left = None if left is None else left - len(body["data"])
        if not body.get("next_cursor"):
            return
        params["after"] = body["next_cursor"]

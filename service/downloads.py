"""The files of a resource on their way out: listed, streamed in parts, or handed to the bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from service.errors import FieldError, RangeNotSatisfiable
from service.etags import matches
from service.files import digests, is_shown, media_type, parse_range
from service.pagination import decode_cursor, encode_cursor
from service.resources import View, noun
from workers import keys
from workers.errors import NotFound
from workers.storage.base import ObjectStore


@dataclass(frozen=True)
class Conditions:
    """What a client says of the file that it already has, and of the part that it wants."""

    is_head: bool = False
    range: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None

    @classmethod
    def of(cls, request: Request) -> "Conditions":
        """As a request's headers say it."""
        headers = request.headers
        return cls(
            is_head=request.method == "HEAD",
            range=headers.get("range"),
            if_range=headers.get("if-range"),
            if_none_match=headers.get("if-none-match"),
        )


@dataclass(frozen=True)
class Shown:
    """A file that users see; `sha256` where it is known."""

    path: str
    size: int
    sha256: str | None


class Downloads:
    """Lists and sends files.

    Args:
        store: the bucket.
        url_seconds: for which presigned URLs hold.
    """

    def __init__(self, store: ObjectStore, url_seconds: int) -> None:
        self._store = store
        self._url_seconds = url_seconds

    def page(self, view: View, limit: int, after: str | None) -> tuple[list[Shown], str | None]:
        """The next `limit` files that users see, by path, and the cursor behind the last one.

        Raises:
            Unprocessable: `after` is no cursor.
        """
        behind = "" if after is None else decode_cursor(after)
        found = list(islice((f for f in self._shown(view) if f.path > behind), limit + 1))
        cursor = encode_cursor(found[limit - 1].path) if len(found) > limit else None
        return found[:limit], cursor

    def send(
        self,
        view: View,
        path: str,
        conditions: Conditions = Conditions(),
        *,
        inline: bool = False,
    ) -> Response:
        """A file's bytes, or the way to them.

        Args:
            view: the resource that it belongs to.
            path: inside the resource.
            conditions: what the client says of it.
            inline: whether a browser shows it rather than saves it.

        Raises:
            NotFound: the resource has no such file for users.
            RangeNotSatisfiable: the file has none of the bytes asked for.
        """
        size = self._size(view, path)
        name = PurePosixPath(path).name
        if url := self._store.download_url(_place(view, path), self._url_seconds, name):
            # Signed for a while only, and for whoever holds it.
            return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
        digest = digests(view.resource.collection, view.final).get(path)
        etag = f'"{digest}"' if digest else None
        way = "inline" if inline else "attachment"
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": f"{way}; filename*=UTF-8''{quote(name)}",
            **({"ETag": etag} if etag else {}),
        }
        if etag and matches(conditions.if_none_match, etag):
            return Response(status_code=304, headers=headers)
        wanted = conditions.range if conditions.if_range in (None, etag) else None
        return self._part(view, path, size, headers, wanted, conditions.is_head)

    def _shown(self, view: View) -> Iterator[Shown]:
        told, prefix = digests(view.resource.collection, view.final), _place(view, "")
        for info in self._store.list(prefix):
            path = info.key.removeprefix(prefix)
            if is_shown(path, view.final):
                yield Shown(path, info.size, told.get(path))

    def _part(
        self,
        view: View,
        path: str,
        size: int,
        headers: dict[str, str],
        wanted: str | None,
        is_head: bool,
    ) -> Response:
        try:
            part = parse_range(wanted, size)
        except ValueError as error:
            raise RangeNotSatisfiable(
                str(error),
                "ask for bytes below the file's size",
                [FieldError("/Range", str(error), "header")],
                {"Content-Range": f"bytes */{size}"},
            ) from error
        start, end = (part.start, part.end) if part else (0, size)
        if part:
            headers["Content-Range"] = part.content_range
        headers["Content-Length"] = str(end - start)
        is_empty = is_head or start == end
        body = iter(()) if is_empty else self._store.stream(_place(view, path), start, end)
        return StreamingResponse(body, 206 if part else 200, headers, media_type(path))

    def _size(self, view: View, path: str) -> int:
        """The size of a file that users see."""
        resource = view.resource
        missing = NotFound(f"{noun(resource.collection)} {resource.id} has no file {path[:200]!r}")
        if not is_shown(path, view.final):
            raise missing
        try:
            size = self._store.size(_place(view, path))
        except ValueError as error:  # No key could look like that.
            raise missing from error
        if size is None:
            raise missing
        return size


def _place(view: View, path: str) -> str:
    resource = view.resource
    return keys.inside(resource.tenant, resource.collection, resource.id, path)

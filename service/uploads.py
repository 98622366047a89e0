"""Files on their way in: described first, then streamed to the store, never held in memory."""

import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import anyio
import anyio.from_thread
from anyio.lowlevel import current_token
from pydantic import BaseModel, ConfigDict

from service.errors import (
    BodyTooLarge,
    ChecksumMismatch,
    FieldError,
    NotReady,
    TooSlow,
    Unprocessable,
)
from service.resources import check_collection
from service.room import Room
from workers import keys
from workers.errors import NotFound, ObjectNotFound
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

# Streams that are written at once; each holds one thread until it ends.
_STREAMS = 16
_CHUNK = 1 << 20


class Upload(BaseModel):
    """What was said of a file before it was sent; `upload.json`.

    Attributes:
        size: announced bytes.
        sha256: announced digest, in hexadecimal.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    id: str
    tenant: str
    filename: str
    size: int | None = None
    sha256: str | None = None
    created_at: datetime

    @property
    def content_key(self) -> str:
        """Where its bytes lie."""
        return keys.inside(self.tenant, "uploads", self.id, "content")


@dataclass(frozen=True)
class Arrived:
    """An upload, and how many of its bytes are there; None before they came."""

    upload: Upload
    size: int | None


class Uploads:
    """Reads, describes and receives uploads.

    Args:
        store: the bucket.
        room: how much of it may be filled.
        limit: bytes that one upload may hold.
        patience: seconds that a body may pause; then its thread is needed for others.
    """

    def __init__(self, store: ObjectStore, room: Room, limit: int, patience: float = 60.0) -> None:
        self._store = store
        self._room = room
        self._limit = limit
        self._patience = patience
        self._streams = anyio.CapacityLimiter(_STREAMS)

    def get(self, tenant: str, upload_id: str) -> Arrived:
        """An upload as it stands.

        Raises:
            NotFound: there is no such upload, in words that name it.
        """
        try:
            document = self._store.get(keys.inside(tenant, "uploads", upload_id, "upload.json"))
        except (ObjectNotFound, ValueError) as error:
            raise NotFound(f"there is no upload {upload_id[:80]!r}") from error
        upload = Upload.model_validate_json(document)
        return Arrived(upload, self._store.size(upload.content_key))

    def find(self, tenant: str, upload_id: str) -> Arrived | None:
        """The same, or None."""
        try:
            return self.get(tenant, upload_id)
        except NotFound:
            return None

    def check_size(self, size: int | None) -> None:
        """Refuse a file that will not fit.

        Raises:
            Unprocessable: it is larger than an upload may be.
            InsufficientStorage: the store has too little room.
        """
        if size is not None and size > self._limit:
            detail = f"{size:,} bytes are more than the {self._limit:,} that an upload may have"
            remedy = "send it in smaller parts, or raise HANDSOFF_MAX_UPLOAD_BYTES"
            raise Unprocessable(f"size: {detail}", remedy, [FieldError("/size", detail)])
        self._room.require(size or 0, "the upload")

    def describe(self, upload: Upload) -> Arrived:
        """Write down an upload that is about to come."""
        place = keys.inside(upload.tenant, "uploads", upload.id, "upload.json")
        self._store.put_if_absent(place, canonical_json(upload.model_dump(mode="json")))
        return Arrived(upload, None)

    def require(self, tenant: str, upload_id: str, field: str) -> Upload:
        """An upload whose bytes are there.

        Args:
            tenant: whose it is.
            upload_id: what the request says.
            field: the request's field that says so, as a JSON pointer.

        Raises:
            Unprocessable: the id names something else.
            NotFound: there is no such upload.
            NotReady: its bytes have not come.
        """
        check_collection(upload_id, "uploads", field)
        arrived = self.get(tenant, upload_id)
        if arrived.size is None:
            raise NotReady(
                f"upload {upload_id} has no content yet",
                "PUT the file to the `put.url` that the upload was answered with",
                [FieldError(field, "has no content yet")],
            )
        if arrived.upload.size not in (None, arrived.size):  # Sent past us, to the bucket.
            detail = f"{arrived.size} bytes came, {arrived.upload.size} were announced"
            raise NotReady(
                f"upload {upload_id}: {detail}",
                "PUT the file again to the `put.url` that the upload was answered with",
                [FieldError(field, detail)],
            )
        return arrived.upload

    async def receive(
        self, upload: Upload, body: AsyncIterator[bytes], announced: int | None
    ) -> Arrived:
        """Stream a body into the store; what was there before stays until all of it has come.

        Args:
            upload: what was said of it.
            body: its bytes, in chunks of any size.
            announced: its Content-Length, where it has one.

        Raises:
            ChecksumMismatch: size or digest are not those of the upload; nothing is stored.
            BodyTooLarge: it is longer than an upload may be; nothing is stored.
            InsufficientStorage: the store has too little room.
            TooSlow: nothing more of it came; nothing is stored.
        """
        source = io.BufferedReader(_CheckedStream(body, upload, self._patience), _CHUNK)

        def store() -> int:
            self._room.require(announced or upload.size or 0, "the upload")
            try:
                return self._store.put_stream(upload.content_key, source, self._limit)
            except ValueError as error:
                raise BodyTooLarge(self._limit) from error

        return Arrived(upload, await anyio.to_thread.run_sync(store, limiter=self._streams))


class _CheckedStream(io.RawIOBase):
    """An async body as a file that a thread can read; its end is only reached if all is right."""

    def __init__(self, body: AsyncIterator[bytes], upload: Upload, patience: float) -> None:
        super().__init__()
        self._body = body
        self._upload = upload
        self._patience = patience
        self._loop = current_token()
        self._rest = memoryview(b"")
        self._digest = hashlib.sha256()
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._rest:
            # By its token, for stores read in threads of their own.
            self._rest = memoryview(anyio.from_thread.run(self._next, token=self._loop))
        count = min(len(target), len(self._rest))
        if count == 0:
            self._check()
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    async def _next(self) -> bytes:
        """The next chunk that is not empty; empty at the end."""
        try:
            with anyio.fail_after(self._patience):
                chunk = await self._chunk()
        except TimeoutError as error:
            detail = f"nothing more of the body came for {self._patience:g} s"
            raise TooSlow(detail, "send the file again") from error
        self._digest.update(chunk)
        self._size += len(chunk)
        return chunk

    async def _chunk(self) -> bytes:
        async for chunk in self._body:
            if chunk:
                return chunk
        return b""

    def _check(self) -> None:
        upload = self._upload
        if upload.size is not None and upload.size != self._size:
            raise _mismatch("size", f"{upload.size} bytes", f"{self._size}")
        if upload.sha256 is not None and upload.sha256 != self._digest.hexdigest():
            raise _mismatch("sha256", upload.sha256, self._digest.hexdigest())


def _mismatch(field: str, announced: str, found: str) -> ChecksumMismatch:
    detail = f"{announced} were announced, {found} came"
    remedy = "send the file again, or describe it anew with POST /v1/uploads"
    return ChecksumMismatch(f"{field}: {detail}", remedy, [FieldError(f"/{field}", detail)])

"""Uploads: bytes on their way to the service, streamed from a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from service.client._models import View
from service.client._transport import Transport

OnBytes = Callable[[int, int], None]
"""Called with the bytes done so far and the bytes in all."""

CHUNK = 1 << 20


class Upload(View):
    """Bytes that the service holds; name it where a generator or a dataset is created."""

    id: str


class Uploads:
    """Sends files to wherever the service wants them: to itself, or straight to its bucket."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, path: str | os.PathLike[str], on_bytes: OnBytes | None = None) -> Upload:
        """Upload a file, never holding more than a megabyte of it.

        Args:
            path: the file.
            on_bytes: called after each megabyte.

        Raises:
            OSError: the file cannot be read.
            ApiError: the service refuses it, e.g. for its size.
        """
        file = Path(path)
        size = file.stat().st_size
        ticket = self._transport.create("/v1/uploads", json={"filename": file.name, "size": size})
        put = ticket["put"]
        self._transport.send(
            put["method"],
            put["url"],
            # With a length given, httpx does not send chunks, which a bucket would refuse.
            headers={**put.get("headers", {}), "Content-Length": str(size)},
            body=lambda: _read(file, size, on_bytes),
            timeout=300,
        )
        return Upload.model_validate(ticket)

    def delete(self, upload: Upload | str) -> None:
        """Delete an upload that no job still reads."""
        upload_id = upload if isinstance(upload, str) else upload.id
        self._transport.send("DELETE", f"/v1/uploads/{upload_id}")


def _read(file: Path, size: int, on_bytes: OnBytes | None) -> Iterator[bytes]:
    done = 0
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
            done += len(chunk)
            if on_bytes:
                on_bytes(done, size)

"""An S3 bucket, or a prefix of one, on any server that speaks S3. Knows no local folder.

Two clients: one for the data, and one that only signs URLs with the address that clients can
reach (the host is part of a signature, so it cannot be replaced afterwards).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from workers.errors import ObjectNotFound, StorageError, StorageUnavailable
from workers.storage.base import (
    LEFT_OVER_SECONDS,
    ObjectInfo,
    Source,
    UploadTarget,
    check_key,
    check_prefix,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_CHUNK = 1 << 20
_MEBIBYTE = 1 << 20
_MOST_PARTS = 10_000
_AT_ONCE = 4
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_PASSING = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"})
_LOST_RACE = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


def _in_parts(size: int) -> TransferConfig:
    """What has `size` bytes or more goes in parts of that size."""
    return TransferConfig(
        multipart_threshold=size,
        multipart_chunksize=size,
        max_concurrency=_AT_ONCE,
        preferred_transfer_client="classic",
    )


def _in_small_parts(limit: int) -> TransferConfig:
    """For a stream of up to `limit` bytes: its parts lie in memory while they are sent."""
    transfer = _in_parts(max(8 * _MEBIBYTE, -(-limit // _MOST_PARTS)))
    transfer.max_in_memory_upload_chunks = _AT_ONCE
    return transfer


# Of files, which are read as they are sent: objects of up to 625 GiB.
_TRANSFER = _in_parts(64 * _MEBIBYTE)


@dataclass(frozen=True)
class S3Clients:
    """Clients of one server.

    Attributes:
        data: moves the bytes.
        public: only signs, with the address that clients can reach.
        hasty: answers soon or not at all; for health checks.
    """

    data: "S3Client"
    public: "S3Client"
    hasty: "S3Client"


class S3Store:
    """Objects below `prefix` of a bucket that is there already."""

    def __init__(self, bucket: str, prefix: str, clients: S3Clients) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._clients = clients
        self._client = clients.data
        self._is_conditional: bool | None = None

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """See `ObjectStore`."""
        self._put(key, data, ContentType=content_type)

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        """See `ObjectStore`.

        Atomic where the server knows `If-None-Match: *` (Amazon, SeaweedFS, R2, Ceph …; found out
        with the first object). Elsewhere it looks first and writes then: of two writers at the very
        same moment both may win. Nothing of ours rests on this alone: the record in Redis
        decides, this guards what outlives Redis.
        """
        if self._is_conditional:
            return self._put_conditionally(key, data, content_type)
        if self.size(key) is not None:
            return False
        if self._is_conditional is None:
            return self._put_and_learn(key, data, content_type)
        self.put(key, data, content_type)
        return True

    def put_file(
        self, key: str, source: Path, content_type: str = "application/octet-stream"
    ) -> None:
        """See `ObjectStore`; large files go in parts."""
        name, extra = self._name(key), {"ContentType": content_type}
        with self._translated(key):
            self._client.upload_file(
                str(source), self._bucket, name, ExtraArgs=extra, Config=_TRANSFER
            )

    def put_stream(
        self, key: str, source: Source, limit: int, content_type: str = "application/octet-stream"
    ) -> int:
        """See `ObjectStore`; large streams go in parts, and none is left if it fails."""
        counted = _Counted(source, limit)
        name, extra = self._name(key), {"ContentType": content_type}
        with self._translated(key):
            self._client.upload_fileobj(
                cast(BinaryIO, counted),  # All that is asked of it is to be read.
                self._bucket,
                name,
                ExtraArgs=extra,
                Callback=counted.check,
                Config=_in_small_parts(limit),
            )
        return counted.count

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        with self._translated(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
            return answer["Body"].read()

    def get_file(self, key: str, target: Path) -> None:
        """See `ObjectStore`."""
        name = self._name(key)
        with self._translated(key):
            self._client.download_file(self._bucket, name, str(target), Config=_TRANSFER)

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`."""
        if start < 0 or (end is not None and end < 0):
            raise ValueError(f"a range begins and ends at 0 or later, got [{start}, {end})")
        if end is not None and end <= start:
            return self._nothing(key)
        last = "" if end is None else end - 1
        extra: dict[str, Any] = {"Range": f"bytes={start}-{last}"} if start or end else {}
        try:
            with self._translated(key):
                name = self._name(key)
                answer = self._client.get_object(Bucket=self._bucket, Key=name, **extra)
        except _BeyondTheEnd:
            return self._nothing(key)
        return self._chunks(key, answer["Body"])

    def size(self, key: str) -> int | None:
        """See `ObjectStore`."""
        head = self._head(key)
        return None if head is None else head["ContentLength"]

    def tag(self, key: str) -> str | None:
        """See `ObjectStore`: the ETag, whatever the server makes it of."""
        head = self._head(key)
        return None if head is None else head.get("ETag")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        for page in self._pages(prefix):
            for item in page.get("Contents", []):
                yield ObjectInfo(item["Key"].removeprefix(self._prefix), item["Size"])

    def folders(self, prefix: str) -> Iterator[str]:
        """See `ObjectStore`."""
        for page in self._pages(prefix, Delimiter="/"):
            for item in page.get("CommonPrefixes", []):
                yield item["Prefix"].removeprefix(self._prefix + prefix).removesuffix("/")

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        try:
            with self._translated(key):
                self._client.delete_object(Bucket=self._bucket, Key=self._name(key))
        except ObjectNotFound:  # Some servers say so.
            return

    def upload_target(self, key: str, expires_seconds: int) -> UploadTarget | None:
        """See `ObjectStore`: a presigned PUT that takes any content type."""
        return UploadTarget(self._signed("put_object", expires_seconds, Key=self._name(key)), {})

    def download_url(self, key: str, expires_seconds: int, filename: str) -> str | None:
        """See `ObjectStore`: a presigned GET that saves under `filename`."""
        shown = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        name = self._name(key)
        return self._signed(
            "get_object", expires_seconds, Key=name, ResponseContentDisposition=shown
        )

    def remove_left_over(self, seconds: float = LEFT_OVER_SECONDS) -> int:
        """See `ObjectStore`: uploads in parts that nobody has completed."""
        oldest, removed = datetime.now(UTC) - timedelta(seconds=seconds), 0
        pages = self._client.get_paginator("list_multipart_uploads")
        with self._translated(""):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < oldest:
                        self._abort(upload["Key"], upload["UploadId"])
                        removed += 1
        return removed

    def free_bytes(self) -> int | None:
        """None: a bucket has no end that we could know."""
        return None

    def check(self) -> None:
        """See `ObjectStore`; answers within a few seconds."""
        with self._translated(""):
            self._clients.hasty.head_bucket(Bucket=self._bucket)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        try:
            with self._translated(key):
                return self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except ObjectNotFound:
            return None

    def _abort(self, name: str, upload_id: str) -> None:
        with suppress(ObjectNotFound), self._translated(name):  # Somebody else was faster.
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload_id)

    def _put(self, key: str, data: bytes, **extra: Any) -> None:
        name = self._name(key)
        with self._translated(key):
            self._client.put_object(Bucket=self._bucket, Key=name, Body=data, **extra)

    def _put_conditionally(self, key: str, data: bytes, content_type: str) -> bool:
        try:
            self._put(key, data, ContentType=content_type, IfNoneMatch="*")
        except _AlreadyThere:
            return False
        return True

    def _put_and_learn(self, key: str, data: bytes, content_type: str) -> bool:
        """Put, and find out whether the server honours `If-None-Match`: some refuse it.

        Some overlook it, so the object is put twice. One of another name would stay for ever
        where we are killed in between.
        """
        try:
            if not self._put_conditionally(key, data, content_type):
                self._is_conditional = True
                return False
        except StorageUnavailable:
            raise
        except StorageError:
            self.put(key, data, content_type)
            self._is_conditional = False
            return True
        with suppress(StorageUnavailable):  # It is written; what was to be learnt can wait.
            self._is_conditional = not self._put_conditionally(key, data, content_type)
        return True

    def _pages(self, prefix: str, **extra: Any) -> Iterator[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + check_prefix(prefix), **extra
        )
        with self._translated(prefix):
            yield from pages

    def _chunks(self, key: str, body: Any) -> Iterator[bytes]:
        with self._translated(key):
            yield from body.iter_chunks(_CHUNK)

    def _nothing(self, key: str) -> Iterator[bytes]:
        if self.size(key) is None:
            raise ObjectNotFound(f"there is no object {key!r}")
        return iter(())

    def _signed(self, method: str, expires_seconds: int, **parameters: Any) -> str:
        with self._translated(parameters["Key"]):
            return self._clients.public.generate_presigned_url(
                method, {"Bucket": self._bucket, **parameters}, expires_seconds
            )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """The library's errors in our words."""
        try:
            yield
        except S3UploadFailedError as error:
            cause = error.__context__
            raise (
                self._refused(key, cause)
                if isinstance(cause, ClientError)
                else StorageUnavailable(f"{key!r} could not be uploaded: {error}")
            ) from error
        except ClientError as error:
            raise self._refused(key, error) from error
        except _UNREACHABLE as error:
            raise StorageUnavailable(f"the object store cannot be reached: {error}") from error
        except BotoCoreError as error:
            raise StorageError(f"the object store cannot be used: {error}") from error

    def _refused(self, key: str, error: ClientError) -> StorageError:
        """What the server's refusal of a request means."""
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket" or (not key and code in _MISSING):
            return StorageError(f"there is no bucket {self._bucket!r}; create it")
        failed = f"the object store failed: {error}"
        kinds: list[tuple[bool, Callable[[str], StorageError], str]] = [
            (code in _MISSING, ObjectNotFound, f"there is no object {key!r}"),
            (code in _LOST_RACE, _AlreadyThere, f"there is an object {key!r} already"),
            (code in ("InvalidRange", "416"), _BeyondTheEnd, f"{key!r} is shorter"),
            (code in _PASSING or status in (500, 502, 503, 504), StorageUnavailable, failed),
            (status == 403, StorageError, f"access to {self._bucket!r} was denied: {error}"),
        ]
        for applies, kind, message in kinds:
            if applies:
                return kind(message)
        return StorageError(f"the object store refused {key!r}: {error}")


_UNREACHABLE = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)


class _AlreadyThere(StorageError):
    """A conditional put found an object."""


class _BeyondTheEnd(StorageError):
    """A range begins where the object has ended."""


class _Counted:
    """A stream that is read once and in order; counts, and gives no more than a limit."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self.count = 0

    def seekable(self) -> bool:
        """Never: each byte counts once."""
        return False

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            ValueError: there were more than the limit.
        """
        chunk = self._source.read(size)
        self.count += len(chunk)
        if self.count > self._limit:
            raise ValueError(f"the stream holds more than the {self._limit} bytes allowed")
        return chunk

    def check(self, _sent: int) -> None:
        """End the upload, if nobody wants it; called in the threads that send its parts.

        Raises:
            CancelledError: nobody does. Any other error would be taken for one of the network, and
                sending tried again.
        """
        if self._source.closed:
            raise CancelledError("the source was closed while it was uploaded")

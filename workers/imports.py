"""Reads files where users keep them: at `s3://` addresses that were allowed, at no others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.data.admission import ArchiveLimits
from workers.addresses import TENANT_MARK, S3Address, is_allowed, prefixes_for, refusal
from workers.bucket_files import BucketFiles
from workers.errors import ObjectNotFound, StorageError, StorageUnavailable, TaskFailed
from workers.settings import ConnectionSettings
from workers.storage.base import ObjectStore
from workers.storage.open import open_bucket

BYTES_SETTING = "HANDSOFF_MAX_IMPORT_BYTES"


class Imports:
    """Reads allowed files with the S3 settings that the store has too.

    Args:
        settings: which addresses are allowed, and how S3 is reached.
        limit: bytes that one file may have, or all files of a folder together.
        tenant: whose prefixes those with `{tenant}` are; without one, nobody's.
    """

    def __init__(self, settings: ConnectionSettings, limit: int, tenant: str = TENANT_MARK) -> None:
        self._settings = settings
        self._limit = limit
        self._tenant = tenant

    def of(self, tenant: str) -> "Imports":
        """The same for a tenant."""
        return Imports(self._settings, self._limit, tenant)

    def fetch(self, address: str, target: Path) -> None:
        """Copy the object at `address` to a file.

        Raises:
            TaskFailed: `source_not_allowed`, `source_missing`, `source_too_large` or
                `source_refused`.
            StorageUnavailable: the server cannot be reached.
        """
        with self._opened(address) as (bucket, key):
            size = bucket.size(key)
            if size is None:
                raise _missing(address, bucket, key)
            self._check_size(address, size)
            bucket.get_file(key, target)
            # What was measured may have been replaced before it was fetched.
            self._check_size(address, target.stat().st_size)

    def folder(self, address: str) -> BucketFiles:
        """The objects below `address`, which ends in `/`: listed now, read when asked for.

        Raises:
            TaskFailed: as `fetch` does; `source_missing` where nothing is worth reading.
            InvalidDataset: it holds what no dataset may hold, or too many objects.
            StorageUnavailable: the server cannot be reached.
        """
        limits = ArchiveLimits(total_bytes=self._limit)
        with self._opened(address) as (bucket, key):
            files = BucketFiles(bucket, key, address, limits)
        if not files.names:
            raise TaskFailed("source_missing", f"there are no files below {address}")
        self._check_size(address, files.total_bytes)
        return files

    @contextmanager
    def _opened(self, address: str) -> Iterator[tuple[ObjectStore, str]]:
        """The bucket and the key of an address; what fails there becomes a `TaskFailed`."""
        prefixes = prefixes_for(self._tenant, self._settings.import_prefixes)
        if not is_allowed(address, prefixes):
            raise TaskFailed("source_not_allowed", refusal(address, prefixes))
        place = S3Address.parse(address)
        try:
            yield open_bucket(self._settings, place.bucket), place.key
        except StorageUnavailable:
            raise
        except ObjectNotFound as error:
            raise TaskFailed("source_missing", _no_object(address)) from error
        except StorageError as error:
            problem = f"{address} cannot be read: {error}"
            raise TaskFailed("source_refused", problem) from error

    def _check_size(self, address: str, size: int) -> None:
        if size > self._limit:
            problem = f"{address} has {size:,} bytes; {BYTES_SETTING} allows {self._limit:,}"
            raise TaskFailed("source_too_large", problem)


def _missing(address: str, bucket: ObjectStore, key: str) -> TaskFailed:
    """That there is no object; a folder's address without the `/` at its end is told as one."""
    problem = _no_object(address)
    if next(iter(bucket.list(f"{key}/")), None) is not None:
        problem += "; there is a folder: end the address of a dataset's folder with /"
    return TaskFailed("source_missing", problem)


def _no_object(address: str) -> str:
    return f"there is no object {address}"

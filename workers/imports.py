"""Fetches files from where users keep them: from `s3://` addresses that were allowed, no others."""

from pathlib import Path

from workers.addresses import S3Address, is_allowed, refusal
from workers.errors import ObjectNotFound, StorageError, StorageUnavailable, TaskFailed
from workers.settings import ConnectionSettings
from workers.storage.open import open_bucket

BYTES_SETTING = "HANDSOFF_MAX_IMPORT_BYTES"


class Imports:
    """Fetches allowed files with the S3 settings that the store has too.

    Args:
        settings: which addresses are allowed, and how S3 is reached.
        limit: bytes that one file may have.
    """

    def __init__(self, settings: ConnectionSettings, limit: int) -> None:
        self._settings = settings
        self._limit = limit

    def fetch(self, address: str, target: Path) -> None:
        """Copy the object at `address` to a file.

        Raises:
            TaskFailed: `source_not_allowed`, `source_missing`, `source_too_large` or
                `source_refused`.
            StorageUnavailable: the server cannot be reached.
        """
        prefixes = self._settings.import_prefixes
        if not is_allowed(address, prefixes):
            raise TaskFailed("source_not_allowed", refusal(address, prefixes))
        place = S3Address.parse(address)
        try:
            bucket = open_bucket(self._settings, place.bucket)
            self._check_size(address, bucket.size(place.key))
            bucket.get_file(place.key, target)
            # What was measured may have been replaced before it was fetched.
            self._check_size(address, target.stat().st_size)
        except StorageUnavailable:
            raise
        except ObjectNotFound as error:
            raise _missing(address) from error
        except StorageError as error:
            problem = f"{address} cannot be read: {error}"
            raise TaskFailed("source_refused", problem) from error

    def _check_size(self, address: str, size: int | None) -> None:
        if size is None:
            raise _missing(address)
        if size > self._limit:
            problem = f"{address} has {size:,} bytes; {BYTES_SETTING} allows {self._limit:,}"
            raise TaskFailed("source_too_large", problem)


def _missing(address: str) -> TaskFailed:
    return TaskFailed("source_missing", f"there is no object {address}")

"""A folder of a bucket, read as archives are: within limits, an object when it is asked for.

The listing is made once; nothing is copied to a disk. Whether the folder may be read at all is for
`workers.imports` to say.
"""

from collections.abc import Iterator, Sequence

from models.data.admission import ArchiveLimits, Entry, Meter, admitted, is_junk
from models.errors import InvalidImage
from workers.errors import ObjectNotFound, StorageError, StorageUnavailable
from workers.storage.base import ObjectInfo, ObjectStore, check_key


class BucketFiles:
    """The objects below a prefix that are worth reading, by their keys below it.

    They are the `models.data.labelled.Files` of a dataset.

    Attributes:
        name: what errors call the folder as a whole.
        names: `/`-separated, sorted; without folders and junk.
        total_bytes: of all of them, as they were listed.
    """

    def __init__(self, bucket: ObjectStore, prefix: str, name: str, limits: ArchiveLimits) -> None:
        """List a folder.

        Args:
            bucket: where it is.
            prefix: empty for the whole bucket, or ending in `/`.
            name: what errors call it.
            limits: how much it may hold.

        Raises:
            InvalidDataset: there are keys that are no paths of files, archives, or too many.
            StorageError: it cannot be listed.
        """
        self.name = name
        self._bucket = bucket
        self._prefix = prefix
        self._meter = Meter(name, limits)
        sizes = admitted(_entries(bucket, prefix), name, limits)
        self.names: Sequence[str] = tuple(sorted(sizes))
        self.total_bytes = sum(sizes.values())

    def read(self, name: str) -> bytes:
        """An object's content.

        Args:
            name: one of `names`.

        Raises:
            InvalidImage: this object is too large, is gone, or is refused.
            InvalidDataset: with it the whole folder has given more bytes than it may.
            StorageUnavailable: the server cannot be reached.
        """
        return self._meter.gather(name, self._pieces(name))

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._bucket.stream(self._prefix + name)
        except StorageUnavailable:
            raise
        except ObjectNotFound as error:
            raise InvalidImage(name, "was deleted after it was listed; put it back") from error
        except StorageError as error:
            raise InvalidImage(name, f"cannot be read ({error})") from error


def _entries(bucket: ObjectStore, prefix: str) -> Iterator[Entry[int]]:
    """All that lies below a prefix; the place of each is its size."""
    for found in bucket.list(prefix):
        path = found.key.removeprefix(prefix)
        if path:  # Consoles make an empty object of the folder itself.
            is_folder = path.endswith("/") and not found.size
            problem = None if is_folder or is_junk(path) else _problem(found)
            yield Entry(path, is_folder, problem, found.size)


def _problem(found: ObjectInfo) -> str | None:
    """Why an object cannot be read by its key, if so."""
    try:
        check_key(found.key)
    except ValueError as error:
        return f"has a key that cannot be read ({error}); rename it"
    return None

"""Shards in the store: written with what describes them, and looked at again before they count.

A store that names its objects' bytes (S3's ETag) is asked whether the name is still that of when
the shard was written. Elsewhere, and where the name is another, the shard is read: another name
may stand for the same bytes, written once more.
"""

from collections.abc import Iterable

from models.data.manifest import ShardFragment
from models.data.shards import ShardInfo, ShardSample, write_shard
from workers import keys
from workers.digests import check_chunks
from workers.following import following
from workers.tasks.context import TaskContext


class StoredFragment(ShardFragment):
    """A shard's description, as it lies beside it.

    Attributes:
        tag: what the store called the shard's bytes once they were written; see `ObjectStore.tag`.
    """

    tag: str | None = None


def put_shard(context: TaskContext, samples: Iterable[ShardSample]) -> ShardInfo:
    """Put the step's shard into the store, while it is written.

    It lies in the scratch folder, too, so that its samples need not be made again where the store
    was away meanwhile.
    """
    shard = context.scratch / "shard.tar"
    key = context.key(keys.shard(context.index))
    with following(context.store, key, "application/x-tar") as upload:
        written = write_shard(shard, samples, upload.file.open)
        upload.finish(shard, written.bytes)
    return written


def put_fragment(context: TaskContext, fragment: ShardFragment) -> None:
    """Put the description of the step's shard beside it: after it, and last of all."""
    tag = context.store.tag(context.key(fragment.path))
    context.put_json(keys.fragment(context.index), {**fragment.model_dump(mode="json"), "tag": tag})


def fault_of(context: TaskContext, fragment: StoredFragment) -> str | None:
    """Why a shard is not whole; None where its bytes are those that were written.

    Raises:
        Retryable: it has the right size, and other bytes.
    """
    key = context.key(fragment.path)
    if fragment.tag is not None and context.store.tag(key) == fragment.tag:
        return None
    size = context.store.size(key)
    if size != fragment.bytes:
        found = "is not there" if size is None else f"has {size:,} bytes"
        return f"{fragment.path} {found}; {fragment.bytes:,} were written"
    check_chunks(context.store.stream(key), fragment.sha256, key)
    return None

"""Shards are looked at once more before they count, without reading them where that can be."""

import hashlib
import os

import pytest
from fakes import FakeStore
from support.contexts import task_context
from support.s3 import s3_store

from models.data.manifest import ShardFragment
from models.data.shards import ShardSample
from workers import keys
from workers.errors import Retryable
from workers.params import GenerationParams
from workers.storage.local import LocalStore
from workers.tasks.fragments import StoredFragment, fault_of, put_fragment, put_shard

SAMPLES = [ShardSample(f"{index:09d}", {"json": b"{}"}) for index in range(3)]
SIZE = 3 * 1024 + 1024
PATH = "data/shard-000000.tar"


class ListeningStore(FakeStore):
    """
    Notes which objects are read in chunks.
    """

    def __init__(self):
        super().__init__()
        self.read: list[str] = []

    def stream(self, key, start=0, end=None):
        self.read.append(key)
        return super().stream(key, start, end)


@pytest.fixture
def made(tmp_path):
    """
    Stores a shard, and gives the context of whoever looks at it, its key and its description.
    """

    def make(store, samples=SAMPLES):
        params = GenerationParams(label_generator_ids=("lbl_1",), count=1)
        context = task_context(store, tmp_path / "scratch", "generate", "generations", params)
        written = put_shard(context, samples)
        put_fragment(
            context,
            ShardFragment(
                path=PATH,
                samples=written.samples,
                bytes=written.bytes,
                sha256=written.sha256,
                candidates=3,
                rows=(),
            ),
        )
        document = store.get(context.key(keys.fragment(0)))
        return context, context.key(PATH), StoredFragment.model_validate_json(document)

    return make


def test_go_into_a_bucket_in_parts(made, moto):
    """
    A shard of more than two parts is the same bytes there, of a tar file's type; the server's
    name for them is kept.
    """
    store = s3_store(moto)
    samples = [ShardSample(f"{index:09d}", {"png": os.urandom(6 << 20)}) for index in range(3)]
    context, key, fragment = made(store, samples)

    data = store.get(key)
    head = store._client.head_object(Bucket=store._bucket, Key=f"{store._prefix}{key}")
    assert fragment.bytes == len(data) > 2 * (8 << 20)
    assert hashlib.sha256(data).hexdigest() == fragment.sha256
    assert head["ContentType"] == "application/x-tar"
    assert head["ETag"] == fragment.tag
    assert fragment.tag.endswith('-3"')
    assert fault_of(context, fragment) is None


def test_are_not_read_where_the_store_knows_them(made):
    """
    One question for each shard, and no byte of it on the way.
    """
    store = ListeningStore()
    context, _, fragment = made(store)

    assert fault_of(context, fragment) is None
    assert store.read == []


def test_are_read_where_the_store_calls_them_otherwise(made):
    """
    A server may name the same bytes anew when they are written again: then they themselves count.
    """
    store = ListeningStore()
    context, key, fragment = made(store)

    assert fault_of(context, fragment.model_copy(update={"tag": "another"})) is None
    assert store.read == [key]


@pytest.mark.parametrize("kind", [FakeStore, LocalStore])
def test_that_were_replaced_are_found(made, tmp_path, kind):
    """
    Bytes that are as many and not the same: in a store that names them, and in a folder.
    """
    store = kind() if kind is FakeStore else kind(tmp_path / "store")
    context, key, fragment = made(store)
    store.put(key, store.get(key)[::-1])

    with pytest.raises(Retryable, match="is not what was meant to be there"):
        fault_of(context, fragment)


def test_that_rotted_on_the_disk_are_found(made, tmp_path):
    """
    A folder's file of which a bit has turned, with its size and times as they were.
    """
    store = LocalStore(tmp_path / "store")
    context, key, fragment = made(store)
    with (tmp_path / "store" / key).open("r+b") as file:
        file.seek(3)
        file.write(b"X")

    assert fragment.tag is None
    with pytest.raises(Retryable):
        fault_of(context, fragment)


@pytest.mark.parametrize(("left", "fault"), [(None, "is not there"), (b"half", "has 4 bytes")])
def test_that_are_gone_or_cut_are_named(made, left, fault):
    """
    Those cannot come back, so the words are for whoever asked for the generation.
    """
    store = FakeStore()
    context, key, fragment = made(store)
    store.delete(key)
    if left is not None:
        store.put(key, left)

    assert fault_of(context, fragment) == f"{PATH} {fault}; {SIZE:,} were written"

"""Shards are looked at once more before they count, without reading them where that can be."""

import hashlib

import pytest
from fakes import FakeStore
from support.contexts import task_context

from models.data.manifest import ShardFragment
from workers import keys
from workers.errors import Retryable
from workers.params import GenerationParams
from workers.storage.local import LocalStore
from workers.tasks.fragments import StoredFragment, fault_of, put_shard

BYTES = b"a shard's bytes"
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

    def make(store):
        params = GenerationParams(label_generator_ids=("lbl_1",), count=1)
        context = task_context(store, tmp_path / "scratch", "generate", "generations", params)
        shard = tmp_path / "shard.tar"
        shard.write_bytes(BYTES)
        digest = hashlib.sha256(BYTES).hexdigest()
        put_shard(
            context,
            shard,
            ShardFragment(
                path=PATH, samples=1, bytes=len(BYTES), sha256=digest, candidates=1, rows=()
            ),
        )
        document = store.get(context.key(keys.fragment(0)))
        return context, context.key(PATH), StoredFragment.model_validate_json(document)

    return make


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
    store.put(key, BYTES[::-1])

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

    assert fault_of(context, fragment) == f"{PATH} {fault}; {len(BYTES)} were written"

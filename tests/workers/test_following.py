"""Files that go into the store while they are written, and what becomes of those given up."""

import os
import threading
from uuid import uuid4

import pytest
from fakes import FakeStore
from support.s3 import s3_settings, s3_store
from support.waiting import eventually

from workers.errors import StorageUnavailable
from workers.following import THREAD_NAME, following
from workers.stop import StepStopped, StopReason
from workers.storage.local import LocalStore
from workers.storage.open import open_store

PART = 8 << 20
"""Bytes: streams that are longer go to S3 in parts of this size."""


@pytest.fixture
def path(tmp_path):
    """
    Where the file is written.
    """
    return tmp_path / "file"


@pytest.fixture(params=["fake", "local", "moto"])
def store(request, tmp_path):
    """
    An empty bucket of each kind.
    """
    if request.param == "fake":
        return FakeStore()
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    return s3_store(request.getfixturevalue("moto"))


@pytest.fixture
def s3(moto):
    """
    An empty bucket on a server, with a client of its own, whose events can be listened to.
    """
    return open_store(s3_settings(moto, uuid4().hex))


def followers():
    """
    The threads that upload what is written.
    """
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def left_over(store):
    """
    What there is in a bucket, half-written things too.
    """
    found = [info.key for info in store.list("")]
    if isinstance(store, LocalStore):
        found += [path.name for path in (store._root / ".tmp").iterdir()]
    elif not isinstance(store, FakeStore):
        answer = store._client.list_multipart_uploads(Bucket=store._bucket, Prefix=store._prefix)
        found += [upload["UploadId"] for upload in answer.get("Uploads", [])]
    return found


def at_each(store, event, act):
    """
    Have `act` called whenever S3's client comes to that event.
    """
    store._client.meta.events.register_first(event, lambda **_: act())


def stored(store, path, data):
    """
    Write a file as a step does, all of it.
    """
    with following(store, "t/a", "text/plain") as upload:
        with upload.file.open(path) as target:
            for start in range(0, len(data), 999_999):
                target.write(data[start : start + 999_999])
        upload.finish(path, len(data))


def given_up(store, path, size, but_first):
    """
    Write so many bytes, call `but_first` with what is uploaded, and fail.
    """
    with following(store, "t/a", "") as upload, upload.file.open(path) as target:
        target.write(bytes(size))
        target.flush()
        but_first(upload.file)
        raise Unlucky


class Slow(FakeStore):
    """
    A bucket that reads no stream before it may.
    """

    def __init__(self):
        super().__init__()
        self.is_asked, self.may_read = threading.Event(), threading.Event()

    def put_stream(self, key, source, limit, content_type=""):
        self.is_asked.set()
        assert self.may_read.wait(30)
        return super().put_stream(key, source, limit, content_type)


class Noting(FakeStore):
    """
    A bucket that notes which files it is given.
    """

    def __init__(self):
        super().__init__()
        self.files = []

    def put_file(self, key, source, content_type=""):
        self.files.append((key, content_type))
        super().put_file(key, source, content_type)


class Breaking(Noting):
    """
    A bucket whose streams break with `error` after some bytes.
    """

    def __init__(self, error, after):
        super().__init__()
        self.error, self.after = error, after

    def put_stream(self, key, source, limit, content_type=""):
        source.read(self.after)
        raise self.error


class Losing(Noting):
    """
    A bucket that has taken less than it was given.
    """

    def put_stream(self, key, source, limit, content_type=""):
        return super().put_stream(key, source, limit, content_type) - 1


class Unlucky(Exception):
    """
    What goes wrong in these tests.
    """


class TestFollowing:
    @pytest.mark.parametrize("size", [0, 1, 100_000, 2 * PART, 2 * PART + 12_345])
    def test_stores_the_same_bytes(self, store, path, size):
        """
        What was written is what is stored, in one part or in several, and nothing else.
        """
        data = os.urandom(size)

        stored(store, path, data)

        assert data == store.get("t/a") == path.read_bytes()
        assert left_over(store) == ["t/a"]
        assert not followers()

    def test_sends_parts_while_others_are_written(self, s3, path):
        """
        The first part is at the server before the last one is written; the object is in three
        parts, and of its type.
        """
        arrived = threading.Event()
        at_each(s3, "after-call.s3.UploadPart", arrived.set)

        with following(s3, "t/a", "application/x-tar") as upload:
            with upload.file.open(path) as target:
                target.write(bytes(PART + 1))
                assert arrived.wait(30)
                target.write(bytes(PART))
            upload.finish(path, 2 * PART + 1)

        head = s3._client.head_object(Bucket=s3._bucket, Key=f"{s3._prefix}t/a")
        assert head["ContentLength"] == 2 * PART + 1
        assert head["ETag"].endswith('-3"')
        assert head["ContentType"] == "application/x-tar"

    def test_holds_no_writer_up(self, path):
        """
        A store that takes nothing is waited for at the end alone.
        """
        store = Slow()

        with following(store, "t/a", "") as upload:
            with upload.file.open(path) as target:
                target.write(bytes(1_000_000))
            store.may_read.set()
            upload.finish(path, 1_000_000)

        assert store.get("t/a") == bytes(1_000_000)

    @pytest.mark.parametrize("after", [0, 5_000, 10_000])
    @pytest.mark.parametrize("error", [StorageUnavailable("away"), ValueError("too long")])
    def test_that_breaks_is_made_up_for(self, path, after, error):
        """
        Whenever the upload fails, and however: the file is put when it is complete.
        """
        store = Breaking(error, after)

        stored(store, path, b"x" * 10_000)

        assert store.get("t/a") == b"x" * 10_000
        assert store.files == [("t/a", "text/plain")]

    def test_that_lost_bytes_is_made_up_for(self, path):
        """
        An object of another size than the file's does not count.
        """
        store = Losing()

        stored(store, path, b"x" * 10)

        assert store.files == [("t/a", "text/plain")]

    def test_to_a_bucket_that_is_away_fails_as_putting_does(self, path):
        """
        Where the file cannot be put either, that is what is raised, and no thread is left.
        """
        store = FakeStore()
        store.broken = StorageUnavailable("away")

        with pytest.raises(StorageUnavailable, match="away"):
            stored(store, path, b"x")

        assert not followers()


class TestGivingUp:
    @pytest.mark.parametrize("size", [0, 1000, 2 * PART + 5])
    def test_leaves_nothing(self, store, path, size):
        """
        Whoever fails while he writes has no object, nothing half-written and no thread; his own
        error goes on.
        """
        with pytest.raises(Unlucky):
            given_up(store, path, size, lambda _: None)

        assert left_over(store) == []
        assert not followers()

    def test_leaves_none_of_the_parts_that_have_arrived(self, s3, path):
        """
        An upload that has begun on the server is aborted there.
        """
        arrived, seen = threading.Event(), []
        at_each(s3, "after-call.s3.UploadPart", arrived.set)

        def wait(_):
            assert arrived.wait(30)
            seen.extend(left_over(s3))

        with pytest.raises(Unlucky):
            given_up(s3, path, 2 * PART, wait)

        assert len(seen) == 1
        assert left_over(s3) == []

    @pytest.mark.parametrize(
        ("size", "is_complete"),
        [(1_000_000, True), (2 * PART + 1_000_000, True), (2 * PART + 1_000_000, False)],
    )
    def test_stops_what_is_being_sent(self, s3, path, size, is_complete):
        """
        Sending ends where it is, and is not tried again, though all may have been read already.
        """
        begun, files, tried = threading.Event(), [], []

        def send():
            begun.set()
            assert eventually(lambda: files[0].closed)

        def complete(file):
            files.append(file)
            if is_complete:
                file.complete()
            assert begun.wait(30)

        for request in ("UploadPart", "PutObject"):
            at_each(s3, f"request-created.s3.{request}", lambda: tried.append(1))
            at_each(s3, f"before-send.s3.{request}", send)
        with pytest.raises(Unlucky):
            given_up(s3, path, size, complete)

        assert left_over(s3) == []
        assert 1 <= len(tried) <= -(-size // PART)

    def test_by_force_leaves_a_thread_that_hangs_to_itself(self, path, switch):
        """
        A step that is stopped does not wait for the network: the thread ends when that lets go,
        and stores nothing.
        """
        store, is_out = Slow(), threading.Event()

        def force():
            assert store.is_asked.wait(30)
            switch.ask(StopReason.CANCELLED)
            while not is_out.wait(0.1):
                switch.force()

        forcing = threading.Thread(target=force)
        forcing.start()
        with pytest.raises(StepStopped), switch.armed():
            stored(store, path, b"x")
        is_out.set()
        forcing.join()

        assert len(followers()) == 1
        store.may_read.set()
        assert eventually(lambda: not followers())
        assert left_over(store) == []

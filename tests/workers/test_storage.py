"""What every store must do, over each store that we have; and what is special to one."""

import io
import os
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import CancelledError
from itertools import product

import pytest
from fakes import FakeStore
from support.processes import free_port
from support.s3 import S3Endpoint, s3_client, s3_settings, s3_store

from workers.errors import NotFound, ObjectNotFound, StorageError, StorageUnavailable
from workers.settings import ConnectionSettings
from workers.storage.base import ObjectInfo
from workers.storage.local import LocalStore
from workers.storage.open import open_store

S3_SERVERS = ["moto", "swift", "external_s3"]
LEAVE_OR_HIDE = ["/", "/t", "t/", "t//a", "t/../a", "..", "t/.", ".", ".tmp/a"]
MALFORMED = [*LEAVE_OR_HIDE, "", "a\\b", "a\nb", "a\0", "a\ud800", "x" * 201, "x/" * 500 + "x"]


@pytest.fixture(params=["fake", "local", *S3_SERVERS])
def bucket(request, tmp_path):
    """
    An empty bucket of each kind.
    """
    if request.param == "fake":
        return FakeStore()
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    return s3_store(request.getfixturevalue(request.param))


@pytest.fixture(params=S3_SERVERS)
def server(request) -> S3Endpoint:
    """
    An S3 server of each kind.
    """
    return request.getfixturevalue(request.param)


class TestEveryStore:
    def test_gives_back_what_was_put(self, bucket):
        """
        An object's bytes come back whole, and its size is known; empty ones too.
        """
        bucket.put("t/a", b"\x00bytes\xff")
        bucket.put("t/empty", b"")

        assert bucket.get("t/a") == b"\x00bytes\xff"
        assert bucket.get("t/empty") == b""
        assert (bucket.size("t/a"), bucket.size("t/empty")) == (7, 0)

    def test_puts_replace(self, bucket):
        """
        A second put of a key replaces the first, a shorter one too.
        """
        bucket.put("t/a", b"long before")
        bucket.put("t/a", b"after")

        assert bucket.get("t/a") == b"after"

    def test_other_bytes_have_another_tag(self, bucket):
        """
        Where a store names an object's bytes, the name stays while they do, and is another for
        others of the same length; a folder has none, and what is not there has none anywhere.
        """
        bucket.put("t/a", b"bytes")
        first = bucket.tag("t/a")
        assert first == bucket.tag("t/a")
        bucket.put("t/a", b"Bytes")

        assert (first is None) == isinstance(bucket, LocalStore)
        assert first is None or bucket.tag("t/a") != first
        assert bucket.tag("t/nowhere") is None

    def test_names_what_is_missing(self, bucket, tmp_path):
        """
        Whatever reads an object says which one is not there; its size is None.
        """
        for read in (bucket.get, bucket.stream, lambda key: bucket.get_file(key, tmp_path / "f")):
            with pytest.raises(ObjectNotFound, match="t/nowhere"):
                read("t/nowhere")

        assert bucket.size("t/nowhere") is None
        assert not (tmp_path / "f").exists()
        assert issubclass(ObjectNotFound, NotFound)

    def test_a_folder_is_not_an_object(self, bucket):
        """
        What is only the beginning of a key does not exist.
        """
        bucket.put("t/a/b", b"1")

        assert bucket.size("t/a") is None
        with pytest.raises(ObjectNotFound):
            bucket.get("t/a")

    def test_puts_if_absent_once(self, bucket):
        """
        The first of two conditional puts writes, the second says no and changes nothing.
        """
        assert bucket.put_if_absent("t/a", b"first")
        assert not bucket.put_if_absent("t/a", b"second")

        assert bucket.get("t/a") == b"first"
        assert [info.key for info in bucket.list("")] == ["t/a"]

    def test_a_conditional_put_respects_a_plain_one(self, bucket):
        """
        What a plain put wrote is there for a conditional one too.
        """
        bucket.put("t/a", b"plain")

        assert not bucket.put_if_absent("t/a", b"conditional")

    def test_moves_files(self, bucket, tmp_path):
        """
        A file goes in and comes out the same, replacing what the target held.
        """
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(os.urandom(3_000_001))
        target.write_bytes(b"old")

        bucket.put_file("t/file", source)
        bucket.get_file("t/file", target)

        assert source.read_bytes() == target.read_bytes()
        assert {source, target, tmp_path / "store"} >= set(tmp_path.iterdir())

    def test_takes_streams(self, bucket):
        """
        A stream of unknown length is stored whole, up to its limit, and counted.
        """
        data = os.urandom(2_500_000)

        assert len(data) == bucket.put_stream("t/s", OneWay(data), limit=len(data))
        assert data == bucket.get("t/s")

    def test_refuses_streams_beyond_the_limit(self, bucket):
        """
        One byte too many and nothing is stored; what was there before stays.
        """
        bucket.put("t/s", b"before")

        with pytest.raises(ValueError, match="more than the 10 bytes"):
            bucket.put_stream("t/s", OneWay(b"x" * 11), limit=10)
        with pytest.raises(ValueError, match="more than the 10 bytes"):
            bucket.put_stream("t/new", OneWay(b"x" * 5_000_000), limit=10)

        assert bucket.get("t/s") == b"before"
        assert [info.key for info in bucket.list("t/")] == ["t/s"]

    def test_takes_streams_of_a_type(self, bucket):
        """
        Any store may be told what a stream holds.
        """
        bucket.put_stream("t/s", OneWay(b"{}"), limit=2, content_type="application/json")

        assert bucket.get("t/s") == b"{}"

    def test_passes_on_a_clients_failure(self, bucket):
        """
        A client that hangs up in the middle is not taken for a broken store.
        """
        with pytest.raises(ConnectionResetError):
            bucket.put_stream("t/s", HangsUp(), limit=100)

        assert bucket.size("t/s") is None

    def test_streams_ranges_as_slices(self, bucket):
        """
        A range is what the same slice of the bytes is, also beyond the end.
        """
        data = b"0123456789"
        bucket.put("t/a", data)

        for start, end in product([0, 4, 10, 12], [None, 0, 4, 7, 10, 15]):
            assert data[start:end] == b"".join(bucket.stream("t/a", start, end)), (start, end)

    def test_streams_in_chunks(self, bucket):
        """
        A large object does not come as one piece.
        """
        data = os.urandom(2_500_000)
        bucket.put("t/a", data)

        chunks = list(bucket.stream("t/a"))

        assert data == b"".join(chunks)
        assert isinstance(bucket, FakeStore) or len(chunks) > 1

    def test_refuses_ranges_before_the_beginning(self, bucket):
        """
        Negative positions are a mistake, not "from the end".
        """
        bucket.put("t/a", b"0123456789")

        with pytest.raises(ValueError, match="got \\[-1, None\\)"):
            bucket.stream("t/a", -1)

    def test_missing_objects_have_no_ranges(self, bucket):
        """
        An empty range of a missing object is still missing.
        """
        with pytest.raises(ObjectNotFound):
            bucket.stream("t/nowhere", 4, 4)

    def test_lists_in_key_order(self, bucket):
        """
        A listing has every key with the prefix, and its size, in the order of the whole keys.
        """
        keys = ["t/a", "t/a-b", "t/a.c", "t/ab/c", "t/ab-", "t/b/1/2", "t/b/1.5", "t/é", "u/a"]
        for key in keys:
            bucket.put(key, key.encode())

        expected = [ObjectInfo(key, len(key.encode())) for key in sorted(keys)]
        assert expected == list(bucket.list(""))
        assert expected[:-1] == list(bucket.list("t/"))
        assert [i.key for i in bucket.list("t/a")] == ["t/a", "t/a-b", "t/a.c", "t/ab-", "t/ab/c"]
        assert [info.key for info in bucket.list("t/b/1")] == ["t/b/1.5", "t/b/1/2"]
        assert list(bucket.list("v/")) == []

    def test_lists_more_than_a_page(self, bucket):
        """
        A listing does not end where a server's page does.
        """
        if isinstance(bucket, FakeStore | LocalStore):
            pytest.skip("has no pages")
        for number in range(12):
            bucket.put(f"t/{number:02}", b"")
        pages = bucket._client.get_paginator
        bucket._client.get_paginator = lambda name: SmallPages(pages(name))
        try:
            assert len(list(bucket.list("t/"))) == 12
        finally:
            bucket._client.get_paginator = pages

    def test_knows_its_folders(self, bucket):
        """
        The next parts of the keys are told apart without listing what is below them.
        """
        for key in ("a/jobs/1/x", "a/jobs/2/x", "a/jobs/2/y", "a/file", "b/c", "top"):
            bucket.put(key, b"")

        assert list(bucket.folders("")) == ["a", "b"]
        assert list(bucket.folders("a/jobs/")) == ["1", "2"]
        assert list(bucket.folders("c/")) == []

    def test_deleted_objects_are_gone(self, bucket):
        """
        Deleting removes an object, and its folder from the folders; twice is no error.
        """
        bucket.put("t/a/b", b"1")

        bucket.delete("t/a/b")
        bucket.delete("t/a/b")
        bucket.delete("t/never/was")

        assert bucket.size("t/a/b") is None
        assert list(bucket.folders("")) == []

    def test_refuses_malformed_keys(self, bucket, tmp_path):
        """
        No key leaves the bucket, hides in it or is longer than the least of the stores allows.
        """
        uses = [
            lambda key: bucket.put(key, b""),
            lambda key: bucket.put_if_absent(key, b""),
            lambda key: bucket.put_file(key, tmp_path / "f"),
            lambda key: bucket.put_stream(key, io.BytesIO(b""), 1),
            lambda key: bucket.get(key),
            lambda key: bucket.get_file(key, tmp_path / "target"),
            lambda key: bucket.stream(key),
            lambda key: bucket.size(key),
            lambda key: bucket.delete(key),
            lambda key: bucket.upload_target(key, 60),
            lambda key: bucket.download_url(key, 60, "f"),
        ]
        (tmp_path / "f").touch()
        for use, key in product(uses, MALFORMED):
            with pytest.raises(ValueError, match="malformed object key"):
                use(key)

    def test_refuses_malformed_prefixes(self, bucket):
        """
        Listings do not leave the bucket either.
        """
        for look, prefix in product(
            [bucket.list, bucket.folders], ["/", "../", "t/../", "t//", ".tmp/"]
        ):
            with pytest.raises(ValueError, match="malformed object key"):
                list(look(prefix))

    def test_says_that_it_works(self, bucket):
        """
        A usable bucket passes its check, which leaves nothing behind.
        """
        bucket.check()

        assert list(bucket.list("")) == []

    def test_knows_its_room_or_nothing(self, bucket):
        """
        Free bytes are a number or unknown.
        """
        free = bucket.free_bytes()

        assert free is None or free > 0


class TestOneWriterWins:
    @pytest.mark.parametrize("kind", ["fake", "local", "moto"])
    def test_of_many_at_once(self, kind, request, tmp_path):
        """
        Of eight conditional puts at the same time exactly one writes. (Swift's are not atomic:
        that is why nothing rests on them alone.)
        """
        stores = {"fake": FakeStore, "local": lambda: LocalStore(tmp_path / "s")}
        store = stores.get(kind, lambda: s3_store(request.getfixturevalue(kind)))()
        store.put_if_absent("t/warm", b"")
        start, won = threading.Barrier(8), []

        def write(number):
            start.wait()
            if store.put_if_absent("t/a", b"%d" % number):
                won.append(number)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]

        assert len(won) == 1
        assert b"%d" % won[0] == store.get("t/a")


class TestLocalStore:
    def test_leaves_nothing_behind(self, tmp_path):
        """
        After writes that succeed, fail and lose, the folder holds the objects and nothing else.
        """
        store = LocalStore(tmp_path)
        store.put("t/a", b"1")
        store.put_if_absent("t/a", b"2")
        with pytest.raises(ValueError):
            store.put_stream("t/b", io.BytesIO(b"xx"), 1)
        with pytest.raises(ConnectionResetError):
            store.put_stream("t/b", HangsUp(), 100)

        assert [tmp_path / "t" / "a"] == [p for p in tmp_path.rglob("*") if p.is_file()]

    def test_forgets_what_killed_writers_left(self, tmp_path):
        """
        Temporary files of a day ago are removed at the start, young ones may be in use.
        """
        LocalStore(tmp_path)
        old, young = tmp_path / ".tmp" / "old", tmp_path / ".tmp" / "young"
        old.touch()
        young.touch()
        os.utime(old, (time.time() - 90_000,) * 2)

        LocalStore(tmp_path)

        assert [young] == list((tmp_path / ".tmp").iterdir())

    def test_forgets_them_whenever_it_is_told(self, tmp_path):
        """
        So that a process that runs for months does so too; how many there were is said.
        """
        store = LocalStore(tmp_path)
        (tmp_path / ".tmp" / "old").touch()
        store.put("t/a", b"1")

        assert store.remove_left_over() == 0
        assert store.remove_left_over(seconds=-1) == 1
        assert [tmp_path / "t" / "a"] == [p for p in tmp_path.rglob("*") if p.is_file()]

    def test_says_when_a_key_is_in_the_way(self, tmp_path):
        """
        A disk cannot hold `a` and `a/b`; the second one is refused, not reported missing.
        """
        store = LocalStore(tmp_path)
        store.put("t/a", b"1")
        store.put("u/a/b", b"1")

        for key in ("t/a/b", "u/a"):
            with pytest.raises(StorageError, match=f"{key}.*cannot be written") as caught:
                store.put(key, b"2")
            assert not isinstance(caught.value, NotFound)

    def test_says_when_the_folder_is_gone(self, tmp_path):
        """
        A store whose folder vanished fails its check.
        """
        store = LocalStore(tmp_path / "s")
        (tmp_path / "s" / ".tmp").rmdir()

        with pytest.raises(StorageError):
            store.check()


class TestS3Store:
    def test_keeps_to_its_prefix(self, server):
        """
        Two stores in one bucket do not see each other, even where one name begins the other.
        """
        one = open_store(s3_settings(server, "one"))
        other = open_store(s3_settings(server, "one-more/deep"))
        one.put("t/a", b"1")

        assert list(other.list("")) == []
        assert other.size("t/a") is None
        assert [info.key for info in one.list("")] == ["t/a"]
        one.delete("t/a")

    def test_remembers_content_types(self, server):
        """
        A JSON document is served as one, however it was written; a stream in parts, too.
        """
        store = open_store(s3_settings(server, "types"))
        store.put("t/a", b"{}", "application/json")
        store.put_stream("t/b", OneWay(b"{}"), 2, "application/json")
        store.put_stream("t/c", OneWay(b" " * (9 << 20)), 9 << 20, "application/json")

        client = s3_client(server)
        heads = [client.head_object(Bucket="tests", Key=f"types/t/{name}") for name in "abc"]

        assert {head["ContentType"] for head in heads} == {"application/json"}
        assert heads[-1]["ETag"].endswith('-2"')

    def test_sends_nothing_more_of_what_was_closed(self, server):
        """
        A source that was closed after it was read makes no object.
        """
        store, source = s3_store(server), OneWay(b"x" * 1_000_000)
        read, source.read = source.read, lambda size=-1: read(size) or source.close() or b""

        with pytest.raises(CancelledError):
            store.put_stream("t/a", source, limit=1_000_000)

        assert store.size("t/a") is None

    def test_lets_clients_put_and_get(self, server):
        """
        A signed URL takes bytes, another gives them under the wished name; both without our keys.
        """
        store = s3_store(server)
        target = store.upload_target("t/up load", 60)
        headers = {"Content-Type": "application/octet-stream"} | target.headers
        request = urllib.request.Request(target.url, b"bytes", headers, method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

        url = store.download_url("t/up load", 60, 'my "ünique" file.tar')
        with urllib.request.urlopen(url) as answer:
            shown = answer.headers["Content-Disposition"]
            assert answer.read() == b"bytes"

        assert shown == "attachment; filename*=UTF-8''my%20%22%C3%BCnique%22%20file.tar"

    def test_signs_for_the_public_address(self, server):
        """
        URLs for clients name the address that they can reach, whatever we use ourselves.
        """
        store = s3_store(server, s3_public_endpoint_url="https://files.example.org")

        assert store.upload_target("t/a", 60).url.startswith("https://files.example.org/tests/run-")
        assert store.download_url("t/a", 60, "a").startswith("https://files.example.org/tests/run-")

    def test_wrong_keys_are_told_from_an_outage(self, server):
        """
        A server that does not let us in is named so: trying again would not help.
        """
        if not server.checks_signatures:
            pytest.skip("lets everybody in")
        store = s3_store(server, s3_secret_key="wrong")

        with pytest.raises(StorageError, match="denied") as caught:
            store.get("t/a")

        assert not isinstance(caught.value, StorageUnavailable)

    def test_expired_urls_are_refused(self, server):
        """
        A URL works no longer than it was made for.
        """
        if not server.checks_signatures:
            pytest.skip("checks no signatures")
        store = s3_store(server)
        store.put("t/a", b"1")
        url = store.download_url("t/a", 1, "a")
        time.sleep(2.5)

        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(url)
        caught.value.close()

    def test_names_a_missing_bucket(self, server):
        """
        Without the bucket, the check and every write say which one to create.
        """
        store = open_store(s3_settings(server, store_url="s3://not-there/x"))

        with pytest.raises(StorageError, match="no bucket 'not-there'; create it"):
            store.check()
        with pytest.raises(StorageError, match="no bucket 'not-there'; create it"):
            store.put("t/a", b"1")

    def test_stores_large_files_in_parts(self, server, tmp_path):
        """
        A file above the part size comes back the same, and a stream beyond its limit leaves no
        unfinished upload.
        """
        store = s3_store(server)
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(os.urandom(65 << 20))

        store.put_file("t/large", source)
        store.get_file("t/large", target)
        with source.open("rb") as stream, pytest.raises(ValueError, match="more than"):
            store.put_stream("t/refused", stream, limit=(65 << 20) - 1)

        assert source.read_bytes() == target.read_bytes()
        client = s3_client(server)
        assert client.list_multipart_uploads(Bucket="tests").get("Uploads", []) == []
        store.delete("t/large")

    def test_aborts_uploads_of_killed_writers(self, server):
        """
        Parts that nobody has put together are removed when they are old, with the room they
        take; those of another prefix are somebody else's.
        """
        store, client = s3_store(server), s3_client(server)
        keys = {"ours": f"{store._prefix}t/a", "theirs": f"other-{store._prefix}t/a"}
        begun = {
            whose: client.create_multipart_upload(Bucket="tests", Key=key)["UploadId"]
            for whose, key in keys.items()
        }

        if server.checks_signatures:  # The fake one says that all of them began in 2010.
            assert store.remove_left_over() == 0
        assert store.remove_left_over(seconds=-60) == 1
        assert store.remove_left_over(seconds=-60) == 0

        found = client.list_multipart_uploads(Bucket="tests", Prefix="other-").get("Uploads", [])
        assert begun["theirs"] in [upload["UploadId"] for upload in found]
        client.abort_multipart_upload(Bucket="tests", Key=keys["theirs"], UploadId=begun["theirs"])

    def test_leaves_no_trace_of_finding_out(self, server):
        """
        The first conditional put of a process leaves that object alone, whenever it is killed:
        no object of another name is ever written.
        """
        store, written = s3_store(server), []
        store._client.meta.events.register(
            "provide-client-params.s3.PutObject", lambda params, **_: written.append(params["Key"])
        )

        assert store.put_if_absent("t/a", b"1")

        assert {f"{store._prefix}t/a"} == set(written)

    def test_looks_before_it_writes_where_nothing_else_helps(self, moto):
        """
        On a server that overlooks `If-None-Match`, or refuses it, a second conditional put still
        says no; the server is tried once only.
        """
        for make_worse in (overlook, refuse):
            store = open_store(s3_settings(moto, make_worse.__name__))
            asked = make_worse(store._client)

            assert store.put_if_absent("t/a", b"first")
            tried = len(asked)
            assert not store.put_if_absent("t/a", b"second")
            assert store.put_if_absent("t/b", b"first")

            assert store.get("t/a") == b"first"
            assert 0 < tried == len(asked)
            assert [info.key for info in store.list("")] == ["t/a", "t/b"]


class TestUnreachable:
    @pytest.fixture
    def store(self):
        """
        A store on a port that nobody listens on.
        """
        nobody = S3Endpoint(f"http://127.0.0.1:{free_port()}", "key", "secret")
        return open_store(s3_settings(nobody))

    def test_is_said_in_our_words(self, store):
        """
        A health check against a dead server fails soon, as an outage.
        """
        begin = time.monotonic()

        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            store.check()

        assert time.monotonic() - begin < 5


class TestOpenStore:
    def test_opens_folders(self, tmp_path):
        """
        A file URL is a folder, made where it was not; escapes are those of URLs.
        """
        settings = ConnectionSettings(redis_url="x", store_url=f"file://{tmp_path}/a%20b")

        open_store(settings).put("t/a", b"1")

        assert (tmp_path / "a b" / "t" / "a").read_bytes() == b"1"

    @pytest.mark.parametrize("url", ["", "store", "/abs", "file://host/a", "s3:///x", "http://x/y"])
    def test_says_what_it_wants(self, url):
        """
        Any other URL is refused with the two forms that work.
        """
        settings = ConnectionSettings(redis_url="x", store_url=url)

        with pytest.raises(ValueError, match="file:///absolute/folder or s3://bucket/prefix"):
            open_store(settings)


class OneWay(io.RawIOBase):
    """
    A stream that can only be read on, as a request's body.
    """

    def __init__(self, data: bytes):
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


class HangsUp:
    """
    A client whose connection breaks after the first bytes.
    """

    closed = False

    def __init__(self):
        self._left = [b"first"]

    def read(self, size: int = -1) -> bytes:
        if self._left:
            return self._left.pop()
        raise ConnectionResetError("the client is gone")


class SmallPages:
    """
    A paginator that asks for five keys at a time.
    """

    def __init__(self, paginator):
        self._paginator = paginator

    def paginate(self, **words):
        return self._paginator.paginate(**words, MaxKeys=5)


def overlook(client) -> list[str]:
    """
    Make a server that does not know `If-None-Match`.
    """
    asked = []

    def drop(params, **_):
        if params.pop("IfNoneMatch", None):
            asked.append("probe")

    client.meta.events.register("provide-client-params.s3.PutObject", lambda **k: drop(**k))
    return asked


def refuse(client) -> list[str]:
    """
    Make a server that answers 501 to `If-None-Match`.
    """
    asked = []

    def answer(request, **_):
        from botocore.awsrequest import AWSResponse

        if "If-None-Match" not in request.headers:
            return None
        asked.append("probe")
        body = b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
        raw = type("Raw", (), {"stream": lambda self, **_: iter([body])})()
        return AWSResponse(request.url, 501, {"Content-Type": "application/xml"}, raw)

    client.meta.events.register("before-send.s3.PutObject", answer)
    return asked

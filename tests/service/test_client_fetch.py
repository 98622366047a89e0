import hashlib
import json

import httpx
import pytest
from support.fake_service import FakeService, body, page

from service.client import Client, ClientError, ConnectionFailed, CorruptDownload, Misused

SHARDS = {f"data/shard-00000{i}.tar": bytes([i]) * 1000 for i in range(3)}
OTHERS = {"README.md": b"# faces", "previews/overview.png": b"png"}
URL = "/v1/generations/gnn_1/files/"


class Bucket:
    """
    Serves the files of one generation, with or without byte ranges.
    """

    def __init__(self, service: FakeService, files: dict[str, bytes]) -> None:
        self.files = dict(files)
        self.knows_ranges = True
        self.service = service
        for path in files:
            service.on("GET", URL + path, self.answer)
        service.on("GET", URL + "manifest.json", lambda _: httpx.Response(200, content=self.index))
        service.on("GET", "/v1/generations/gnn_1", body({"id": "gnn_1", "state": "ready"}))
        self.index = manifest(files)

    def answer(self, request: httpx.Request) -> httpx.Response:
        content = self.files[request.url.path.removeprefix(URL)]
        wanted = request.headers.get("Range")
        if wanted and self.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            return httpx.Response(206, content=content[start:])
        return httpx.Response(200, content=content)

    def fetched(self) -> list[str]:
        files = [path for path in self.service.paths("GET") if path.startswith(URL)]
        return sorted({path.removeprefix(URL) for path in files} - {"manifest.json"})


class BrokenStream(httpx.SyncByteStream):
    """
    Gives some bytes, then the connection breaks.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self):
        yield self._content
        raise httpx.ReadError("connection reset by peer")


def manifest(files: dict[str, bytes]) -> bytes:
    """
    A generation's manifest of these files.
    """

    def entry(path: str) -> dict:
        content = files[path]
        digest = hashlib.sha256(content).hexdigest()
        return {"path": path, "bytes": len(content), "sha256": digest}

    shards = [{**entry(path), "samples": 1} for path in files if path.startswith("data/")]
    others = [entry(path) for path in files if not path.startswith("data/")]
    return json.dumps({"shards": shards, "files": others}).encode()


@pytest.fixture
def service():
    """
    A service without routes.
    """
    return FakeService()


@pytest.fixture
def bucket(service):
    """
    A generation of three shards and two other files.
    """
    return Bucket(service, SHARDS | OTHERS)


@pytest.fixture
def client(service):
    """
    A client of the service, which does not really sleep.
    """
    with Client("http://handsoff.test", transport=service) as client:
        client.transport.sleep = lambda _: None
        yield client


def files_in(folder) -> dict[str, bytes]:
    """
    Everything in a folder.
    """
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


class TestFetch:
    def test_brings_everything_the_manifest_names(self, client, bucket, tmp_path):
        """
        Afterwards the folder holds the generation, byte for byte, and nothing else.
        """
        told = []

        folder = client.fetch("gnn_1", tmp_path / "new", lambda *count: told.append(count))

        assert files_in(folder) == SHARDS | OTHERS | {"manifest.json": bucket.index}
        assert told[-1] == (3010, 3010)

    def test_the_manifest_comes_last(self, client, service, bucket, tmp_path):
        """
        While a file is missing there is no manifest, so that the folder does not look complete.
        """
        service.instead("GET", URL + "README.md", httpx.ReadError("gone"))

        with pytest.raises(ConnectionFailed):
            client.fetch("gnn_1", tmp_path)

        assert "manifest.json" not in files_in(tmp_path)

    def test_does_not_fetch_what_is_there(self, client, bucket, tmp_path):
        """
        A second call asks for the files that are missing or wrong, and for no others.
        """
        client.fetch("gnn_1", tmp_path)
        (tmp_path / "README.md").write_bytes(b"# edited")
        (tmp_path / "data/shard-000001.tar").unlink()
        bucket.service.seen.clear()

        client.fetch("gnn_1", tmp_path)

        assert bucket.fetched() == ["README.md", "data/shard-000001.tar"]
        assert files_in(tmp_path) == SHARDS | OTHERS | {"manifest.json": bucket.index}

    def test_goes_on_with_half_a_file(self, client, bucket, tmp_path):
        """
        What an interrupted call left of a file is not fetched again.
        """
        shard = "data/shard-000001.tar"
        (tmp_path / "data").mkdir()
        (tmp_path / f"{shard}.partial").write_bytes(SHARDS[shard][:400])

        client.fetch("gnn_1", tmp_path)

        asked = {r.url.path: r.headers.get("Range") for r in bucket.service.seen}
        assert asked[URL + shard] == "bytes=400-"
        assert (tmp_path / shard).read_bytes() == SHARDS[shard]

    def test_a_service_without_ranges_is_fetched_from_whole(self, client, bucket, tmp_path):
        """
        Where a range is answered with the whole file, the half that was there is dropped.
        """
        bucket.knows_ranges = False
        shard = "data/shard-000002.tar"
        (tmp_path / "data").mkdir()
        (tmp_path / f"{shard}.partial").write_bytes(SHARDS[shard][:400])

        client.fetch("gnn_1", tmp_path)

        assert (tmp_path / shard).read_bytes() == SHARDS[shard]

    def test_a_broken_connection_is_mended(self, client, service, bucket, tmp_path):
        """
        When the connection breaks inside a file, the rest is fetched over a new one.
        """
        shard = "data/shard-000000.tar"
        half = httpx.Response(200, stream=BrokenStream(SHARDS[shard][:600]))
        service.instead("GET", URL + shard, lambda _: half, bucket.answer)

        client.fetch("gnn_1", tmp_path)

        asked = [r.headers.get("Range") for r in service.seen if r.url.path == URL + shard]
        assert asked == [None, "bytes=600-"]
        assert (tmp_path / shard).read_bytes() == SHARDS[shard]

    def test_half_of_another_file_is_thrown_away(self, client, bucket, tmp_path):
        """
        When beginning and rest do not belong together, the file is fetched anew, whole.
        """
        shard = "data/shard-000001.tar"
        (tmp_path / "data").mkdir()
        (tmp_path / f"{shard}.partial").write_bytes(b"x" * 400)
        told = []

        client.fetch("gnn_1", tmp_path, lambda *count: told.append(count))

        assert (tmp_path / shard).read_bytes() == SHARDS[shard]
        assert told[-1] == (3010, 3010)

    def test_wrong_bytes_are_refused(self, client, bucket, tmp_path):
        """
        A file that differs from its digest twice is named; neither it nor a manifest is left.
        """
        shard = "data/shard-000001.tar"
        bucket.files[shard] = b"y" * 1000

        with pytest.raises(CorruptDownload, match="shard-000001"):
            client.fetch("gnn_1", tmp_path)

        left = files_in(tmp_path)
        assert shard not in left
        assert f"{shard}.partial" not in left
        assert "manifest.json" not in left

    def test_another_manifest_does_not_survive(self, client, bucket, tmp_path):
        """
        A folder that holds another generation stops looking complete before it is changed.
        """
        (tmp_path / "manifest.json").write_text("another")
        bucket.files["README.md"] = b"damaged"

        with pytest.raises(CorruptDownload):
            client.fetch("gnn_1", tmp_path)

        assert "manifest.json" not in files_in(tmp_path)

    @pytest.mark.parametrize("path", ["../evil", "/etc/evil", "data/../../evil", "a\\..\\evil"])
    def test_files_stay_in_the_folder(self, client, service, tmp_path, path):
        """
        A manifest that names a file outside the folder is refused before anything is written.
        """
        Bucket(service, {**SHARDS, path: b"evil"})
        target = tmp_path / "inner"

        with pytest.raises(ClientError, match="outside the folder"):
            client.fetch("gnn_1", target)

        assert files_in(tmp_path) == {}

    def test_large_files_come_in_pieces(self, client, service, tmp_path):
        """
        Progress is told piece by piece, and the bytes are right at the joints.
        """
        shard, pieces = "data/shard-000000.tar", [b"a" * 3000, b"b" * 5000, b"c"]
        Bucket(service, {shard: b"".join(pieces)})
        service.instead("GET", URL + shard, lambda _: httpx.Response(200, content=iter(pieces)))
        told = []

        client.fetch("gnn_1", tmp_path, lambda *count: told.append(count))

        assert (tmp_path / shard).read_bytes() == b"".join(pieces)
        assert told == [(0, 8001), (3000, 8001), (8000, 8001), (8001, 8001)]

    def test_other_resources_are_listed_by_the_service(self, client, service, tmp_path):
        """
        A resource without a manifest of digests is fetched by its list of files.
        """
        digest = hashlib.sha256(b"{}").hexdigest()
        listed = [{"path": "report.json", "bytes": 2, "sha256": digest}]
        service.on("GET", "/v1/evaluations/evl_1", body({"id": "evl_1", "state": "ready"}))
        service.on("GET", "/v1/evaluations/evl_1/files", page(listed))
        service.on("GET", "/v1/evaluations/evl_1/files/report.json", body({}))

        client.fetch("evl_1", tmp_path)

        assert files_in(tmp_path) == {"report.json": b"{}"}

    def test_what_is_not_ready_is_not_fetched(self, client, service, tmp_path):
        """
        A generation on its way is refused with its state, and no folder is made.
        """
        service.on("GET", "/v1/generations/gnn_1", body({"id": "gnn_1", "state": "running"}))

        with pytest.raises(Misused, match="gnn_1 is running"):
            client.fetch("gnn_1", tmp_path / "new")

        assert not (tmp_path / "new").exists()

    def test_an_id_of_no_resource_is_named(self, client, tmp_path):
        """
        Asking for the files of a job is answered with what ids look like.
        """
        with pytest.raises(Misused, match=r"'job_1' is no resource's id.*gnn_"):
            client.fetch("job_1", tmp_path)

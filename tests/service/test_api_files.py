import hashlib
from dataclasses import replace

import pytest
from support.api import CARD, problem, serve

from service.downloads import Downloads

SHARD = bytes(range(256)) * 4
DIGEST = hashlib.sha256(SHARD).hexdigest()
PATH = "data/shard-000000.tar"
MANIFEST = {
    "schema_version": 1,
    "shards": [{"path": PATH, "bytes": len(SHARD), "sha256": DIGEST, "samples": 2}],
}


class BucketWithADoor:
    """
    A store that signs URLs, as S3 does.
    """

    def __init__(self, store):
        self.size = store.size

    def download_url(self, key, expires_seconds, filename):
        return f"https://bucket/{key}?seconds={expires_seconds}&name={filename}"


@pytest.fixture
def generation(api):
    """
    A finished generation of one shard.
    """
    body = {"label_generator_ids": [api.label_generator()], "count": 2}
    generation = api.made("generations", body)
    api.put_file("generations", generation, PATH, SHARD)
    api.put_file("generations", generation, "shards/000000.json", b"{}")
    api.finish("generations", generation, MANIFEST)
    return generation


@pytest.fixture
def shard(generation):
    """
    Where its shard is.
    """
    return f"/v1/generations/{generation}/files/{PATH}"


class TestList:
    def test_tells_size_digest_and_where(self, api, generation, shard):
        """
        Every file that users want, with what it must be found to be; none of our notes.
        """
        files = api.get(f"/v1/generations/{generation}/files").json()["data"]

        assert [file["path"] for file in files] == [PATH, "manifest.json"]
        assert {
            "path": PATH,
            "bytes": len(SHARD),
            "sha256": DIGEST,
            "url": f"http://testserver{shard}",
        } == files[0]
        assert [api.get(file["url"]).status_code for file in files] == [200, 200]

    def test_comes_in_pages(self, api, generation):
        """
        A long list is followed by its cursor.
        """
        first = api.get(f"/v1/generations/{generation}/files?limit=1")
        second = api.get(first.links["next"]["url"])

        assert [answer.json()["data"][0]["path"] for answer in (first, second)] == [
            PATH,
            "manifest.json",
        ]
        assert (first.json()["has_more"], second.json()["has_more"]) == (True, False)

    def test_shows_the_attempt_that_counts(self, api):
        """
        What an attempt that died left behind is not shown, nor handed out.
        """
        trained = api.label_generator()
        for attempt in (1, 2):
            path = f"attempts/{attempt}/preview.png"
            api.put_file("label-generators", trained, path, b"png")
        api.finish("label-generators", trained, {**CARD, "preview": "attempts/2/preview.png"})
        root = f"/v1/label-generators/{trained}/files"

        paths = [file["path"] for file in api.get(root).json()["data"]]

        assert paths == ["attempts/2/preview.png", "card.json"]
        problem(api.get(f"{root}/attempts/1/preview.png"), 404, "not_found")


class TestDownload:
    def test_gives_the_bytes(self, api, shard):
        """
        The whole file, its type, its digest as the ETag, and the name to save it under.
        """
        answer = api.get(shard)

        assert (answer.status_code, answer.content) == (200, SHARD)
        assert (
            "application/x-tar",
            str(len(SHARD)),
            f'"{DIGEST}"',
            "bytes",
            "attachment; filename*=UTF-8''shard-000000.tar",
            "nosniff",
        ) == tuple(
            answer.headers[name]
            for name in (
                "content-type",
                "content-length",
                "etag",
                "accept-ranges",
                "content-disposition",
                "x-content-type-options",
            )
        )

    @pytest.mark.parametrize(
        ("wanted", "start", "end"),
        [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-4", 1020, 1024)],
    )
    def test_gives_a_part(self, api, shard, wanted, start, end):
        """
        A download that broke off goes on where it stopped.
        """
        answer = api.get(shard, headers={"Range": wanted})

        assert (206, SHARD[start:end]) == (answer.status_code, answer.content)
        assert f"bytes {start}-{end - 1}/1024" == answer.headers["content-range"]
        assert str(end - start) == answer.headers["content-length"]

    def test_a_part_of_another_version_is_not_given(self, api, shard):
        """
        If-Range with another digest means: then all of it.
        """
        headers = {"Range": "bytes=0-9", "If-Range": '"other"'}
        assert (
            (answer := api.get(shard, headers=headers)).status_code,
            answer.content,
        ) == (200, SHARD)
        headers["If-Range"] = f'"{DIGEST}"'
        assert api.get(shard, headers=headers).status_code == 206

    def test_a_range_behind_the_end_is_refused(self, api, shard):
        """
        The refusal tells the file's size, as RFC 9110 wants it.
        """
        answer = api.get(shard, headers={"Range": "bytes=1024-"})

        told = problem(answer, 416, "range_not_satisfiable")
        assert "1024 bytes" in told["detail"]
        assert answer.headers["content-range"] == "bytes */1024"

    def test_what_the_client_has_is_not_sent_again(self, api, shard):
        """
        If-None-Match with the digest is answered with 304 and no bytes.
        """
        answer = api.get(shard, headers={"If-None-Match": f'"{DIGEST}"'})

        assert (answer.status_code, answer.content) == (304, b"")

    def test_the_size_may_be_asked_for_alone(self, api, shard):
        """
        HEAD answers as GET does, without the bytes.
        """
        answer = api.send("HEAD", shard)

        assert (
            answer.status_code,
            answer.content,
            answer.headers["content-length"],
        ) == (200, b"", "1024")

    @pytest.mark.parametrize(
        "path",
        [
            "nothing.tar",
            "resource.json",
            "shards/000000.json",
            "../x",
            "%2e%2e/%2e%2e/x",
            "a//b",
            "",
        ],
    )
    def test_other_paths_are_not_found(self, api, generation, path):
        """
        What is not there, what is ours, and what leads elsewhere are all the same 404.
        """
        answer = api.get(f"/v1/generations/{generation}/files/{path}")

        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"

    def test_a_bucket_with_a_door_answers_itself(self, api, settings, services, generation, shard):
        """
        Where the store can sign URLs the client is sent there, for a while and not for ever.
        """
        downloads = Downloads(BucketWithADoor(services.store), url_seconds=60)
        for other in serve(settings, replace(services, downloads=downloads)):
            answer = other.get(shard)

            place = f"default/generations/{generation}/{PATH}"
            assert (307, f"https://bucket/{place}?seconds=60&name=shard-000000.tar") == (
                answer.status_code,
                answer.headers["location"],
            )
            assert answer.headers["cache-control"] == "no-store"


class TestPreview:
    def test_is_shown_by_browsers(self, api):
        """
        The card says where the picture lies.
        """
        trained = api.label_generator()
        api.put_file("label-generators", trained, CARD["preview"], b"png")
        api.finish("label-generators", trained, CARD)

        answer = api.get(f"/v1/label-generators/{trained}/preview")

        assert (
            answer.status_code,
            answer.content,
            answer.headers["content-type"],
        ) == (200, b"png", "image/png")
        assert answer.headers["content-disposition"].startswith("inline")

    def test_is_not_there_before_the_end(self, api):
        """
        While it is being trained there is nothing to see.
        """
        trained = api.label_generator()

        told = problem(api.get(f"/v1/label-generators/{trained}/preview"), 409, "not_ready")

        assert trained in told["detail"]

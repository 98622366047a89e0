import hashlib
from dataclasses import replace

import anyio
import pytest
from support.api import problem, serve

from service.room import Room
from service.uploads import Uploads

CONTENT = b"0123456789" * 1000


def announce(api, **said):
    """
    The answer to an announced file.
    """
    return api.post("/v1/uploads", {"filename": "a.zip", **said})


class TestAnnouncing:
    def test_says_where_the_bytes_go(self, api):
        """
        An upload begins as pending, with an absolute URL to PUT its bytes to.
        """
        answer = announce(api, size=5)

        assert answer.status_code == 201
        body = answer.json()
        assert (body["state"], body["size"], body["filename"]) == ("pending", 5, "a.zip")
        here = f"/v1/uploads/{body['id']}"
        assert f"http://testserver{here}/content" == body["put"]["url"]
        assert here == answer.headers["location"]
        assert body == api.get(here).json()

    def test_the_same_request_announces_one_file(self, api):
        """
        A repetition under the same key is answered with the same upload, and marked.
        """
        headers = {"Idempotency-Key": "k"}
        first = api.post("/v1/uploads", {"filename": "a"}, headers=headers)
        again = api.post("/v1/uploads", {"filename": "a"}, headers=headers)

        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers

    def test_a_file_above_the_limit_is_refused_before_it_is_sent(self, api):
        """
        An announced size beyond the limit names the field and the limit.
        """
        body = problem(announce(api, size=1 << 60), 422, "invalid_request")

        assert body["errors"][0]["pointer"] == "/size"
        assert f"{50 << 30:,}" in body["detail"]
        assert api.stored() == []

    def test_needs_room(self, settings, services):
        """
        A file that the store has no room for is refused before it is sent.
        """
        room = Room(services.store, 1 << 60)
        full = replace(services, uploads=Uploads(services.store, room, 1 << 40))
        for api in serve(settings, full):
            body = problem(announce(api, size=5), 507, "insufficient_storage")

            assert "needs about 5 bytes; the store has room for 0" in body["detail"]
            assert api.stored() == []


class TestSending:
    def test_streams_the_bytes_to_the_store(self, api):
        """
        The bytes are stored as they came, and the upload is ready.
        """
        upload = announce(api, sha256=hashlib.sha256(CONTENT).hexdigest()).json()

        answer = api.put(f"/v1/uploads/{upload['id']}/content", content=CONTENT)

        assert (200, "ready", len(CONTENT)) == (
            answer.status_code,
            answer.json()["state"],
            answer.json()["size"],
        )
        assert api.services.store.get(f"default/uploads/{upload['id']}/content") == CONTENT

    @pytest.mark.parametrize(
        ("said", "pointer"), [({"sha256": "0" * 64}, "/sha256"), ({"size": 9999}, "/size")]
    )
    def test_other_bytes_than_announced_are_refused(self, api, said, pointer):
        """
        A wrong digest or size is named, and none of the bytes stay.
        """
        upload = announce(api, **said).json()["id"]

        answer = api.put(f"/v1/uploads/{upload}/content", content=CONTENT)

        body = problem(answer, 422, "checksum_mismatch")
        assert pointer == body["errors"][0]["pointer"]
        assert [f"default/uploads/{upload}/upload.json"] == api.stored()
        assert api.get(f"/v1/uploads/{upload}").json()["state"] == "pending"

    def test_that_stalls_is_cut_off(self, settings, services):
        """
        A client that sends no more gives its place to others, and nothing of it stays.
        """

        async def stalls():
            yield b"12345"
            await anyio.sleep(60)

        impatient = Uploads(services.store, services.room, 1 << 40, patience=0.1)
        for api in serve(settings, replace(services, uploads=impatient)):
            upload = announce(api).json()["id"]
            answer = api.put(f"/v1/uploads/{upload}/content", content=stalls())

            assert "0.1 s" in problem(answer, 408, "too_slow")["detail"]
            assert api.stored() == [f"default/uploads/{upload}/upload.json"]

    def test_may_be_repeated(self, api):
        """
        A client that did not hear the answer sends the file again.
        """
        upload = announce(api).json()["id"]
        for content in (b"one", b"two"):
            assert api.put(f"/v1/uploads/{upload}/content", content=content).status_code == 200

        assert api.services.store.get(f"default/uploads/{upload}/content") == b"two"

    def test_an_empty_file_is_a_file(self, api):
        """
        No bytes are bytes too: it is whoever reads them who must judge.
        """
        upload = announce(api).json()["id"]

        answer = api.put(f"/v1/uploads/{upload}/content", content=b"")

        assert (answer.json()["state"], answer.json()["size"]) == ("ready", 0)

    @pytest.mark.parametrize("upload", ["upl_none", "dst_1", "..", "upl_%2e%2e"])
    def test_to_an_unknown_upload_is_refused(self, api, upload):
        """
        Bytes for an upload that nobody announced are not stored.
        """
        answer = api.put(f"/v1/uploads/{upload}/content", content=b"x")

        assert answer.status_code == 404
        assert api.stored() == []


class TestLimits:
    @pytest.fixture
    def small(self, settings):
        """
        A service that takes uploads of ten bytes.
        """
        from service.services import connect_services

        tight = settings.model_copy(update={"max_upload_bytes": 10, "max_body_bytes": 1024})
        yield from serve(tight, connect_services(tight))

    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "streamed"])
    def test_a_body_above_the_limit_is_refused(self, small, announced):
        """
        Whether its length was announced or only found while it streamed, the answer is the same,
        and nothing of it stays.
        """
        upload = announce(small).json()["id"]

        async def chunks():
            for _ in range(3):
                yield b"12345"

        content = b"123451234512345" if announced else chunks()
        answer = small.put(f"/v1/uploads/{upload}/content", content=content)

        body = problem(answer, 413, "body_too_large")
        assert "10 bytes" in body["detail"]
        assert [f"default/uploads/{upload}/upload.json"] == small.stored()

    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "streamed"])
    def test_a_json_body_has_its_own_limit(self, small, announced):
        """
        A request that is not a file may not be as large as one.
        """

        async def chunks():
            yield b'{"filename": "'
            yield b"a" * 2000
            yield b'"}'

        content = b'{"filename": "' + b"a" * 2000 if announced else chunks()
        headers = {"Content-Type": "application/json"}
        answer = small.send("POST", "/v1/uploads", content=content, headers=headers)

        assert "1024 bytes" in problem(answer, 413, "body_too_large")["detail"]
        assert small.stored() == []

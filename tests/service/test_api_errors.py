"""Refusals that no route makes itself, and what every answer carries."""

import pytest
from fakes import FakeStore
from support.api import LABEL, parts_on, problem, serve

from service.auth import is_meant_for_us
from service.services import connect_services
from workers.errors import StorageError, StorageFull, StorageUnavailable


class TestFrameworkRefusals:
    def test_an_unknown_route_is_a_problem(self, api):
        """
        Method and path are named.
        """
        told = problem(api.get("/v2/generators"), 404, "route_not_found")

        assert "GET /v2/generators" in told["detail"]
        assert told["instance"] == "/v2/generators"

    def test_a_wrong_method_tells_the_right_ones(self, api):
        """
        The Allow header lists what the route knows.
        """
        answer = api.delete("/v1/generators")

        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, POST"

    @pytest.mark.parametrize("content", [b'{"filename": ', b"", b"[]", b"nothing", b"\xff"])
    def test_a_torn_body_is_a_problem(self, api, content):
        """
        A body that is no JSON, or is not there, is refused without an error of ours.
        """
        headers = {"Content-Type": "application/json"}

        answer = api.send("POST", "/v1/uploads", content=content, headers=headers)

        assert answer.status_code in {400, 422}
        problem(answer, answer.status_code, answer.json()["code"])

    @pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
    def test_a_body_that_is_not_called_json_is_refused(self, api, headers):
        """
        The remedy is the header to send.
        """
        answer = api.send("POST", "/v1/uploads", content=b'{"filename": "a"}', headers=headers)

        told = problem(answer, 415, "unsupported_media_type")
        assert "Content-Type: application/json" in told["remedy"]
        assert api.stored() == []

    def test_half_a_character_is_refused(self, api):
        """
        JSON can spell what no file can hold.
        """
        content = b'{"upload_id": "a\\ud800"}'
        headers = {"Content-Type": "application/json"}

        answer = api.send("POST", "/v1/generators", content=content, headers=headers)

        assert r"'\ud800'" in problem(answer, 422, "invalid_request")["detail"]
        assert api.stored() == []

    def test_a_form_where_a_form_is_wanted(self, api):
        """
        A JSON body for an item names the image as missing.
        """
        told = problem(
            api.post(f"/v1/datasets/{api.open_dataset()}/items", {}), 422, "invalid_request"
        )

        assert {"/image"} == {error["pointer"] for error in told["errors"]}

    def test_a_torn_form_is_a_problem(self, api):
        """
        A form without its boundary cannot be read.
        """
        headers = {"Content-Type": "multipart/form-data"}
        path = f"/v1/datasets/{api.open_dataset()}/items"

        answer = api.send("POST", path, content=b"x", headers=headers)

        problem(answer, 400, "malformed_body")


class TestFaults:
    @pytest.fixture
    def store(self):
        """
        A bucket that can be broken.
        """
        return FakeStore()

    @pytest.fixture
    def broken(self, settings, store):
        """
        A service on that bucket.
        """
        yield from serve(settings, connect_services(settings, parts_on(settings, store)))

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (StorageUnavailable("s3 at 10.0.0.1 is away"), 503, "store_unavailable"),
            (StorageError("s3 at 10.0.0.1 said no"), 502, "store_failed"),
            (StorageFull("10.0.0.1 is full"), 507, "insufficient_storage"),
            (RuntimeError("secret at 10.0.0.1"), 500, "internal_error"),
        ],
    )
    def test_of_the_store_leak_nothing(self, broken, store, error, status, code):
        """
        The answer says what is broken, but not where it is nor what it said.
        """
        store.broken = error

        answer = broken.post("/v1/datasets", {"label": LABEL})

        told = problem(answer, status, code)
        assert "10.0.0.1" not in answer.text
        assert any("10.0.0.1" in str(line) for line in broken.logs)
        assert told["remedy"]
        assert (status == 503) == ("retry-after" in answer.headers)

    def test_of_redis_are_told(self, settings, tmp_path):
        """
        Without Redis whatever needs it is refused for now, and what does not is served.
        """
        url = f"unix://{tmp_path}/nobody.sock"
        for api in serve(
            settings, connect_services(settings.model_copy(update={"redis_url": url}))
        ):
            problem(api.get("/v1/jobs/job_1"), 503, "queue_unavailable")
            problem(api.post("/v1/datasets", {"label": LABEL}), 503, "queue_unavailable")
            assert api.post("/v1/uploads", {"filename": "a"}).status_code == 201

    def test_that_nobody_foresaw_are_logged(self, broken, store):
        """
        The log holds the error under the id that the client was given.
        """
        store.broken = RuntimeError("what happened")
        answer = broken.post("/v1/datasets", {"label": LABEL})

        (failure,) = [line for line in broken.logs if line["event"] == "request failed"]
        assert failure["request_id"] == answer.headers["x-request-id"]
        assert failure["exc_info"]


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LocalHost"]
    )
    def test_this_machine_s_names_are_answered_to(self, host):
        """
        Whatever a client on this machine may call it, with or without the port.
        """
        assert is_meant_for_us(host, allow_remote=False)

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example:8000", "", "[", "::1]"]
    )
    def test_other_names_are_not(self, host):
        """
        A name that a web page has bent to this machine's address is not ours.
        """
        assert not is_meant_for_us(host, allow_remote=False)
        assert is_meant_for_us(host, allow_remote=True)

    def test_the_refusal_says_how_to_ask(self, settings):
        """
        Somebody behind a proxy of his own learns which setting is meant for that.
        """
        private = settings.model_copy(update={"allow_remote": False})
        for api in serve(private, connect_services(private)):
            told = problem(api.get("/v1/jobs"), 421, "unknown_host")

            assert "'testserver'" in told["detail"]
            assert "HANDSOFF_ALLOW_REMOTE=true" in told["remedy"]
            assert api.get("http://localhost/v1/jobs").status_code == 200


class TestEveryAnswer:
    def test_carries_the_client_s_id(self, api):
        """
        An id that the client sent comes back.
        """
        answer = api.get("/healthz", headers={"X-Request-ID": "mine-1"})

        assert answer.headers["x-request-id"] == "mine-1"

    @pytest.mark.parametrize("sent", ["a b", "x" * 65, "<script>", "a\tb"])
    def test_carries_an_id_of_ours_where_that_is_not_sane(self, api, sent):
        """
        What could forge a line of the log is not taken over.
        """
        answer = api.get("/healthz", headers={"X-Request-ID": sent})

        assert answer.headers["x-request-id"].isalnum()
        assert len(answer.headers["x-request-id"]) == 16

    @pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/generators/gen_x"])
    def test_tells_browsers_to_be_careful(self, api, path):
        """
        Refusals too may be opened in a browser.
        """
        headers = api.get(path).headers

        assert tuple(
            headers[name]
            for name in ("x-content-type-options", "x-frame-options", "referrer-policy")
        ) == ("nosniff", "DENY", "no-referrer")
        assert "default-src 'none'" in headers["content-security-policy"]

    def test_is_logged_once(self, api):
        """
        One line a request: the route rather than the path for grouping, status and time.
        """
        answer = api.get("/v1/generators/gen_x?token=secret")

        (line,) = [line for line in api.logs if line["event"] == "request"]
        assert (
            line["method"],
            line["route"],
            line["status"],
        ) == ("GET", "/v1/generators/{resource_id}", 404)
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["milliseconds"] >= 0
        assert "secret" not in str(line)

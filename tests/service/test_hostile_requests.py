"""Requests made to break in or to break down: headers, paths, bodies and addresses."""

import itertools
import json
import socket
from contextlib import suppress
from typing import ClassVar
from urllib.parse import quote

import pytest
from fastapi.routing import iter_route_contexts
from support.api import problem, serve
from support.service_process import service_process

from service.app import create_app
from service.services import connect_services

LABEL = {"kind": "segmentation", "classes": ["a", "b"]}
JSON = {"Content-Type": "application/json"}
# As they stand in the request line; httpx would tidy them up.
WAYS_OUT = [
    *("..", "../..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2f", "%252e%252e%252f"),
    *("..%5c..%5cetc", "%00", "a%00.png", "%ff%fe", "%c0%ae%c0%ae%2f", "%u002e%u002e", "....//"),
    *("/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "file:%2f%2f%2fetc%2fpasswd", "~root", "."),
    *("C:%5cboot.ini", "%e2%80%ae", "%0d%0aX-Injected:%20yes", "%ed%a0%80", "resource.json%00.png"),
    *(
        "a" * 3000,
        "%2e" * 1000,
        "*",
        "%",
        "%2",
        "%zz",
        "{}",
        "$(id)",
        "%3Cscript%3E",
        "-",
        "_" * 300,
    ),
]


@pytest.fixture
def things(api) -> dict[str, str]:
    """
    Something of each sort, for paths that lead to its files.
    """
    return {
        "uploads": api.upload(),
        "datasets": api.dataset(),
        "generators": api.generator(),
    }


class TestPaths:
    def test_no_part_of_a_path_leads_out(self, api, things):
        """
        Whatever stands in the place of an id, a key or a file's path names nothing.
        """
        here, before = f"/v1/datasets/{things['datasets']}", api.stored()

        for way in WAYS_OUT:
            asked = [
                *(("GET", f"{here}/files/{way}"), ("HEAD", f"{here}/files/items/{way}")),
                *(("DELETE", f"{here}/items/{way}"), ("GET", f"/v1/datasets/{way}/files")),
                *(("PUT", f"/v1/uploads/{way}/content"), ("GET", f"/v1/jobs/{way}/events")),
                ("POST", f"/v1/jobs/{way}/cancel"),
            ]
            answers = [api.send(method, path, content=b"") for method, path in asked]

            # The client itself resolves plain dots, and then asks for something else.
            fine = {200} if set(way) <= {".", "/"} else set()
            assert {a.status_code for a in answers} <= {400, 404, 405, 409, 422} | fine, way
            assert not any(b"root:" in answer.content for answer in answers)
            assert not any("x-injected" in answer.headers for answer in answers)
        assert api.stored() == before

    def test_every_route_with_a_path_bears_them(self, settings, api):
        """
        No route answers with an error of ours, whatever its parameters are.
        """
        routes = [
            (method, context.path)
            for context in iter_route_contexts(create_app(settings, api.services).routes)
            for method in sorted(context.methods or ())
            if "{" in (context.path or "")
        ]
        assert len(routes) > 30

        for (method, path), way in itertools.product(routes, ("%00", "..%2f..", "%ff", "a" * 2000)):
            filled = _filled(path, way)
            answer = api.send(method, filled, content=b"{}", headers=JSON)
            assert answer.status_code < 500, (method, filled, answer.text)

    def test_our_own_notes_are_not_handed_out(self, api, things):
        """
        What the service writes for itself beside a resource's files is not one of them.
        """
        for path in ("resource.json", "shards/000000.json", "attempts/1/x", "snapshots/x", "a.tmp"):
            problem(api.get(f"/v1/datasets/{things['datasets']}/files/{path}"), 404, "not_found")


def _filled(path: str, way: str) -> str:
    """A route's path with something in place of each parameter."""
    before, brace, rest = path.partition("{")
    return f"{before}{way}{_filled(rest.partition('}')[2], way)}" if brace else before


class TestBodies:
    @pytest.mark.parametrize("depth", [50, 900, 5_000, 200_000])
    def test_depth_is_no_fault_of_ours(self, api, depth):
        """
        A body that is nothing but brackets is refused, closed or not.
        """
        for opening, closing in ((b"[", b"]"), (b'{"label":', b"}"), (b'{"fit":', b"}")):
            for body in (opening * depth, opening * depth + b"1" + closing * depth):
                answer = api.send("POST", "/v1/datasets", content=body, headers=JSON)

                assert answer.status_code in {400, 413, 422}
                assert len(answer.content) < 16_384

    def test_an_answer_is_never_as_large_as_its_question(self, api):
        """
        A megabyte of wrong fields is told by the first of them and their number.
        """
        fields = {f"field{number}": number for number in range(20_000)}
        told = problem(api.post("/v1/uploads", fields), 422, "invalid_request")

        assert len(told["errors"]) == 50
        assert "20001 fields are wrong, the first 50" in told["detail"]
        assert len(json.dumps(told)) < 16_384

    def test_a_long_name_is_cut(self, api):
        """
        A field's name of a megabyte is not repeated in full.
        """
        answer = api.post("/v1/uploads", {"filename": "a", "n" * 900_000: 1})

        problem(answer, 422, "invalid_request")
        assert len(answer.content) < 4096

    def test_a_form_in_a_strange_charset(self, api):
        """
        Whatever encoding a form claims, it is read or refused.
        """
        body = (
            b'--XX\r\nContent-Disposition: form-data; name="image"; filename="+2AA-\xff.png"'
            b"\r\n\r\njunk\r\n--XX--\r\n"
        )
        path = f"/v1/datasets/{api.open_dataset()}/items"
        for charset in ("punycode", "undefined", "utf-7", "utf-16", "a\\0b", "idna", "x" * 999):
            headers = {"Content-Type": f"multipart/form-data; boundary=XX; charset={charset}"}
            answer = api.send("POST", path, content=body, headers=headers)

            assert answer.status_code in {400, 422}
            problem(answer, answer.status_code, answer.json()["code"])

    @pytest.mark.parametrize("parts", ["fields", "files"])
    def test_a_form_of_many_parts_is_refused(self, api, parts):
        """
        A form has no use for a thousand parts.
        """
        name = b'; filename="f"' if parts == "files" else b""
        head = b'--XX\r\nContent-Disposition: form-data; name="%d"%s\r\n\r\n\r\n'
        body = b"".join(head % (number, name) for number in range(1100)) + b"--XX--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}

        answer = api.send("POST", "/v1/datasets/dst_1/items", content=body, headers=headers)

        problem(answer, 400, "malformed_body")


class TestAddresses:
    """`s3://` addresses reach what the operator allowed, and nothing beside it."""

    ALLOWED = ("s3://models/faces/", "s3://public")
    TRICKS: ClassVar[list[str]] = [
        *("s3://models/faces", "s3://models/faces2/a", "s3://models/", "s3://models/a"),
        *("s3://models/faces/../secret", "s3://models/faces/..", "s3://models/faces/./a"),
        *("s3://models/faces//a", "s3://models/faces\\a", "s3://models/faces/..\\secret"),
        *("s3://MODELS/faces/a", "S3://models/faces/a", "s3:/models/faces/a", "s3:models/faces/a"),
        *("s3:///faces/a", "s3://", "s3://models", "s3://user:key@models/faces/a"),
        *("s3://models@evil/faces/a", "s3://models:80/faces/a", "s3://evil#s3://models/faces/a"),
        *("s3://evil?s3://models/faces/a", "s3://models%2ffaces/a", "s3://m\u043edels/faces/a"),
        *("s3://models/faces/\0a", "s3://models/faces/a\nb", "s3://models/faces/\u202ea"),
        *("http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gs://models/faces/a"),
        *("ftp://models/faces/a", "//models/faces/a", "/etc/passwd", " s3://models/faces/a"),
        *("s3://public2/a", "s3://publi", "s3://169.254.169.254/a", "s3://[::1]/a", "s3://-/a"),
        *("s3://models/faces/" + "a" * 990, "s3://models\uff0ffaces/a", "s3://models/faces/\ud800"),
    ]

    @pytest.fixture
    def open_to_some(self, settings):
        """
        A service that may read below two prefixes.
        """
        told = settings.model_copy(update={"import_prefixes": self.ALLOWED})
        yield from serve(told, connect_services(told))

    @pytest.mark.parametrize("collection", ["generators", "encoders", "datasets"])
    def test_tricks_are_refused(self, open_to_some, collection):
        """
        Neither spelling nor encoding makes an address of what lies elsewhere.
        """
        for address in self.TRICKS:
            body = {"source": address} | ({"label": LABEL} if collection == "datasets" else {})
            content = json.dumps(body).encode()
            answer = open_to_some.send("POST", f"/v1/{collection}", content=content, headers=JSON)

            assert answer.status_code == 422, (address, answer.text)
        assert open_to_some.stored() == []

    def test_encoded_dots_are_letters(self, open_to_some):
        """
        An address is read literally: `%2e%2e` is the name of an object, however odd.
        """
        for address in ("s3://models/faces/%2e%2e/a", "s3://public/a", "s3://models/faces/a b"):
            answer = open_to_some.post("/v1/generators", {"source": address})

            assert answer.status_code == 202, answer.text
            assert answer.json()["spec"]["source"] == address


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """
    Where a service process of its own listens.
    """
    with service_process(tmp_path_factory.mktemp("service")) as service:
        yield service


def exchanged(service, *pieces: bytes) -> bytes:
    """
    What the service answers to these bytes, until it closes or says no more.
    """
    port = int(service.url.rpartition(":")[2])
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        with suppress(OSError):  # It may be closed already.
            connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            answer += data
    return answer


HOST = b"Host: localhost\r\n"


class TestTheWire:
    """What no HTTP client would send, on a socket."""

    SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ODD: ClassVar[dict[str, bytes]] = {
        "two-lengths": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\n",
        "length-and-chunks": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "negative-length": b"POST /v1/uploads HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        "signed-length": b"POST /v1/uploads HTTP/1.1\r\n" + HOST + b"Content-Length: +4\r\n\r\n",
        "hexadecimal-length": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 0x4\r\n\r\n",
        "endless-length": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: "
        + b"9" * 100
        + b"\r\n\r\n",
        "unknown-coding": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: xchunked\r\n\r\n",
        "coding-twice": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        "chunk-of-no-size": b"POST /v1/uploads HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "blank-before-colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A : b\r\n\r\n",
        "no-host": b"GET /healthz HTTP/1.1\r\n\r\n",
        "two-hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n",
        "zero-in-header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: a\0b\r\n\r\n",
        "no-http": b"\x16\x03\x01\x02\x00\x01\x00\x01",
        "long-header": b"GET /healthz HTTP/1.1\r\n"
        + HOST
        + b"X-A: "
        + b"a" * 200_000
        + b"\r\n\r\n",
        "many-headers": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: a\r\n" * 20_000 + b"\r\n",
        "long-path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        "endless-line": b"G" * 300_000,
    }

    @pytest.mark.parametrize("name", ODD)
    def test_what_is_no_http_is_refused(self, address, name):
        """
        Ambiguous lengths, torn headers and endless lines get one refusal, and the connection ends.
        """
        try:
            answer = exchanged(address, self.ODD[name])
        except (ConnectionResetError, BrokenPipeError):
            return  # Cut off before all of it was read.

        assert answer.count(b"HTTP/1.1 ") <= 1
        assert answer == b"" or answer.split()[1] in {b"400", b"501", b"421", b"431"}, answer[:80]

    def test_no_second_request_rides_along(self, address):
        """
        What follows a refused body is not taken for another request.
        """
        odd = self.ODD["length-and-chunks"] + self.SMUGGLED

        assert b'"status":"ok"' not in exchanged(address, odd)

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil", "127.0.0.1@evil", "[::1", "a b", "x" * 5000, ""]
    )
    def test_other_hosts_are_not_answered(self, address, host):
        """
        An open service answers to this machine's names alone.
        """
        request = f"GET /v1/jobs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

        assert exchanged(address, request.encode()).split()[1] in {b"400", b"421"}

    def test_headers_cannot_be_forged(self, address):
        """
        Line ends in a path or an id do not become headers of the answer.
        """
        request = (
            b"GET /v1/jobs/%0d%0aX-Forged:%20yes HTTP/1.1\r\n"
            + HOST
            + b"X-Request-ID: a%0d%0aX-Forged: yes\r\nConnection: close\r\n\r\n"
        )

        head = exchanged(address, request).partition(b"\r\n\r\n")[0]

        assert b"X-Forged" not in head

    def test_it_still_answers(self, address):
        """
        After all of that nothing is broken, and nothing was an error of ours.
        """
        for odd in self.ODD.values():
            try:
                exchanged(address, odd)
            except OSError:
                continue

        assert b'"status":"ok"' in exchanged(address, self.SMUGGLED)
        assert address.errors() == []


SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/jobs", 200),
        ("POST", "/v1/uploads", 422),
        ("GET", "/v1/jobs/job_1", 404),
        ("GET", "/v1/jobs/job_1/events", 404),
        ("GET", "/nowhere", 404),
        ("TRACE", "/v1/jobs", 405),
        ("OPTIONS", "/v1/jobs", 405),
        ("GET", "/openapi.json", 200),
        ("POST", "/v1/" + quote("../" * 9), 404),
    ],
)
def test_every_answer_tells_browsers_to_be_careful(api, method, path, status):
    """
    Successes, refusals and documents alike; and no other site may read them.
    """
    answer = api.send(
        method, path, headers={**JSON, "Origin": "https://evil.example"}, content=b"{}"
    )

    assert status == answer.status_code
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
    assert "access-control-allow-origin" not in answer.headers
    assert "default-src 'none'" in answer.headers["content-security-policy"]

"""One attempt to deliver: it ends in time and goes where it was judged to go."""

import datetime
import ipaddress
import ssl
import time

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.receiver import receiver_server

from workers.posting import Poster
from workers.receivers import Receiver


@pytest.fixture
def server():
    with receiver_server() as server:
        yield server


def send(url, *addresses, limit=5.0, tls=None):
    """
    What becomes of an attempt.
    """
    poster = Poster(limit, tls) if tls else Poster(limit)
    receiver = Receiver(httpx.URL(url), addresses or ("127.0.0.1",))
    return anyio.run(poster.send, receiver, b'{"a":1}', {"X-Test": "yes"})


def test_the_body_arrives_as_it_is(server):
    """
    With our headers, to the path, under the name that was registered.
    """
    url = server.url.replace("127.0.0.1", "hooks.example")

    sent = send(url)

    (got,) = server.got
    assert (sent.status, sent.error) == (200, None)
    assert (got.body, got.path, got.headers["X-Test"]) == (b'{"a":1}', "/hook", "yes")
    assert got.headers["Host"] == url.split("/")[2]


def test_redirects_are_not_followed(server):
    """
    They might lead to where nobody judged.
    """
    server.statuses, server.headers = [302], {"Location": server.url}

    sent = send(server.url)

    assert (sent.status, sent.error, len(server.got)) == (302, "redirects are not followed", 1)


def test_long_answers_are_cut_off(server):
    """
    64 KiB are read, and no more.
    """
    server.body = b"x" * (1 << 20)

    assert "longer than 65536 bytes" in send(server.url).error


def test_a_dripping_answer_does_not_hold_us(server):
    """
    The limit is for the whole attempt, not for each byte of it.
    """
    server.body, server.pause = b"x" * 1000, 0.05
    started = time.monotonic()

    sent = send(server.url, limit=0.3)

    assert sent.error == "no whole answer within 0.3 s"
    assert time.monotonic() - started < 3


def test_the_next_address_is_tried(server):
    """
    A host with an address that takes no connection is reached by its other one.
    """
    assert send(server.url, "127.0.0.2", "127.0.0.1").status == 200


def test_nobody_there_is_told():
    """
    The error's name says what happened.
    """
    sent = send("http://127.0.0.1:9/")

    assert sent.status is None
    assert sent.error.startswith("ConnectError")


def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    """
    It would resolve the name once more, and go elsewhere.
    """
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert send(server.url).status == 200


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path):
        """
        Of hooks.example, signed by itself.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("hooks.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / "hooks.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def test_the_certificate_is_the_host_s_though_the_connection_is_pinned(self, certificate):
        """
        Connected to the address, checked against the name; under another name it is refused.
        """
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(certificate)
        trusting = ssl.create_default_context(cafile=certificate)
        with receiver_server(ours) as server:
            right = server.url.replace("127.0.0.1", "hooks.example")
            wrong = server.url.replace("127.0.0.1", "other.example")

            assert send(right, tls=trusting).status == 200
            assert "certificate" in send(wrong, tls=trusting).error
            assert "certificate" in send(right).error
            assert len(server.got) == 1

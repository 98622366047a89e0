"""Where the bucket has a door of its own, bytes go past the service."""

import httpx
import pytest
from support.api import parts_on, problem, serve
from support.s3 import s3_store

from service.services import connect_services


@pytest.fixture
def api(settings, moto):
    """
    A service on an S3 server.
    """
    yield from serve(settings, connect_services(settings, parts_on(settings, s3_store(moto))))


def send(made, content) -> int:
    """
    The status with which the bucket answers an upload's bytes.
    """
    put = made["put"]
    with httpx.Client(trust_env=False) as client:
        answer = client.request(put["method"], put["url"], headers=put["headers"], content=content)
        return answer.status_code


def test_uploads_go_to_the_bucket(api, moto):
    """
    The upload says where; it is ready once the bytes are there.
    """
    made = api.post("/v1/uploads", {"filename": "a", "size": 5}).json()

    assert made["put"]["url"].startswith(moto.url)
    assert send(made, b"bytes") == 200
    there = api.get(f"/v1/uploads/{made['id']}").json()
    assert (there["state"], there["size"]) == ("ready", 5)
    assert api.post("/v1/generators", {"upload_id": made["id"]}).status_code == 202


def test_a_torn_upload_is_not_used(api):
    """
    The service does not see such bytes come, but counts them before it uses them.
    """
    made = api.post("/v1/uploads", {"filename": "a", "size": 500}).json()
    send(made, b"bytes")

    told = problem(api.post("/v1/generators", {"upload_id": made["id"]}), 409, "not_ready")

    assert "5 bytes came, 500 were announced" in told["detail"]


def test_files_come_from_the_bucket(api):
    """
    The service sends a client there, with a URL that tells the file's name.
    """
    generator = api.generator()
    api.put_file("generators", generator, "preview.png", b"png")

    answer = api.get(f"/v1/generators/{generator}/files/preview.png")

    assert answer.status_code == 307
    with httpx.Client(trust_env=False) as client:
        sent = client.get(answer.headers["location"])
    assert sent.content == b"png"
    assert "preview.png" in sent.headers["content-disposition"]


def test_the_service_takes_bytes_too(api):
    """
    In a closed network clients may reach the service alone.
    """
    made = api.post("/v1/uploads", {"filename": "a", "size": 5}).json()

    answer = api.put(f"/v1/uploads/{made['id']}/content", content=b"bytes")

    assert (answer.status_code, answer.json()["state"]) == (200, "ready")
    assert api.services.store.get(f"default/uploads/{made['id']}/content") == b"bytes"


def test_of_bytes_that_are_wrong_nothing_stays(api):
    """
    What comes through the service is checked before it is in the bucket.
    """
    made = api.post("/v1/uploads", {"filename": "a", "size": 9}).json()

    answer = api.put(f"/v1/uploads/{made['id']}/content", content=b"bytes")

    problem(answer, 422, "checksum_mismatch")
    assert api.get(f"/v1/uploads/{made['id']}").json()["state"] == "pending"

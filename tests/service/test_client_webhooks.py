"""The client deletes, and looks after webhooks."""

import json

import httpx
import pytest
from support.fake_service import FakeService

from service.client import Client

WEBHOOK = {
    "id": "whk_1",
    "url": "https://hooks.example/",
    "events": ["job.failed"],
    "secret": "whsec_1",
    "created_at": "2026-01-01T00:00:00Z",
}
DELIVERY = {
    "id": "dlv_1",
    "type": "webhook.test",
    "state": "delivered",
    "created_at": "2026-01-01T00:00:00Z",
    "attempts": [{"at": "2026-01-01T00:00:00Z", "status": 200, "milliseconds": 3}],
}


@pytest.fixture
def service():
    return FakeService()


@pytest.fixture
def client(service):
    with Client("http://service", transport=service) as client:
        yield client


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, b""),
        ({"cascade": True}, b"cascade=true"),
        ({"cascade": True, "dry_run": True}, b"cascade=true&dry_run=true"),
    ],
)
def test_deletes_with_what_depends_on_it_only_if_told(client, service, options, query):
    """
    The service's default is to refuse.
    """
    gone = {"deleted": ["generators/gen_1"], "bytes": 7}
    service.on("DELETE", "/v1/generators/gen_1", httpx.Response(200, json=gone))

    deleted = client.generators.delete("gen_1", **options)

    assert (deleted.deleted, deleted.bytes) == (("generators/gen_1",), 7)
    assert service.seen[0].url.query == query


def test_uploads_can_be_deleted(client, service):
    """
    By themselves or by their ids.
    """
    service.on("DELETE", "/v1/uploads/upl_1", httpx.Response(200, json={}))
    client.uploads.delete("upl_1")

    assert service.paths("DELETE") == ["/v1/uploads/upl_1"]


def test_webhooks_are_made_tested_and_deleted(client, service):
    """
    The secret is there where it was made, and never in what is printed of it.
    """
    service.on("POST", "/v1/webhooks", httpx.Response(201, json=WEBHOOK))
    service.on("POST", "/v1/webhooks/whk_1/test", httpx.Response(202, json=DELIVERY))
    page = {"data": [DELIVERY], "has_more": False, "next_cursor": None}
    service.on("GET", "/v1/webhooks/whk_1/deliveries", httpx.Response(200, json=page))
    service.on("DELETE", "/v1/webhooks/whk_1", httpx.Response(204))

    webhook = client.webhooks.create("https://hooks.example/", ["job.failed"], name="mine")
    client.webhooks.test(webhook.id)
    (delivery,) = client.webhooks.deliveries(webhook.id)
    client.webhooks.delete(webhook.id)

    sent = json.loads(service.seen[0].content)
    wanted = {"url": "https://hooks.example/", "name": "mine", "events": ["job.failed"]}
    assert sent == wanted
    assert webhook.secret == "whsec_1"
    assert "whsec_1" not in repr(webhook)
    assert delivery.attempts[0].status == 200

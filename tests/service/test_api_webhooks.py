"""Webhooks over HTTP: made, tested, logged, deleted."""

from ipaddress import ip_network

import pytest
from support.api import problem, serve
from support.receiver import receiver_server

from service.client import is_signed
from service.services import connect_services
from service.webhooks import MOST
from workers.deliveries import Deliverer
from workers.posting import Poster
from workers.receivers import Receivers
from workers.webhooks import WebhookDocuments

LOCAL = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def api(settings):
    """
    A service that may tell receivers on this machine.
    """
    settings = settings.model_copy(update={"webhook_allow": LOCAL})
    yield from serve(settings, connect_services(settings))


@pytest.fixture
def server():
    with receiver_server() as server:
        yield server


@pytest.fixture
def deliverer(api):
    """
    What the reaper's process does beside its rounds.
    """
    jobs, store = api.services.jobs, api.services.store
    return Deliverer(jobs, WebhookDocuments(store), Receivers(LOCAL), Poster(2.0))


def made(api, server, **more):
    answer = api.post("/v1/webhooks", {"url": server.url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestMaking:
    def test_shows_the_secret_once(self, api, server):
        """
        The answer that made it has it, no other has.
        """
        webhook = made(api, server, events=["job.failed"], name="mine")

        assert webhook["secret"].startswith("whsec_")
        shown = api.get(webhook["links"]["self"]).json()
        assert shown == {k: v for k, v in webhook.items() if k != "secret"}
        assert api.get("/v1/webhooks").json()["data"] == [shown]

    def test_is_done_once(self, api, server):
        """
        A repetition, whose first answer was lost, is answered with the same secret.
        """
        key = {"Idempotency-Key": "one"}
        first = api.post("/v1/webhooks", {"url": server.url}, headers=key)
        again = api.post("/v1/webhooks", {"url": server.url}, headers=key)

        assert first.json() == again.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert len(api.get("/v1/webhooks").json()["data"]) == 1

    @pytest.mark.parametrize(
        "url", ["https://10.0.0.1/", "https://169.254.169.254/latest", "http://example.org/", "x"]
    )
    def test_refuses_what_is_inside(self, api, url):
        """
        Private addresses, metadata services and plain http, with the field that is to blame.
        """
        told = problem(api.post("/v1/webhooks", {"url": url}), 422, "receiver_not_allowed")

        assert [error["pointer"] for error in told["errors"]] == ["/url"]

    def test_refuses_events_that_nobody_knows(self, api, server):
        """
        A webhook that would hear of nothing is no use.
        """
        for events in ([], ["job.born"]):
            answer = api.post("/v1/webhooks", {"url": server.url, "events": events})
            problem(answer, 422, "invalid_request")

    def test_has_an_end(self, api, server):
        """
        Each end of a job is sent to each webhook, so that there may not be any number.
        """
        for _ in range(MOST):
            made(api, server)

        problem(api.post("/v1/webhooks", {"url": server.url}), 409, "too_many_webhooks")


class TestDeliveries:
    def test_of_a_test_is_signed_and_logged(self, api, server, deliverer):
        """
        What came can be checked with the secret, and is in the log with its attempt.
        """
        webhook = made(api, server)
        tested = api.post(webhook["links"]["test"])
        deliverer.round()

        (got,) = server.got
        signature = got.headers["HandsOff-Signature"]
        (logged,) = api.get(webhook["links"]["deliveries"]).json()["data"]
        assert tested.status_code == 202
        assert is_signed(webhook["secret"], signature, got.body)
        assert (logged["id"], logged["state"]) == (tested.json()["id"], "delivered")
        assert logged["type"] == "webhook.test"
        assert logged["attempts"][0]["status"] == 200

    def test_of_a_job_s_end_come_by_themselves(self, api, server, deliverer):
        """
        The service need not be asked.
        """
        webhook = made(api, server)
        generator = api.generator()
        api.finish("generators", generator)
        deliverer.round()

        (logged,) = api.get(webhook["links"]["deliveries"]).json()["data"]
        assert (logged["type"], logged["state"]) == ("job.succeeded", "delivered")
        assert logged["job_id"] == api.get(f"/v1/generators/{generator}").json()["job"]["id"]

    def test_come_in_pages(self, api, server, deliverer):
        """
        Newest first; the cursor leads on.
        """
        webhook = made(api, server)
        ids = [api.post(webhook["links"]["test"]).json()["id"] for _ in range(3)]
        deliverer.round()

        first = api.get(webhook["links"]["deliveries"], params={"limit": 2}).json()
        cursor = {"after": first["next_cursor"]}
        rest = api.get(webhook["links"]["deliveries"], params=cursor).json()
        assert [each["id"] for each in (*first["data"], *rest["data"])] == ids[::-1]
        assert not rest["has_more"]


def test_a_deleted_webhook_is_gone(api, server):
    """
    With its log and its secret; what is asked of it afterwards is 404.
    """
    webhook = made(api, server)
    api.post(webhook["links"]["test"])
    assert api.delete(webhook["links"]["self"]).status_code == 204

    for answer in (
        api.get(webhook["links"]["self"]),
        api.delete(webhook["links"]["self"]),
        api.post(webhook["links"]["test"]),
        api.get(webhook["links"]["deliveries"]),
    ):
        problem(answer, 404, "not_found")
    assert not [key for key in api.stored() if "webhooks" in key]


class TestSignatures:
    def test_are_of_the_body_and_of_now(self):
        """
        Another body, another secret, an old one or a malformed one: none of them is ours.
        """
        import datetime

        from workers.webhooks import signature

        at = datetime.datetime.fromtimestamp(1_700_000_000, datetime.UTC)
        header = signature("s", b"{}", at)

        assert is_signed("s", header, b"{}", now=1_700_000_100)
        assert not is_signed("s", header, b"{} ", now=1_700_000_100)
        assert not is_signed("t", header, b"{}", now=1_700_000_100)
        assert not is_signed("s", header, b"{}", now=1_700_000_301)
        assert not is_signed("s", "v1=0", b"{}", now=1_700_000_100)

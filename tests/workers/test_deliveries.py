"""Webhooks hear of every end of a job, whatever is lost on the way."""

import hashlib
import hmac
import json
from datetime import timedelta
from ipaddress import ip_network

import pytest
import structlog
from fakes import FakeClock, FakeQueue, FakeStore
from support.receiver import receiver_server
from support.system import TENANT, Processes, System, resource_for
from support.waiting import until

from workers import redis_names as names
from workers.clock import utc_now
from workers.deliveries import Deliverer, schedule
from workers.jobs import JobError, JobKind, JobState, Origin
from workers.measures import Measures
from workers.parts import open_parts
from workers.posting import Poster
from workers.presence import REAPER, processes
from workers.reaper import Reaper
from workers.receivers import Receivers
from workers.settings import ConnectionSettings
from workers.webhooks import (
    BACKOFF_SECONDS,
    DeliveryState,
    Event,
    Webhook,
    WebhookDocuments,
    new_delivery,
)

ALL = (Event.SUCCEEDED, Event.FAILED, Event.CANCELLED)
LOCAL = Receivers([ip_network("127.0.0.0/8")])


@pytest.fixture
def server():
    with receiver_server() as server:
        yield server


@pytest.fixture
def clock():
    return FakeClock(step_seconds=0.001)


@pytest.fixture
def system(redis, clock):
    return System.of(redis, FakeStore(), FakeQueue(), clock)


@pytest.fixture
def documents(system):
    return WebhookDocuments(system.store)


@pytest.fixture
def deliverer(system, documents, clock):
    return Deliverer(system.jobs, documents, LOCAL, Poster(2.0), clock)


@pytest.fixture
def webhook(system, documents, server, clock):
    webhook = Webhook(
        id="whk_1", tenant=TENANT, url=server.url, events=ALL, secret="s3cret", created_at=clock()
    )
    documents.add(webhook)
    return webhook


def log(documents) -> list:
    """
    The deliveries to the webhook, as the bucket has them.
    """
    found = documents.pending(TENANT, "whk_1") | documents.ended(TENANT, "whk_1")
    return [documents.delivery(TENANT, "whk_1", name) for name in sorted(found)]


class TestAnEnd:
    def test_is_told_of_once(self, system, deliverer, webhook, documents, server):
        """
        The job as it ended, under an id of its own; and the attempt is in the log.
        """
        job = system.submit()
        system.run_all()
        for _ in range(3):
            deliverer.round()

        (got,) = server.got
        told = json.loads(got.body)
        (delivery,) = log(documents)
        assert ("job.succeeded", delivery.id) == (told["type"], told["id"])
        assert (job.id, "succeeded") == (told["data"]["id"], told["data"]["state"])
        assert told["data"]["resource"] == list(job.resource)
        assert delivery.state is DeliveryState.DELIVERED
        assert [(a.status, a.error) for a in delivery.attempts] == [(200, None)]

    def test_is_signed(self, system, deliverer, webhook, server):
        """
        HMAC-SHA256 of the time and the very bytes that came.
        """
        system.submit()
        system.run_all()
        deliverer.round()

        (got,) = server.got
        at, signed = got.headers["HandsOff-Signature"].split(",")
        text = at.removeprefix("t=").encode() + b"." + got.body
        expected = hmac.new(b"s3cret", text, hashlib.sha256).hexdigest()
        assert f"v1={expected}" == signed

    def test_of_other_kinds_is_not_told(self, system, deliverer, documents, server, clock):
        """
        Who asked for failures hears of these, and of nothing that ended before it asked.
        """
        system.submit()
        system.run_all()
        documents.add(
            Webhook(
                id="whk_1",
                tenant=TENANT,
                url=server.url,
                events=(Event.FAILED,),
                secret="s",
                created_at=clock(),
            )
        )
        system.submit()
        system.run_all()
        failed = system.submit()
        system.orchestrator.step_failed(system.claim(), JobError(code="bad", message="bad"))
        deliverer.round()

        assert [json.loads(got.body)["data"]["id"] for got in server.got] == [failed.id]
        assert json.loads(server.got[0].body)["data"]["error"]["code"] == "bad"

    def test_of_another_tenant_is_not_told(self, system, deliverer, documents, server, clock):
        """
        Webhooks hear of their own tenant alone.
        """
        documents.add(
            Webhook(
                id="whk_1", tenant="t2", url=server.url, events=ALL, secret="s", created_at=clock()
            )
        )
        system.submit()
        system.run_all()
        deliverer.round()

        assert not server.got

    def test_is_logged_with_its_request(self, system, deliverer, webhook, server):
        """
        The line about an attempt says which job ended, and which request had asked for it; what is
        sent does not.
        """
        resource, origin = resource_for(JobKind.INGEST), Origin(request_id="req-42")
        job = system.orchestrator.submit(resource, JobKind.INGEST, origin=origin)
        system.run_all()
        with structlog.testing.capture_logs() as lines:
            deliverer.round()

        (line,) = lines
        assert (line["job"], line["tenant"], line["request_id"]) == (job.id, TENANT, "req-42")
        assert b"req-42" not in server.got[0].body

    def test_is_counted(self, system, deliverer):
        """
        By kind, state and code, for the service's metrics.
        """
        system.submit()
        system.run_all()
        deliverer.round()

        counted = {(measure, labels): value for measure, labels, value in deliverer_sums(system)}
        assert counted["jobs", ("ingest", "succeeded", "")] == 1


def deliverer_sums(system):
    """
    What was counted so far.
    """
    return Measures(system.jobs.redis).read()


class TestAReceiverThatFails:
    def test_is_tried_again_later_and_later(
        self, system, deliverer, webhook, documents, server, clock
    ):
        """
        Each time with the same id and a signature of its own, until it says yes.
        """
        server.statuses = [500, 503]
        system.submit()
        system.run_all()
        deliverer.round()
        deliverer.round()
        assert len(server.got) == 1
        for pause in BACKOFF_SECONDS[:2]:
            clock.now += timedelta(seconds=pause)
            deliverer.round()

        (delivery,) = log(documents)
        assert [a.status for a in delivery.attempts] == [500, 503, 200]
        assert len({json.loads(got.body)["id"] for got in server.got}) == 1
        assert len({got.headers["HandsOff-Signature"] for got in server.got}) > 1

    def test_is_given_up_in_the_end(self, system, deliverer, webhook, documents, server, clock):
        """
        After as many attempts as there are pauses, and one.
        """
        server.statuses = [500] * 20
        system.submit()
        system.run_all()
        for pause in (0, *BACKOFF_SECONDS, 3600, 3600):
            clock.now += timedelta(seconds=pause)
            deliverer.round()

        (delivery,) = log(documents)
        assert delivery.state is DeliveryState.GIVEN_UP
        assert len(server.got) == len(BACKOFF_SECONDS) + 1
        assert delivery.attempts[-1].error == "answered 500"

    def test_is_judged_again_each_time(self, system, webhook, documents, server, clock):
        """
        A name that has come to lead inside since it was registered gets nothing.
        """
        deliverer = Deliverer(system.jobs, documents, Receivers(), Poster(2.0), clock)
        system.submit()
        system.run_all()
        deliverer.round()

        (delivery,) = log(documents)
        assert not server.got
        assert "loopback" in delivery.attempts[0].error


class TestNothingIsLost:
    def forget(self, system, redis) -> None:
        """
        Redis loses everything, and the reaper finds it again.
        """
        redis.flushall()
        Reaper(system.orchestrator, system.queue, lease_seconds=60).round()

    def test_when_redis_is_emptied_before_it_was_heard_of(
        self, system, redis, deliverer, webhook, server
    ):
        """
        The job had ended; nobody had looked yet.
        """
        job = system.submit()
        system.run_all()
        self.forget(system, redis)
        deliverer.round()

        assert [json.loads(got.body)["data"]["id"] for got in server.got] == [job.id]

    def test_when_redis_is_emptied_between_two_attempts(
        self, system, redis, deliverer, webhook, documents, server
    ):
        """
        What was pending goes on with the attempts that it has had.
        """
        server.statuses = [500]
        system.submit()
        system.run_all()
        deliverer.round()
        self.forget(system, redis)
        deliverer.round()

        (delivery,) = log(documents)
        assert [a.status for a in delivery.attempts] == [500, 200]

    def test_and_nothing_is_told_twice(self, system, redis, deliverer, webhook, server):
        """
        What was delivered before Redis was emptied is in the bucket.
        """
        system.submit()
        system.run_all()
        deliverer.round()
        self.forget(system, redis)
        deliverer.round()

        assert len(server.got) == 1

    def test_when_the_deliverer_dies_after_it_took_one(
        self, system, redis, deliverer, webhook, documents, server, clock
    ):
        """
        A minute later the delivery is anybody's.
        """
        delivery = new_delivery(webhook, "dlv_1", Event.TEST, clock(), {})
        documents.begin(delivery)
        schedule(redis, [delivery])
        deliverer._claim(keys=[names.DELIVERIES], args=[2**50, _later(clock, 60), 10])
        deliverer.round()
        assert not server.got

        clock.now += timedelta(seconds=61)
        deliverer.round()

        assert len(server.got) == 1


def _later(clock, seconds) -> int:
    return round((clock.now.timestamp() + seconds) * 1000)


def test_a_webhook_that_is_deleted_gets_no_more(
    system, redis, deliverer, webhook, documents, server
):
    """
    What was on its way to it is dropped, from Redis too, and leaves nothing in the bucket.
    """
    job = system.submit()
    system.run_all()
    assert system.get(job).state is JobState.SUCCEEDED
    delivery = new_delivery(webhook, "dlv_1", Event.TEST, webhook.created_at, {})
    documents.begin(delivery)
    schedule(redis, [delivery])
    documents.remove(webhook)
    deliverer.round()

    assert not server.got
    assert redis.zcard(names.DELIVERIES) == 0
    assert not list(system.store.list(f"{TENANT}/webhooks/"))


def test_the_reaper_s_process_tells(redis, redis_url, tmp_path, server):
    """
    Nobody asks: a job ends, and whoever wanted to know is told by the process that is there.
    """
    with Processes(redis_url, tmp_path).reaper(webhook_allow="127.0.0.0/8"):
        settings = ConnectionSettings(redis_url=redis_url, store_url=f"file://{tmp_path}/store")
        parts = open_parts(settings)
        documents = WebhookDocuments(parts.store)
        documents.add(
            Webhook(
                id="whk_1",
                tenant=TENANT,
                url=server.url,
                events=ALL,
                secret="s",
                created_at=utc_now(),
            )
        )
        system = System(parts.store, parts.jobs, parts.queue, parts.orchestrator)
        job = system.submit()
        parts.orchestrator.cancel(TENANT, job.id)

        (got,) = until(lambda: server.got)
        parts.close()

    assert json.loads(got.body)["type"] == "job.cancelled"
    assert REAPER in {process.role for process in processes(redis)}

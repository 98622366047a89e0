"""What no rule keeps goes; what something needs stays, however old it is."""

from datetime import timedelta

import pytest
from fakes import FakeClock, FakeQueue, FakeStore
from support.system import TENANT, System, resource_for

from workers import keys
from workers import redis_names as names
from workers.jobs import JobError, JobKind
from workers.retention import Retention
from workers.retention_rules import parse_rules, spelled
from workers.tasks.context import canonical_json

OLD = timedelta(days=40)


@pytest.fixture
def clock():
    return FakeClock(step_seconds=0.001)


@pytest.fixture
def system(redis, clock):
    redis.set(names.REBUILT, "this life")
    return System.of(redis, FakeStore(), FakeQueue(), clock)


def retention(system, clock, rules="") -> Retention:
    return Retention(system.store, system.jobs, parse_rules(rules), clock)


def made(system, clock, kind, **parents):
    """
    A ready resource of a kind.
    """
    resource = resource_for(kind).model_copy(update={"parents": parents, "created_at": clock()})
    system.orchestrator.submit(resource, kind)
    system.run_all()
    return resource.id


def upload(system, clock, name="upl_1"):
    said = {"id": name, "created_at": clock().isoformat()}
    system.store.put(keys.inside(TENANT, "uploads", name, "upload.json"), canonical_json(said))
    system.store.put(keys.inside(TENANT, "uploads", name, "content"), b"12345")
    return name


def gone(keeper, dry=False) -> list[str]:
    return [doomed.place for doomed in keeper.apply(TENANT, dry)]


class TestRules:
    def test_are_written_as_they_are_read(self):
        """
        Each in its largest whole unit.
        """
        rules = parse_rules("generations=14d, uploads=36h jobs=forever")

        assert spelled(rules) == {"generations": "2w", "uploads": "36h", "jobs": "forever"}

    @pytest.mark.parametrize(
        "wrong", ["cats=1d", "jobs", "jobs=", "jobs=1y", "jobs=-1d", "deliveries=7d"]
    )
    def test_that_are_none_are_named(self, wrong):
        """
        The offending one is in the message.
        """
        with pytest.raises(ValueError, match=wrong):
            parse_rules(f"uploads=1d {wrong}")

    def test_of_a_tenant_come_first(self, system, clock):
        """
        Set beside those it has, they override the deployment's.
        """
        keeper = retention(system, clock, "uploads=7d jobs=90d")
        keeper.set_rules(TENANT, parse_rules("uploads=1d"))
        keeper.set_rules(TENANT, parse_rules("jobs=forever"))

        found = spelled(keeper.rules(TENANT))
        assert found == {"uploads": "1d", "jobs": "forever"}
        assert spelled(keeper.rules("other")) == {"uploads": "1w", "jobs": "90d"}


class TestResources:
    def test_go_when_they_are_old(self, system, clock):
        """
        Since their job ended; younger ones stay.
        """
        keeper = retention(system, clock, "generations=30d")
        old = made(system, clock, JobKind.GENERATE)
        clock.now += OLD
        young = made(system, clock, JobKind.GENERATE)

        assert gone(keeper, dry=True) == [f"generations/{old}"]
        assert gone(keeper) == [f"generations/{old}"]
        assert gone(keeper) == []
        assert {f"generations/{young}"} == {
            "/".join(i.key.split("/")[1:3]) for i in system.store.list(f"{TENANT}/generations/")
        }

    def test_stay_while_something_is_made_of_them(self, system, clock):
        """
        A ready evaluation keeps its generation; a rule for both lets both go, in one round.
        """
        generation = made(system, clock, JobKind.GENERATE)
        evaluation = made(system, clock, JobKind.EVALUATE, generation=generation)
        clock.now += OLD

        assert gone(retention(system, clock, "generations=30d")) == []
        both = retention(system, clock, "generations=30d evaluations=30d")
        assert gone(both) == [f"evaluations/{evaluation}", f"generations/{generation}"]

    def test_stay_while_a_job_needs_them(self, system, clock):
        """
        What is under way is not taken its parents.
        """
        dataset = made(system, clock, JobKind.INGEST)
        clock.now += OLD
        resource = resource_for(JobKind.INVERT).model_copy(update={"parents": {"dataset": dataset}})
        system.orchestrator.submit(resource, JobKind.INVERT)

        assert gone(retention(system, clock, "datasets=30d inversions=30d")) == []

    def test_that_are_open_stay(self, system, clock):
        """
        A dataset that still takes items is somebody's work.
        """
        resource = resource_for(JobKind.INGEST).model_copy(
            update={"job_id": None, "created_at": clock()}
        )
        document = canonical_json(resource.model_dump(mode="json"))
        system.store.put(keys.description(TENANT, "datasets", resource.id), document)
        clock.now += OLD

        assert gone(retention(system, clock, "datasets=30d jobs=30d")) == []


class TestJobs:
    def test_of_what_is_ready_go_without_it(self, system, clock, redis):
        """
        From the bucket and from Redis, its lists included; the resource stays ready.
        """
        generation = made(system, clock, JobKind.GENERATE)
        (record,), _ = system.jobs.list(TENANT, 10)
        clock.now += OLD
        before = set(redis.keys("handsoff:job:*"))

        assert gone(retention(system, clock, "jobs=30d")) == [f"jobs/{record.id}"]
        assert before
        assert not redis.keys("handsoff:job:*")
        assert system.jobs.list(TENANT, 10) == ([], None)
        assert not list(system.store.list(f"{TENANT}/jobs/"))
        assert system.store.size(keys.final(TENANT, "generations", generation)) is not None

    def test_that_failed_go_with_what_they_left(self, system, clock):
        """
        A failed resource without its job would look as if it were still coming.
        """
        job = system.submit(JobKind.GENERATE)
        system.orchestrator.step_failed(system.claim(), JobError(code="bad", message="bad"))
        clock.now += OLD

        assert gone(retention(system, clock, "jobs=30d")) == ["/".join(job.resource)]
        assert not list(system.store.list(f"{TENANT}/generations/"))
        assert not list(system.store.list(f"{TENANT}/jobs/"))

    def test_that_go_on_stay(self, system, clock):
        """
        However long they have been waiting.
        """
        system.submit(JobKind.GENERATE)
        clock.now += OLD

        assert gone(retention(system, clock, "jobs=30d generations=30d")) == []


class TestUploads:
    def test_go_when_they_are_old(self, system, clock):
        """
        With their bytes, which are told.
        """
        name = upload(system, clock)
        clock.now += OLD

        (doomed,) = retention(system, clock, "uploads=7d").apply(TENANT)
        assert (doomed.place, doomed.rule) == (f"uploads/{name}", "uploads")
        assert doomed.bytes > 5
        assert not list(system.store.list(f"{TENANT}/uploads/"))

    def test_stay_until_they_are_read(self, system, clock):
        """
        A generator that waits for a worker needs its file; a ready one has its own.
        """
        name = upload(system, clock)
        clock.now += OLD
        resource = resource_for(JobKind.REGISTER).model_copy(update={"parents": {"upload": name}})
        system.orchestrator.submit(resource, JobKind.REGISTER)
        keeper = retention(system, clock, "uploads=7d")

        assert gone(keeper) == []
        system.run_all()
        assert gone(keeper) == [f"uploads/{name}"]


def test_is_applied_once_an_hour(system, clock, redis):
    """
    By whichever process comes first.
    """
    keeper = retention(system, clock, "uploads=7d")
    keeper.hourly()
    upload(system, clock)
    clock.now += OLD
    keeper.hourly()
    assert list(system.store.list(f"{TENANT}/uploads/"))

    redis.delete(names.RETAINED)
    keeper.hourly()

    assert not list(system.store.list(f"{TENANT}/uploads/"))


def test_old_logs_of_deliveries_go(system, clock):
    """
    By the time of their event, which is in their names.
    """
    name = names.by_age("dlv_1", clock()).replace(":", "-")
    system.store.put(keys.inside(TENANT, "webhooks", "whk_1", f"deliveries/{name}.json"), b"{}")
    system.store.put(keys.inside(TENANT, "webhooks", "whk_1", "webhook.json"), b"{}")
    clock.now += OLD

    assert gone(retention(system, clock, "deliveries=30d")) == [f"webhooks/whk_1/deliveries/{name}"]


def test_what_was_deleted_is_forgotten_in_the_end(system, clock):
    """
    The note of a deletion serves for two days.
    """
    keeper = retention(system, clock, "generations=30d")
    made(system, clock, JobKind.GENERATE)
    clock.now += OLD
    keeper.apply(TENANT)
    assert list(system.store.list(f"{TENANT}/deleted/"))

    clock.now += timedelta(days=3)
    keeper.apply(TENANT)

    assert not list(system.store.list(""))

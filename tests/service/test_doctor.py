"""`handsoff doctor` and `handsoff admin`: what an operator asks and does."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support.fake_service import FakeService
from support.s3 import BUCKET
from support.system import TENANT, System

from service.checkup import Deployment, Status, check_up
from service.settings import ServiceSettings
from workers import keys
from workers import redis_names as names
from workers.jobs import JobKind
from workers.parts import open_parts
from workers.presence import REAPER, new_name, present
from workers.settings import WorkerSettings
from workers.storage.local import LocalStore
from workers.tasks.context import canonical_json


@pytest.fixture
def place(redis, redis_url, tmp_path, monkeypatch):
    """
    A deployment's environment: a real Redis and a folder.
    """
    monkeypatch.setenv("HANDSOFF_REDIS_URL", redis_url)
    monkeypatch.setenv("HANDSOFF_STORE_URL", f"file://{tmp_path}/store")
    monkeypatch.setenv("HANDSOFF_SCRATCH", f"{tmp_path}/scratch")
    return tmp_path


@pytest.fixture
def parts(place):
    parts = open_parts(WorkerSettings(), 1)
    yield parts
    parts.close()


@pytest.fixture
def service():
    """
    A service that is ready.
    """
    service = FakeService()
    service.on("GET", "/readyz", httpx.Response(200, json={"status": "ready"}))
    return service


def findings(handsoff, *words) -> tuple[int, dict[str, dict[str, str]]]:
    code, out, _ = handsoff("doctor", "--json", *words)
    return code, {each["check"]: each for each in json.loads(out)}


def everybody(redis) -> None:
    for role in ("cpu", "compute", REAPER):
        present(redis, role, new_name()).act()


class TestDoctor:
    def test_finds_nothing_wrong_where_nothing_is(self, handsoff, place, redis):
        """
        Every check tells what it saw; the exit code is 0.
        """
        everybody(redis)
        code, found = findings(handsoff)

        assert code == 0
        assert {each["status"] for each in found.values()} <= {"ok", "hint"}
        assert {"settings", "redis", "store", "service", "access", "versions"} <= found.keys()
        assert not list(LocalStore(place / "store").list(""))

    def test_misses_workers_and_reaper(self, handsoff, place, redis):
        """
        Each by its queue, with the command that starts one.
        """
        present(redis, "cpu", new_name()).act()
        code, found = findings(handsoff)

        assert code == 1
        assert found["cpu processes"]["status"] == "ok"
        assert found["compute processes"]["status"] == "wrong"
        assert "workers.worker --queue compute" in found["compute processes"]["remedy"]
        assert found["reaper processes"]["status"] == "wrong"

    def test_notices_different_versions(self, handsoff, place, redis):
        """
        A worker that was not upgraded with the others.
        """
        everybody(redis)
        name, text = next(iter(redis.hgetall(names.WORKERS).items()))
        redis.hset(names.WORKERS, name, json.dumps({**json.loads(text), "version": "0.0.1"}))
        code, found = findings(handsoff)

        assert code == 1
        assert "0.0.1" in found["versions"]["detail"]

    def test_goes_on_without_redis(self, handsoff, place, monkeypatch):
        """
        What needs it is wrong, in a line; the store is looked at all the same.
        """
        monkeypatch.setenv("HANDSOFF_REDIS_URL", f"unix://{place}/nobody.sock")
        code, found = findings(handsoff)

        assert code == 1
        assert found["redis"]["status"] == "wrong"
        assert "HANDSOFF_REDIS_URL" in found["redis"]["remedy"]
        assert found["store"]["status"] == "ok"

    def test_names_wrong_settings(self, handsoff, place, monkeypatch):
        """
        Each by its variable, and nothing else is tried.
        """
        monkeypatch.setenv("HANDSOFF_PORT", "many")
        monkeypatch.setenv("HANDSOFF_RETENTION", "cats=1d")
        code, out, _ = handsoff("doctor", "--json")

        said = " ".join(each["detail"] for each in json.loads(out))
        assert code == 1
        assert "HANDSOFF_PORT" in said
        assert "HANDSOFF_RETENTION" in said

    def test_sees_an_open_door(self, handsoff, place, redis, monkeypatch):
        """
        A service that would listen to everybody and asks for no key does not start.
        """
        monkeypatch.setenv("HANDSOFF_HOST", "0.0.0.0")
        _, found = findings(handsoff)

        assert found["access"]["status"] == "wrong"

    def test_tries_a_bucket_s_own_addresses(self, handsoff, place, redis, moto, monkeypatch):
        """
        Written and read through presigned URLs, whose server's clock is looked at.
        """
        values = {
            "STORE_URL": f"s3://{BUCKET}/doctor",
            "S3_ENDPOINT_URL": moto.url,
            "S3_ACCESS_KEY": moto.access_key,
            "S3_SECRET_KEY": moto.secret_key,
        }
        for name, value in values.items():
            monkeypatch.setenv(f"HANDSOFF_{name}", value)
        settings = ServiceSettings()
        parts = open_parts(settings, 1)
        deployment = Deployment(settings, WorkerSettings(), parts, "http://service")
        found = {finding.check: finding for finding in check_up(deployment)}
        left = list(parts.store.list(""))
        parts.close()

        told = {name: found[name].status for name in found if name.startswith("store")}
        assert told == dict.fromkeys(told, Status.OK)
        assert {"store addresses", "store clock", "store conditional writes"} <= told.keys()
        assert found["service"].status is Status.WRONG
        assert not left

    def test_speaks_to_people_too(self, handsoff, place, redis):
        """
        A line a check, and its remedy below.
        """
        code, out, _ = handsoff("doctor")

        assert code == 1
        assert "wrong cpu processes: nobody is there" in out
        assert "python -m workers.worker --queue cpu" in out


class TestRebuild:
    def test_enters_what_redis_has_lost(self, handsoff, parts, redis):
        """
        And says how many there were, how many were unknown, and how many go on.
        """
        system = System(parts.store, parts.jobs, parts.queue, parts.orchestrator)
        job = system.submit(JobKind.INGEST)
        redis.flushall()
        code, out, _ = handsoff("admin", "rebuild", "--json")

        row = {"tenant": TENANT, "jobs": 1, "unknown": 1, "unfinished": 1}
        assert (code, json.loads(out)) == (0, [row])
        assert parts.jobs.records.read(TENANT, job.id) is not None


class TestRetention:
    def test_lists_what_would_go_and_then_removes_it(self, handsoff, parts):
        """
        A dry run changes nothing; rules that were set are shown, and where they come from.
        """
        at = datetime.now(UTC) - timedelta(days=3)
        said = canonical_json({"id": "upl_1", "created_at": at.isoformat()})
        place = keys.inside(TENANT, "uploads", "upl_1", "upload.json")
        parts.store.put(place, said)
        _, out, _ = handsoff("admin", "retention", "set", "uploads=1d", "--json")
        shown = {row["what"]: row for row in json.loads(out)}
        assert shown["uploads"] == {"what": "uploads", "kept": "1d", "from": "tenant"}
        assert shown["jobs"]["from"] == "HANDSOFF_RETENTION"

        for words in (("--dry-run",), ()):
            _, out, _ = handsoff("admin", "retention", "run", *words, "--json")
            (row,) = json.loads(out)
            assert (row["place"], row["bytes"]) == ("uploads/upl_1", len(said))
            assert (parts.store.size(place) is None) is not bool(words)

    def test_refuses_rules_that_are_none(self, handsoff, place):
        """
        As wrong usage, naming what there can be rules for.
        """
        code, _, err = handsoff("admin", "retention", "set", "cats=1d")

        assert code == 2
        assert "generations" in err

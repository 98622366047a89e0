"""Who gets in: nobody without a key once there is one, nobody for longer than the key counts."""

import anyio
import pytest
from fakes import FakeClock, FakeStore
from support.api import problem, serve
from support.tenants import as_tenant, make_key, with_key

from service.access import AccessDocuments
from service.api_keys import Scope, token
from service.auth import refusal_to_bind, scope_of
from service.door import FRESH_SECONDS, LIMIT_SECONDS, AuthMode, Door
from service.errors import KeyInvalid
from service.quota import Quota
from service.services import connect_services
from workers.errors import StorageUnavailable


class Seconds:
    """
    A clock that a test moves.
    """

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def door(store, seconds):
    """
    A door that asks for keys as soon as there is one.
    """
    documents = AccessDocuments(store, FakeClock(0))
    return Door(AuthMode.AUTO, documents, Quota(rpm=9), FakeClock(0), seconds)


def admit(door, made=None, wanted=Scope.READ):
    """
    Whom the door takes the sender of a key for.
    """
    sent = [f"Bearer {made}"] if made else []
    return anyio.run(door.admit, sent, wanted)


def new_key(store, tenant="vision") -> tuple[str, str]:
    """
    The id and the token of a new key.
    """
    key, made = AccessDocuments(store, FakeClock(0)).create(tenant, Scope.WRITE)
    return key.id, made


class TestDoor:
    def test_is_open_until_there_is_a_key(self, door, store, seconds):
        """
        The first key closes it without a restart, as soon as the bucket is looked at again.
        """
        assert (admit(door).tenant, admit(door).quota.rpm) == ("default", 0)
        _, made = new_key(store)

        seconds.now += FRESH_SECONDS
        caller = admit(door, made)

        assert (caller.tenant, caller.quota.rpm, caller.quota.jobs) == ("vision", 9, 0)
        with pytest.raises(Exception, match="wants an API key"):
            admit(door)

    def test_stays_closed_when_the_last_key_is_revoked(self, door, store, seconds):
        """
        A revocation takes effect within ten seconds, and opens the door to nobody.
        """
        key_id, made = new_key(store)
        admit(door, made)
        AccessDocuments(store).revoke(key_id)

        seconds.now += LIMIT_SECONDS
        with pytest.raises(KeyInvalid, match=f"key {key_id} was revoked"):
            admit(door, made)
        with pytest.raises(Exception, match="wants an API key"):
            admit(door)

    def test_a_bucket_that_is_away_keeps_no_key_alive(self, door, store, seconds):
        """
        For ten seconds the door goes by what it knows; then it says that it cannot tell.
        """
        _, made = new_key(store)
        admit(door, made)
        store.broken = StorageUnavailable("away")

        seconds.now += FRESH_SECONDS
        assert admit(door, made).tenant == "vision"
        seconds.now += LIMIT_SECONDS
        with pytest.raises(StorageUnavailable):
            admit(door, made)
        store.broken = None
        seconds.now += 2
        assert admit(door, made).tenant == "vision"

    def test_a_bucket_that_was_never_there_lets_nobody_in(self, door, store):
        """
        Not knowing whether there are keys is no reason to do without.
        """
        store.broken = StorageUnavailable("away")

        with pytest.raises(StorageUnavailable):
            admit(door)
        assert door.is_guarded()

    def test_without_keys_an_outage_changes_nothing(self, door, store, seconds):
        """
        What needs no bucket is served on to the one tenant there is.
        """
        admit(door)
        store.broken = StorageUnavailable("away")
        seconds.now += 10 * LIMIT_SECONDS

        assert admit(door).tenant == "default"

    @pytest.mark.parametrize(
        ("mode", "guarded"), [("auto", False), ("required", True), ("off", False)]
    )
    def test_can_be_told_what_to_do(self, store, mode, guarded):
        """
        Always closed, always open, or as there are keys.
        """
        door = Door(AuthMode(mode), AccessDocuments(store), Quota())

        assert door.is_guarded() == guarded
        if guarded:
            with pytest.raises(Exception, match="wants an API key"):
                admit(door)
        else:
            assert admit(door).tenant == "default"


class TestRequests:
    def test_need_a_key_wherever_they_come_from(self, api):
        """
        Once there is a key this machine has no privileges any more.
        """
        make_key(api, "vision")

        refused = api.get("http://localhost/v1/jobs")

        told = problem(refused, 401, "key_missing")
        assert refused.headers["www-authenticate"] == 'Bearer realm="handsoff"'
        assert "handsoff keys create" in told["remedy"]
        assert api.get("/healthz").status_code == 200

    def test_need_the_right_key(self, api):
        """
        Wrong words and wrong secrets are refused alike, whether the id exists or not.
        """
        made = make_key(api, "vision")
        key_id = made.split("_")[1]
        wrong = [
            api.get("/v1/jobs", headers={"Authorization": f"Bearer {each}"})
            for each in (token(key_id, "a" * 52), token("a" * 12, "a" * 52))
        ]
        odd = [
            api.get("/v1/jobs", headers={"Authorization": each})
            for each in (
                "",
                "Bearer",
                "Basic eDp5",
                f"Basic {made}",
                f"Bearer {made}x",
                b"Bearer \xe9",
            )
        ]

        assert len({problem(each, 401, "key_invalid")["detail"] for each in wrong}) == 1
        for each in odd:
            assert 'error="invalid_token"' in each.headers["www-authenticate"]
            problem(each, 401, "key_invalid")
        assert with_key(api, made).get("/v1/jobs").status_code == 200

    def test_cannot_bring_the_key_in_the_address(self, api):
        """
        Addresses are logged and passed on, so a key in one opens nothing.
        """
        made = make_key(api, "vision")

        problem(api.get(f"/v1/jobs?api_key={made}&key={made}"), 401, "key_missing")

    @pytest.mark.parametrize(
        ("scope", "statuses"),
        [("read", (200, 403, 403)), ("write", (200, 201, 403)), ("admin", (200, 201, 200))],
    )
    def test_are_held_to_the_key_s_scope(self, api, scope, statuses):
        """
        Reading, making things, and looking after the service.
        """
        client = as_tenant(api, "vision", Scope(scope))
        answers = [
            client.get("/v1/jobs"),
            client.post("/v1/uploads", {"filename": "a"}),
            client.get("/metrics"),
        ]

        assert tuple(each.status_code for each in answers) == statuses
        for each in answers:
            if each.status_code == 403:
                problem(each, 403, "scope_missing")
                assert 'error="insufficient_scope"' in each.headers["www-authenticate"]

    def test_may_come_under_any_name(self, settings):
        """
        Without a key only this machine's names are answered to; who has a key may use any.
        """
        private = settings.model_copy(update={"allow_remote": False})
        for api in serve(private, connect_services(private)):
            client = as_tenant(api, "vision")

            assert client.get("http://handsoff.example/v1/jobs").status_code == 200

    def test_leave_no_key_in_the_log(self, api):
        """
        Lines name tenant and public id, however the key was sent.
        """
        made = make_key(api, "vision")
        with_key(api, made).get(f"/v1/jobs/{made}")
        api.get(f"/v1/jobs/{made}?key={made}")

        lines = [line for line in api.logs if line["event"] == "request"]
        assert (lines[0]["tenant"], lines[0]["key"]) == ("vision", made.split("_")[1])
        assert made.split("_")[2] not in str(api.logs)

    def test_send_files_with_the_key_too(self, api):
        """
        Where the service itself takes the bytes, its address alone is no permission.
        """
        client = as_tenant(api, "vision")
        put = client.post("/v1/uploads", {"filename": "a"}).json()["put"]["url"]

        problem(api.put(put, content=b"x"), 401, "key_missing")
        assert client.put(put, content=b"x").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/jobs", "read"),
        ("HEAD", "/v1/generations/x/files/y", "read"),
        ("POST", "/v1/jobs/x/cancel", "write"),
        ("DELETE", "/v1/datasets/x", "write"),
        ("BREW", "/", "write"),
        ("GET", "/metrics", "admin"),
        ("GET", "/v1/admin/anything", "admin"),
    ],
)
def test_what_a_request_needs(method, path, scope):
    """
    Looking is reading, everything else is writing, and what is everybody's is for administrators.
    """
    assert scope_of(method, path) == scope


def test_with_keys_others_may_be_listened_to():
    """
    A guarded service listens wherever it is told to.
    """
    assert refusal_to_bind("0.0.0.0", allow_remote=False, is_guarded=True) is None
    assert "handsoff keys create" in refusal_to_bind("0.0.0.0", allow_remote=False)


def test_the_document_says_how_keys_are_sent(api):
    """
    Generated clients and the documentation's page know the header, and its refusals.
    """
    document = api.get("/openapi.json").json()

    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    assert {"401", "403", "429"} <= set(document["paths"]["/v1/jobs"]["get"]["responses"])
    assert "security" not in document["paths"]["/healthz"]["get"]

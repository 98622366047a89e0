"""Keys as they are made, kept and changed; and the command that does it."""

import json
from datetime import timedelta

import pytest
from fakes import FakeClock, FakeStore

from service.access import AccessDocuments
from service.api_keys import Scope, new_secret, parse, token, without_secrets
from service.quota import Quota, amount, span
from workers.errors import NotFound

DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return FakeClock(step_seconds=0)


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def documents(store, clock):
    return AccessDocuments(store, clock)


def secret_of(token_: str) -> str:
    """
    The secret part of a key.
    """
    _, secret = parse(token_)
    return secret


class TestTokens:
    def test_are_read_as_they_are_written(self):
        """
        What is printed has the public id and the secret in it.
        """
        secret, digest = new_secret()

        assert parse(token("abcdefgh2345", secret)) == ("abcdefgh2345", secret)
        assert len(secret) == 52
        assert len(digest) == 64
        assert new_secret() != (secret, digest)

    @pytest.mark.parametrize(
        "text",
        ["", "ho_", "ho_abc_def", "sk_abcdefgh2345_" + "a" * 52, "a" * 70, "ho_É_" + "a" * 52],
    )
    def test_nothing_else_is_one(self, text):
        """
        What has not the form of a key is none, without looking further.
        """
        assert parse(text) is None

    def test_lose_their_secrets_on_the_way_to_the_log(self):
        """
        A key that somebody wrote into a path is known by its id, and of no use to who reads it.
        """
        said = without_secrets(f"/v1/jobs/{token('abcdefgh2345', 'z' * 52)}")

        assert said == "/v1/jobs/ho_abcdefgh2345_…"


class TestDocuments:
    def test_hold_no_secret(self, documents, store):
        """
        Whoever reads the bucket cannot send requests with what is there.
        """
        key, made = documents.create("vision", Scope.READ, "ci", DAY)

        assert secret_of(made) not in str(store.objects)
        assert secret_of(made) not in repr(key)
        assert documents.load().keys == {key.id: key}

    def test_a_secret_counts_for_its_key_only(self, documents, clock):
        """
        Another key's secret is as wrong as none.
        """
        (one, made), (other, _) = (documents.create(t, Scope.READ) for t in "ab")

        assert one.knows(secret_of(made), clock())
        assert not other.knows(secret_of(made), clock())
        assert not one.knows("", clock())

    def test_a_key_expires(self, documents, clock):
        """
        After its time a key says since when it counts no more.
        """
        key, _ = documents.create("vision", Scope.READ, lifetime=DAY)

        assert key.fault(clock()) is None
        clock.now += DAY
        assert key.fault(clock()) == "expired on 2026-01-02 12:00 UTC"
        assert key.state(clock()) == "expired"

    def test_a_revoked_key_stays_revoked(self, documents, clock):
        """
        It is kept, so that requests go on to need a key, and cannot be brought back.
        """
        key, _ = documents.create("vision", Scope.READ)
        documents.revoke(key.id)
        clock.now += DAY

        assert documents.revoke(key.id).fault(clock()) == "was revoked on 2026-01-01 12:00 UTC"
        assert documents.load().has_keys
        with pytest.raises(NotFound, match="was revoked"):
            documents.rotate(key.id, DAY)

    def test_a_rotation_leaves_time_to_change(self, documents, clock):
        """
        The new secret counts at once, the old one for a while; a second rotation does not
        lengthen it.
        """
        key, old = documents.create("vision", Scope.READ)
        _, new = documents.rotate(key.id, DAY)
        rotated, newest = documents.rotate(key.id, 3 * DAY)

        secrets = [secret_of(each) for each in (old, new, newest)]
        assert [rotated.knows(each, clock()) for each in secrets] == [True, True, True]
        clock.now += DAY
        assert [rotated.knows(each, clock()) for each in secrets] == [False, True, True]
        clock.now += 2 * DAY
        assert [rotated.knows(each, clock()) for each in secrets] == [False, False, True]

    def test_two_who_change_a_key_lose_nothing(self, documents, store, clock):
        """
        A change that another one forestalled is made again on top of it.
        """
        seen = []

        def slow(old: Quota) -> Quota:
            if not seen:
                seen.append(AccessDocuments(store).change_quota("vision", lambda q: Quota(jobs=4)))
            return old.model_copy(update={"rpm": 9})

        assert documents.change_quota("vision", slow) == Quota(jobs=4, rpm=9)
        assert documents.load().quotas == {"vision": Quota(jobs=4, rpm=9)}

    def test_only_news_are_read(self, documents, store):
        """
        A second look costs a listing, however many keys there are.
        """
        for _ in range(3):
            documents.create("vision", Scope.READ)
        first = documents.load()
        store.get = None

        assert documents.load() == first

    def test_a_torn_document_opens_nothing(self, documents, store):
        """
        A key that cannot be read lets nobody in, and still means that there are keys.
        """
        store.put("_access/keys/abc/000001.json", b"{}")

        access = documents.load()

        assert (access.has_keys, dict(access.keys)) == (True, {})

    def test_no_such_key(self, documents):
        """
        What is not there cannot be revoked.
        """
        with pytest.raises(NotFound, match="there is no key 'abc'"):
            documents.revoke("abc")


class TestWords:
    @pytest.mark.parametrize(
        ("text", "value"),
        [("600", 600), ("50k", 50_000), ("100GB", 10**11), ("1.5GiB", 3 << 29), ("0", 0)],
    )
    def test_amounts(self, text, value):
        """
        Powers of ten, or of two with an i.
        """
        assert amount(text) == value

    @pytest.mark.parametrize("text", ["", "many", "-1", "1x", "1e9"])
    def test_no_amounts(self, text):
        """
        Anything else is refused with an example.
        """
        with pytest.raises(ValueError, match="write 600"):
            amount(text)

    def test_times(self):
        """
        Minutes, hours, days or weeks.
        """
        assert (span("30m"), span("90d")) == (timedelta(minutes=30), timedelta(days=90))
        with pytest.raises(ValueError, match="write 30m"):
            span("soon")


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        """
        A folder with a data directory in it.
        """
        monkeypatch.delenv("HANDSOFF_STORE_URL", raising=False)
        monkeypatch.chdir(tmp_path)

    def test_shows_a_key_once_and_alone(self, handsoff):
        """
        stdout holds the token and nothing else, for scripts; lists never show it again.
        """
        code, out, err = handsoff("keys", "create", "--tenant", "vision", "--scope", "write")
        made = parse(out.strip())

        assert code == 0
        assert made is not None
        assert "only time" in err
        _, listed, _ = handsoff("--json", "keys", "list")
        assert [(k["id"], k["tenant"], k["state"]) for k in json.loads(listed)] == [
            (made[0], "vision", "valid")
        ]
        assert made[1] not in listed

    def test_leads_a_key_through_its_life(self, handsoff):
        """
        Made, rotated, revoked; the id may be copied with what stands around it.
        """
        create = ("create", "--tenant", "a", "--scope", "read")
        made = json.loads(handsoff("--json", "keys", *create)[1])
        rotated = json.loads(handsoff("--json", "keys", "rotate", made["key"])[1])
        revoked = json.loads(handsoff("--json", "keys", "revoke", f"ho_{made['id']}")[1])

        assert rotated["id"] == made["id"]
        assert rotated["key"] != made["key"]
        assert revoked["state"] == "revoked"

    def test_keeps_quotas(self, handsoff):
        """
        What is not named stays as it was; `default` takes back what was said.
        """
        handsoff("keys", "quota", "vision", "--jobs", "4", "--bytes", "100GB", "--rpm", "600")
        handsoff("keys", "quota", "vision", "--jobs", "default", "--images", "0")

        assert json.loads(handsoff("--json", "keys", "quota", "vision")[1]) == {
            "jobs": None,
            "images": 0,
            "bytes": 10**11,
            "rpm": 600,
        }
        assert "no limit" in handsoff("keys", "quota", "vision")[1]

    @pytest.mark.parametrize("verb", ["create", "list", "revoke", "rotate", "quota"])
    def test_every_command_shows_an_example(self, handsoff, verb):
        """
        The help of each command ends its text with how to use it.
        """
        _, out, _ = handsoff("keys", verb, "--help")

        assert f"Example: handsoff keys {verb}" in " ".join(out.split())

    @pytest.mark.parametrize(
        "words",
        [
            ("create", "--tenant", "Not This", "--scope", "read"),
            ("create", "--tenant", "a", "--scope", "read", "--expires", "soon"),
            ("create", "--tenant", "_access", "--scope", "read"),
            ("revoke", "../x"),
            ("rotate", "nonesuch"),
            ("quota", "vision", "--rpm", "many"),
        ],
    )
    def test_explains_what_it_cannot_do(self, handsoff, words):
        """
        One line, and the exit code of a wrong command line.
        """
        code, out, err = handsoff("keys", *words)

        assert (code, out) == (2, "")
        assert "error: " in err
        assert "Traceback" not in err

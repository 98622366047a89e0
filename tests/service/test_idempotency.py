import json
from datetime import UTC, datetime

import pytest
from fakes import FakeStore

from service.errors import KeyReused
from service.idempotency import Idempotency, KeyedRequest, fingerprint, id_for

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def request(key="k", body=None):
    """
    A request under a key.
    """
    made = id_for("generators", "t", key)
    return KeyedRequest("t", key, made, fingerprint("/v1/generators", body or {"a": 1}))


@pytest.fixture
def things():
    """
    What has been made, by id.
    """
    return {}


@pytest.fixture
def once(things):
    """
    Sends a request that makes a thing with a number.
    """
    gate = Idempotency(FakeStore(), lambda: NOON)

    def send(sent):
        def prepare(made):
            return lambda at: things.setdefault(made, (len(things), at))

        return gate.once(sent, things.get, prepare)

    return send


class TestIdempotency:
    def test_the_same_request_makes_one_thing(self, once, things):
        """
        A repetition is answered with what the first one made, and says so.
        """
        first, second = once(request()), once(request())

        assert first == ((0, NOON), False)
        assert second == ((0, NOON), True)
        assert len(things) == 1

    def test_without_a_key_each_request_makes_a_thing(self, once, things):
        """
        Only a key makes requests the same.
        """
        once(request(key=None))
        once(request(key=None))

        assert len(things) == 2

    def test_another_request_under_the_key_is_refused(self, once, things):
        """
        A key belongs to the first request that used it; the refusal names both.
        """
        once(request())
        with pytest.raises(KeyReused, match="'k' was used by another request, which made gen_"):
            once(request(body={"a": 2}))

        assert len(things) == 1

    def test_finishes_what_a_crash_left_half_done(self, once, things):
        """
        If the service died after the key was bound, the repetition makes the thing.
        """
        once(request())
        things.clear()

        assert once(request()) == ((0, NOON), False)

    def test_a_refused_request_leaves_its_key_free(self):
        """
        A request that is judged unfit binds nothing, so its correction may have the key.
        """
        store = FakeStore()
        gate = Idempotency(store, lambda: NOON)

        def refuse(made):
            raise RuntimeError("unfit")

        with pytest.raises(RuntimeError):
            gate.once(request(), {}.get, refuse)

        assert store.objects == {}

    def test_the_key_itself_is_not_stored(self, once):
        """
        Keys may be secrets of the client: only their digests are kept.
        """
        store = FakeStore()
        Idempotency(store, lambda: NOON).once(
            request("a-key"), {}.get, lambda made: lambda at: made
        )

        assert all("a-key" not in name + str(data) for name, data in store.objects.items())
        assert json.loads(next(iter(store.objects.values())))["schema_version"] == 1


def test_requests_that_mean_the_same_have_one_fingerprint():
    """
    The order of fields does not matter; the route does.
    """
    one = fingerprint("/v1/a", {"x": 1, "y": [1, 2]})

    assert one == fingerprint("/v1/a", {"y": [1, 2], "x": 1})
    assert one != fingerprint("/v1/b", {"x": 1, "y": [1, 2]})
    assert one != fingerprint("/v1/a", {"x": 1, "y": [2, 1]})

from datetime import UTC, datetime, timedelta

import pytest

from service.errors import Unprocessable
from service.index import ResourceIndex
from service.pagination import decode_cursor, encode_cursor
from workers import keys
from workers.resources import Resource
from workers.tasks.context import canonical_json

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def index(redis, store):
    return ResourceIndex(redis, store)


def write(store, index, name, at):
    """
    A generator's first document, noted in the index.
    """
    resource = Resource(id=name, tenant="t", collection="generators", created_at=at)
    document = canonical_json(resource.model_dump(mode="json"))
    store.put(keys.description("t", "generators", name), document)
    index.add("t", "generators", name, at)


def walk(index, limit):
    """
    All ids, page by page.
    """
    cursor, found = None, []
    while True:
        page, cursor = index.page("t", "generators", limit, cursor)
        assert len(page) <= limit
        found += page
        if cursor is None:
            return found


class TestResourceIndex:
    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
    def test_pages_hold_everything_once(self, index, store, limit):
        """
        However long the pages, they show each entry once, newest first; those of one instant
        too.
        """
        for number, seconds in enumerate([0, 1, 1, 1, 2]):
            write(store, index, f"gen_{number}", NOON + timedelta(seconds=seconds))

        assert walk(index, limit) == ["gen_4", "gen_3", "gen_2", "gen_1", "gen_0"]

    def test_a_cursor_stays_right_when_things_arrive(self, index, store):
        """
        What is made between two pages neither repeats nor hides an entry.
        """
        for number in range(3):
            write(store, index, f"gen_{number}", NOON + timedelta(seconds=number))
        first, cursor = index.page("t", "generators", 2, None)
        write(store, index, "gen_9", NOON + timedelta(seconds=9))

        second, end = index.page("t", "generators", 2, cursor)

        assert (first, second, end) == (["gen_2", "gen_1"], ["gen_0"], None)

    def test_is_rebuilt_when_redis_forgets(self, index, store, redis):
        """
        An emptied Redis loses nothing: the bucket tells which resources there are.
        """
        for number in range(3):
            write(store, index, f"gen_{number}", NOON + timedelta(seconds=number))
        redis.flushall()

        assert walk(index, 2) == ["gen_2", "gen_1", "gen_0"]

    def test_tenants_do_not_see_each_other(self, index, store):
        """
        A list holds its own tenant's resources only.
        """
        write(store, index, "gen_0", NOON)

        assert index.page("other", "generators", 2, None) == ([], None)


class TestCursor:
    def test_comes_back_as_it_went(self):
        """
        What is encoded is what is decoded.
        """
        assert decode_cursor(encode_cursor("data/größe.tar")) == "data/größe.tar"

    @pytest.mark.parametrize("cursor", ["x", "!!", "e30", "_w", "ü", encode_cursor("gen_0")])
    def test_of_others_is_refused(self, index, cursor):
        """
        A word that no page gave is refused, and named.
        """
        with pytest.raises(Unprocessable, match="is not a cursor"):
            index.page("t", "generators", 2, cursor)

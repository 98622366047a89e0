"""Ids: what they start with, how they sort, and which are always the same."""

import re
from datetime import UTC, datetime, timedelta

from workers import keys
from workers.ids import derived_id, new_id

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_tell_their_kind():
    """
    Every collection's ids have its prefix and 26 characters that need no escaping anywhere.
    """
    for collection, prefix in keys.PREFIX.items():
        for made in (new_id(collection), derived_id(collection, "t", "k")):
            assert re.fullmatch(rf"{prefix}_[0-9a-hjkmnp-tv-z]{{26}}", made), made


def test_sort_by_age():
    """
    Ids made a millisecond apart sort by age, over a century.
    """
    moments = [NOON + timedelta(milliseconds=n * n * 10**9) for n in range(56)]

    made = [new_id("jobs", at=moment) for moment in moments]

    assert sorted(made) == made


def test_are_new():
    """
    Ids of the same moment differ.
    """
    assert len({new_id("jobs", at=NOON) for _ in range(1000)}) == 1000


def test_derived_ids_follow_from_their_request():
    """
    The same tenant, collection and key give the same id; any other gives another, also where
    the parts only look the same when put together.
    """
    assert derived_id("jobs", "t", "k") == derived_id("jobs", "t", "k")
    others = [("jobs", "t", "k2"), ("jobs", "u", "k"), ("datasets", "t", "k")]
    alike = [("jobs", "a", "b:c"), ("jobs", "a:b", "c"), ("jobs", "a1", ":c"), ("jobs", "a", "1:c")]
    made = {derived_id(*parts).partition("_")[2] for parts in [*others, *alike]}

    assert len(others + alike) == len(made - {derived_id("jobs", "t", "k").partition("_")[2]})

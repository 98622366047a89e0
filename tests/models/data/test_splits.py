import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.data.splits import Part, Split

KEYS = [f"item-{index:05d}" for index in range(4000)]


@given(st.lists(st.text(max_size=9), unique=True), st.text(max_size=9), st.integers(0, 2**40))
def test_an_item_keeps_its_part(keys, other, seed):
    """
    Whatever is added, an item's part follows from its key and the seed alone.
    """
    split = Split(validation=0.3, test=0.3, seed=seed)

    before, after = split.divided(keys), split.divided([f"{other}-new-item", *keys])

    for part in Part:
        assert before[part] == [key for key in after[part] if key in set(keys)]
        assert all(split.part_of(key) is part for key in before[part])


def test_parts_are_about_as_large_as_asked():
    """
    Of 4,000 items the shares are right within four standard deviations.
    """
    parts = Split(validation=0.1, test=0.25).divided(KEYS)

    assert pytest.approx(400, abs=76) == len(parts[Part.VALIDATION])
    assert pytest.approx(1000, abs=110) == len(parts[Part.TEST])
    assert sorted(KEYS) == sorted(key for part in parts.values() for key in part)


def test_a_part_of_nothing_is_empty():
    """
    Shares of 0 and 1 are exact.
    """
    assert len(KEYS) == len(Split(validation=0, test=0).divided(KEYS)[Part.TRAIN])
    assert len(KEYS) == len(Split(validation=0, test=1).divided(KEYS)[Part.TEST])
    assert len(KEYS) == len(Split(validation=1, test=0).divided(KEYS)[Part.VALIDATION])


def test_the_test_set_outlives_a_change_of_the_validations_share():
    """
    More or less validation takes from or gives to training alone.
    """
    few, many = (Split(validation=share, test=0.2).divided(KEYS) for share in (0.1, 0.3))

    assert few[Part.TEST] == many[Part.TEST]
    assert set(few[Part.VALIDATION]) < set(many[Part.VALIDATION])


def test_seeds_give_different_splits():
    """
    Two seeds agree about no more test items than chance would have it.
    """
    one, other = (set(Split(test=0.2, seed=seed).divided(KEYS)[Part.TEST]) for seed in (0, 1))

    assert pytest.approx(0.04 * len(KEYS), abs=60) == len(one & other)


def test_the_rule_never_changes():
    """
    Parts of some keys, written down: a dataset that was split once stays split so.
    """
    found = [Split(validation=0.25, test=0.25, seed=7).part_of(key) for key in "abcn"]

    assert " ".join(found) == "train train test validation"


def test_shares_of_more_than_all_are_refused():
    """
    The message says both shares.
    """
    with pytest.raises(ValidationError, match=r"validation and test are 0.6 and 0.5 of the items"):
        Split(validation=0.6, test=0.5)

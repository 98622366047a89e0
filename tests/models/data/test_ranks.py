import numpy as np
import pytest

from models.data.ranks import SHIFT, is_ranked, keeps_nothing, kept_by_rank


def scores(count):
    """
    Distinct scores in no order.
    """
    return np.random.default_rng(0).permutation(count).astype(np.float64)


class TestKeptByRank:
    @pytest.mark.parametrize(("count", "drop"), [(1000, 0.1), (310, 0.1), (200, 0.25)])
    def test_keeps_the_authors_window(self, count, drop):
        """
        Sorted by score, positions 30 to N - k + 29 are kept: N - k samples, from which the 30
        most certain and the k - 30 least certain are missing.
        """
        found = scores(count)
        dropped = int(drop * count)

        kept = found[kept_by_rank(found, drop)]

        assert sorted(kept) == list(range(SHIFT, count - dropped + SHIFT))

    def test_keeps_none_of_a_few(self):
        """
        Where at most 30 are dropped, their slice is empty.
        """
        assert not kept_by_rank(scores(309), 0.1).any()

    def test_a_share_of_none_keeps_all(self):
        """
        Without a share to drop nobody looks at ranks.
        """
        assert kept_by_rank(scores(5), 0).all()

    def test_equals_stay_in_order(self):
        """
        Among equal scores the first counts as the more certain, so that bytes repeat.
        """
        kept = kept_by_rank(np.zeros(400), 0.1)

        assert list(np.flatnonzero(kept)) == list(range(30, 390))


@pytest.mark.parametrize(
    ("count", "drop", "is_kept"),
    [(309, 0.1, False), (310, 0.1, True), (5, 0, True), (124, 0.25, True), (123, 0.25, False)],
)
def test_says_beforehand_where_nothing_would_be_kept(count, drop, is_kept):
    """
    The words agree with what the ranks do, and say how many samples are enough.
    """
    said = keeps_nothing(count, drop)

    assert (said is None) == is_kept == kept_by_rank(scores(count), drop).any()
    if said is not None:
        assert f"of {count}" in said
        assert str({0.1: 310, 0.25: 124}[drop]) in said


def test_a_plan_says_whether_ranks_count():
    """
    Only plans of paper mode do; older ones know nothing of it.
    """
    assert is_ranked({"uncertainty": {"mode": "paper", "drop": 0.1}})
    assert not is_ranked({"uncertainty": {"mode": "default", "drop": 0.1}})
    assert not is_ranked({"count": 7})

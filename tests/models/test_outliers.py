import math

import numpy as np
import pytest

from models.errors import TrainingImpossible
from models.outliers import left_out, outliers


class TestOutliers:
    def test_finds_what_lies_far_above_the_others(self):
        """
        Here the median is 1.1 and the usual deviation 0.1; 2.5 times 1.4826 times that is 0.37.
        """
        assert outliers([1.0, 1.1, 0.9, 1.2, 1.46]) == []
        assert outliers([1.0, 1.1, 0.9, 1.2, 1.48]) == [4]

    def test_does_not_mind_how_bad_the_bad_ones_are(self):
        """
        Two of seven that are a thousand times worse hide nobody, and not one another.
        """
        assert outliers([1.0, 1000.0, 1.1, 0.9, 1e6, 1.05, 0.95]) == [1, 4]

    def test_good_ones_never_stand_out(self):
        """
        Values far below the others are not flagged.
        """
        assert outliers([10.0, 11.0, 9.0, 10.5, 0.0]) == []

    def test_equal_values_leave_room(self):
        """
        Where the usual deviation is nothing, a quarter of the median is still usual, or two and a
        half times what the measure calls the same.
        """
        assert outliers([1.0, 1.0, 1.0, 1.24]) == []
        assert outliers([1.0, 1.0, 1.0, 1.26]) == [3]
        assert outliers([1.0, 1.0, 1.0, 1.26], same=0.2) == []

    def test_no_value_is_no_outlier(self):
        """
        NaN is left out of the reckoning; nothing but NaN has no outliers.
        """
        assert outliers([1.0, math.nan, 1.0, 9.0]) == [3]
        assert outliers([math.nan, math.nan]) == []

    def test_the_unit_does_not_matter(self):
        """
        The same values in another unit have the same outliers.
        """
        values = np.random.default_rng(0).exponential(size=40)

        assert outliers(values.tolist()) == outliers((1000 * values).tolist()) != []


class TestLeftOut:
    def test_without_a_rule_all_stay(self):
        """
        Nothing is left out, even of a single image.
        """
        assert left_out([3.0]) == {}

    def test_a_limit(self):
        """
        What is farther than the limit goes; what is just as far stays.
        """
        assert left_out([0.5, 0.3, 0.4, 0.6], max_distance=0.5) == {3: "max_distance"}

    @pytest.mark.parametrize(
        ("drop", "expected"), [(1, [3]), (2, [0, 3]), (0.5, [0, 3]), (0.01, [3])]
    )
    def test_so_many_of_the_worst(self, drop, expected):
        """
        A number, or a share of at least one image.
        """
        assert list(left_out([0.5, 0.3, 0.4, 0.6], drop_worst=drop)) == expected

    def test_rules_see_what_was_not_excluded(self):
        """
        An excluded image is none of the worst ones that are dropped; each has its reason.
        """
        gone = left_out([0.5, 0.3, 0.4, 0.6, 0.2], 0.45, 1, excluded=(3,))

        assert gone == {0: "max_distance", 3: "excluded"}
        assert left_out([0.5, 0.3, 0.4, 0.6], drop_worst=1, excluded=(3,)) == {
            0: "drop_worst",
            3: "excluded",
        }

    def test_two_must_be_left(self):
        """
        A rule that leaves one image is refused, with what it did and what the distances are.
        """
        with pytest.raises(TrainingImpossible, match=r"2 of 3 .*2 by max_distance.*0\.1 to 0\.9"):
            left_out([0.1, 0.8, 0.9], max_distance=0.5)
        with pytest.raises(TrainingImpossible, match=r"1 by drop_worst, 1 by excluded"):
            left_out([0.1, 0.8, 0.9], drop_worst=1, excluded=(0,))

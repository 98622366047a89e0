import math

import numpy as np
import pytest
import torch

from models.errors import TrainingImpossible
from models.heads import head_of
from models.heads.base import Vote, labelled
from models.labels import DepthSpec

PLAIN = DepthSpec(smallest=0.5, largest=10.0)
LOG = DepthSpec(smallest=0.5, largest=10.0, log=True)


def depth(*rows):
    """
    A depth map.
    """
    return np.array(rows, dtype=np.float32)


def outputs_of(*members):
    """
    Outputs [M, P, 1].
    """
    return torch.tensor(members)[..., None]


class TestFitted:
    @pytest.mark.parametrize(("spec", "function"), [(PLAIN, float), (LOG, math.log)])
    def test_knows_mean_and_deviation_of_what_is_learnt(self, spec, function):
        """
        They are of all valid pixels of all maps, after the logarithm where one is learnt.
        """
        head = head_of(spec).fitted([depth([1, 2]), depth([4, 11, np.nan, np.inf])])
        values = [function(value) for value in (1, 2, 4)]

        assert head.learnt["mean"] == pytest.approx(np.mean(values))
        assert head.learnt["deviation"] == pytest.approx(np.std(values))

    def test_one_depth_everywhere_can_be_learnt(self):
        """
        Without any deviation nothing is divided by zero.
        """
        head = head_of(PLAIN).fitted([depth([3, 3])])

        assert head.targets(depth([3, 3]), (1, 2)).tolist() == [[0], [0]]

    def test_needs_a_valid_pixel(self):
        """
        Maps without any depth within the range are refused, and the range is named.
        """
        with pytest.raises(TrainingImpossible, match=r"0\.5 to 10\.0 m"):
            head_of(PLAIN).fitted([depth([0, 11, np.nan])])


class TestTargets:
    @pytest.mark.parametrize("spec", [PLAIN, LOG])
    def test_a_perfect_prediction_is_the_depth(self, spec):
        """
        What was taken off for learning is put back.
        """
        label = depth([1, 2], [4, 8])
        head = head_of(spec).fitted([label])

        targets = head.targets(label, (2, 2))

        assert targets.shape == (4, 1)
        assert abs(float(targets.mean())) < 1e-6
        back = head.decide(targets[None], Vote.SOFT).values
        torch.testing.assert_close(back, torch.from_numpy(label).view(4, 1))

    def test_what_is_out_of_range_is_no_target(self):
        """
        Depths that are none, too small or too large are left out.
        """
        targets = head_of(PLAIN).targets(depth([np.nan, 0, 11, np.inf, 3]), (1, 5))

        assert labelled(targets).tolist() == [False, False, False, False, True]

    def test_resizing_makes_no_depth_that_is_not_there(self):
        """
        Between near and far lies nothing: every target is one of the depths.
        """
        label = depth([1, 9, 1], [9, 1, 9], [1, 9, 1])

        assert set(head_of(PLAIN).targets(label, (2, 7)).flatten().tolist()) == {1.0, 9.0}


class TestLoss:
    def test_is_hubers(self):
        """
        Half the square up to one deviation, linear beyond; pixels without depth count in no mean.
        """
        targets = torch.tensor([[0.0], [0.0], [torch.nan]]).expand(2, 3, 1)
        outputs = outputs_of([0.5, 3.0, 9.0], [0.0, 0.0, 9.0])

        expected = [(0.5 * 0.25 + 2.5) / 2, 0.0]
        assert head_of(PLAIN).loss(outputs, targets).tolist() == pytest.approx(expected)


class TestDecide:
    def test_takes_the_mean_of_what_was_learnt(self):
        """
        With logarithms that is the geometric mean of the members' depths.
        """
        head = head_of(LOG, {"mean": 0.0, "deviation": 2.0})
        outputs = outputs_of([math.log(1) / 2], [math.log(4) / 2])

        for vote in Vote:
            assert float(head.decide(outputs, vote).values) == pytest.approx(2.0)

    def test_stays_within_the_range(self):
        """
        No depth is outside what the label's spec allows.
        """
        decided = head_of(PLAIN).decide(outputs_of([-100.0, 100.0]), Vote.SOFT)

        assert decided.values.flatten().tolist() == [0.5, 10.0]

    def test_uncertainty_is_in_deviations_of_the_training_depth(self):
        """
        So labels of a room and of a street can be compared.
        """
        for deviation in (1.0, 50.0):
            head = head_of(PLAIN, {"deviation": deviation})
            decided = head.decide(outputs_of([1.0], [2.0], [3.0]), Vote.SOFT)
            assert float(decided.uncertainty) == pytest.approx(math.sqrt(2 / 3))

    def test_a_member_alone_is_certain(self):
        """
        One member has nobody to disagree with.
        """
        decided = head_of(PLAIN).decide(outputs_of([1.0]), Vote.SOFT)

        assert float(decided.uncertainty) == 0.0

    def test_the_score_is_the_mean_of_the_most_uncertain_tenth(self):
        """
        As for masks.
        """
        uncertainty = torch.arange(25.0).view(1, 5, 5)

        finished = head_of(PLAIN).finish(torch.ones(1, 5, 5, 1), uncertainty)

        assert finished.scores.tolist() == [23.5]
        assert finished.values.shape == (1, 5, 5)


class TestCompare:
    def test_the_error_is_a_share_of_the_depth(self):
        """
        |p - t| / |t| over the valid pixels of the map at the label's size.
        """
        real = depth([3, np.nan, 4, 99])
        predicted = depth([3, 7, 9, 7])

        found = head_of(PLAIN).compare(predicted, real, (1, 4))

        assert found.error == pytest.approx(5 / 5)
        assert found.figures["rmse"] == pytest.approx(math.sqrt(25 / 2))

    def test_a_map_without_depth_has_no_error(self):
        """
        Where no pixel is in the range there is nothing to compare.
        """
        found = head_of(PLAIN).compare(depth([1, 2]), depth([np.nan, 99]), (1, 2))

        assert math.isnan(found.error)
        assert set(found.figures.values()) == {None}

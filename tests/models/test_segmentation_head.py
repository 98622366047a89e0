import math

import numpy as np
import pytest
import torch

from models.data.resampling import nearest
from models.heads import head_of
from models.heads.base import UNLABELLED, Vote
from models.heads.segmentation import jensen_shannon
from models.labels import SegmentationSpec

SPEC = SegmentationSpec(classes=("background", "a", "b", "c"), ignore_index=255)


def logits(members=5, pixels=50, classes=4, seed=0):
    """
    Random outputs [M, P, K].
    """
    stream = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(members, pixels, classes, generator=stream)


def votes_of(preferred, classes=4, strength=10.0):
    """
    Logits [M, 1, K] of members that each prefer one class.
    """
    return strength * torch.nn.functional.one_hot(torch.tensor(preferred), classes)[:, None].float()


class TestDecide:
    def test_soft_takes_the_highest_mean_probability(self):
        """
        Probabilities are averaged, not logits: a member that is sure weighs no more than one.
        """
        outputs = logits()
        sums = [sum(torch.softmax(member[p], 0) for member in outputs) for p in range(50)]
        expected = [max(range(4), key=total.tolist().__getitem__) for total in sums]

        assert expected == head_of(SPEC).decide(outputs, Vote.SOFT).values[:, 0].tolist()

    def test_hard_takes_the_class_most_members_prefer(self):
        """
        Two members that barely prefer a class beat one that is sure of another.
        """
        outputs = torch.tensor([[[0.0, 0.1, 0, 0]], [[0.0, 0.1, 0, 0]], [[0.0, 0, 50, 0]]])

        assert head_of(SPEC).decide(outputs, Vote.HARD).values[:, 0].tolist() == [1]
        assert head_of(SPEC).decide(outputs, Vote.SOFT).values[:, 0].tolist() == [2]

    @pytest.mark.parametrize("vote", list(Vote))
    @pytest.mark.parametrize("preferred", [(3, 1), (1, 3), (2, 3, 1)])
    def test_the_lowest_id_wins_among_equals(self, vote, preferred):
        """
        A tie is decided by the id, in every vote and whatever the order of members.
        """
        decided = head_of(SPEC).decide(votes_of(preferred), vote)

        assert decided.values[:, 0].tolist() == [1]
        assert torch.uint8 == decided.values.dtype


class TestUncertainty:
    def test_is_the_mean_divergence_from_the_mean(self):
        """
        Jensen-Shannon: the members' mean Kullback-Leibler divergence from their mean.
        """
        p = torch.softmax(logits().double(), dim=-1)
        mean = p.mean(0)
        expected = (p * (p / mean).log()).sum(-1).mean(0)

        torch.testing.assert_close(jensen_shannon(p, p.log(), mean), expected)

    def test_runs_from_agreement_to_the_logarithm_of_the_members(self):
        """
        Zero where all members say the same, ln M where each is sure of a class of its own.
        """
        head = head_of(SPEC)

        assert float(head.decide(logits(1), Vote.SOFT).uncertainty.max()) < 1e-6
        sure = head.decide(votes_of((0, 1, 2), strength=100.0), Vote.SOFT)
        assert math.isclose(math.log(3), float(sure.uncertainty), rel_tol=1e-6)


class TestTargets:
    def test_ignored_pixels_are_unlabelled(self):
        """
        The ignore value never becomes a target.
        """
        mask = np.array([[0, 255], [3, 2]], dtype=np.uint8)

        targets = head_of(SPEC).targets(mask, (2, 2))

        assert targets.tolist() == [0, UNLABELLED, 3, 2]

    @pytest.mark.parametrize("size", [(4, 6), (8, 12), (2, 3), (5, 7)])
    def test_resizing_takes_what_lies_at_the_centre(self, size):
        """
        Every pixel of the resized mask is the old pixel that its centre falls into.
        """
        mask = np.arange(24, dtype=np.uint8).reshape(4, 6)

        got = nearest(mask, size)

        for row in range(size[0]):
            for column in range(size[1]):
                r = (2 * row + 1) * 4 // (2 * size[0])
                c = (2 * column + 1) * 6 // (2 * size[1])
                assert mask[r, c] == got[row, column]

    def test_specks_become_background(self):
        """
        As the authors prepare masks: at 512 x 512 a class of 28 pixels goes, one of 32 stays, and
        so does the ignore value.
        """
        mask = np.zeros((256, 256), dtype=np.uint8)
        mask[0, :7], mask[0, 10:18], mask[0, 20] = 1, 2, 255  # 28, 32 and 4 at twice the size.

        cleaned = head_of(SPEC).cleaned(mask, (512, 512))

        assert np.unique(cleaned).tolist() == [0, 2, 255]


class TestLossAndAgreement:
    def test_each_member_has_a_loss_of_its_own(self):
        """
        A member's loss is the mean cross-entropy of its own pixels.
        """
        outputs = logits(members=2, pixels=3)
        targets = torch.tensor([[0, 1, 2], [3, 3, 0]])
        expected = [
            -sum(float(torch.log_softmax(outputs[m, p], 0)[targets[m, p]]) for p in range(3)) / 3
            for m in range(2)
        ]

        assert pytest.approx(expected) == head_of(SPEC).loss(outputs, targets).tolist()

    def test_agreement_is_the_mean_iou_of_the_vote(self):
        """
        All right is 1; with one of four pixels wrong both classes lose.
        """
        outputs = votes_of((1,)).repeat(1, 4, 1)

        assert head_of(SPEC).agreement(outputs, torch.ones(4, dtype=torch.int64)) == 1.0
        targets = torch.tensor([1, 1, 1, 2])
        assert head_of(SPEC).agreement(outputs, targets) == 3 / 8


class TestCompare:
    def test_counts_the_classes_that_are_in_either_mask(self):
        """
        Of four pixels one is called another class: its class keeps 2 of 3, the other has 1 of 2;
        ignored pixels and classes that are nowhere count nothing.
        """
        real = np.array([[0, 0, 0, 1, 255]], dtype=np.uint8)
        predicted = np.array([[0, 0, 1, 1, 2]], dtype=np.uint8)

        found = head_of(SPEC).compare(predicted, real, (1, 5))

        first, second, *others = found.figures["iou"].values()
        assert (first, second, set(others)) == (2 / 3, 1 / 2, {None})
        assert found.figures["miou"] == pytest.approx(7 / 12)
        assert found.error == pytest.approx(5 / 12)

    def test_a_mask_that_says_nothing_has_no_error(self):
        """
        Where all is ignored there is nothing to compare.
        """
        nothing = np.full((2, 2), 255, dtype=np.uint8)

        found = head_of(SPEC).compare(np.zeros((2, 2), np.uint8), nothing, (2, 2))

        assert math.isnan(found.error)
        assert found.figures["miou"] is None

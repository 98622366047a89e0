import math

import numpy as np
import pytest
import torch

from models.heads import head_of
from models.heads.base import Vote, labelled
from models.heads.keypoints import CLOSE, DEFAULTS, HIDDEN, HOT
from models.heatmaps import gaussians
from models.labels import KeypointsSpec

SPEC = KeypointsSpec(names=("nose", "chin"))
HEAD = head_of(SPEC)


def points(*rows):
    """
    A label float32 [2, 3].
    """
    return np.array(rows, dtype=np.float32)


def heat(places, height=1.0):
    """
    Gaussian maps [places, 24, 32].
    """
    seen = torch.tensor([[(*place, 2.0) for place in places]])
    return height * gaussians(seen, (24, 32), 1.5)[0]


def finished(members, learnt=None):
    """
    Labels of one image from the members' maps [M, K, H, W].
    """
    maps = torch.stack(members)
    outputs = maps.flatten(2).mT  # [M, P, K]
    head = head_of(SPEC, learnt)
    decision = head.decide(outputs, Vote.SOFT)
    size = maps.shape[-2:]
    return head.finish(decision.values.view(1, *size, -1), decision.uncertainty.view(1, *size))


class TestTargets:
    def test_are_gaussians_around_the_points(self):
        """
        At a distance of sigma (a share of the longer side) the heat is exp(-1/2).
        """
        targets = HEAD.targets(points((10, 20, 2), (3, 4, 2)), (50, 100)).view(50, 100, 2)

        assert DEFAULTS["sigma"] * 100 == pytest.approx(3)
        assert float(targets[10, 20, 0]) == float(targets[3, 4, 1]) == 1.0
        assert float(targets[13, 20, 0]) == pytest.approx(np.exp(-0.5))
        assert float(targets[10, 26, 0]) == pytest.approx(np.exp(-2))

    @pytest.mark.parametrize("image", [(40, 64), (10, 16), (25, 48)])
    def test_move_with_the_size_of_the_image(self, image):
        """
        A point in the middle of a pixel of the label is there, however large the image is.
        """
        place = (8.5 * image[0] / 20 - 0.5, 3.5 * image[1] / 32 - 0.5)

        targets = HEAD.targets(points((*place, 2), (*place, 2)), (20, 32), image)

        assert divmod(int(targets[:, 0].argmax()), 32) == (8, 3)
        torch.testing.assert_close(float(targets.max()), 1.0)

    def test_hidden_points_are_half_as_high_and_absent_ones_not_there(self):
        """
        Visibility 1 is learnt with a lower peak; visibility 0 is no target, but the pixel is.
        """
        targets = HEAD.targets(points((2, 2, 1), (0, 0, 0)), (5, 5))

        assert float(targets[:, 0].max()) == HIDDEN
        assert targets[:, 1].isnan().all()
        assert labelled(targets).all()
        assert not labelled(HEAD.targets(points((2, 2, 0), (0, 0, 0)), (5, 5))).any()


class TestLoss:
    def test_weighs_what_is_hot(self):
        """
        Each squared error counts 1 + HOT times its target; absent points count in no mean.
        """
        outputs = torch.tensor([[[0.5, 9.0], [0.5, 0.5]], [[1.0, 9.0], [0.0, 0.0]]])
        targets = torch.tensor([[1.0, torch.nan], [0.0, 0.0]]).expand(2, 2, 2)
        expected = [((1 + HOT) * 0.25 + 0.25 + 0.25) / 3, 0.0]

        assert HEAD.loss(outputs, targets).tolist() == pytest.approx(expected)

    def test_absent_points_pull_on_nothing(self):
        """
        No gradient comes from a point that is not labelled, not even NaN.
        """
        outputs = torch.zeros(1, 3, 2, requires_grad=True)
        targets = torch.tensor([[0.5, torch.nan]]).expand(1, 3, 2)

        HEAD.loss(outputs, targets).sum().backward()

        assert not outputs.grad[..., 1].any()
        assert outputs.grad[..., 0].all()

    def test_agreement_is_the_share_of_variance_explained(self):
        """
        Perfect heat is 1, the mean everywhere is 0, and so is anything worse.
        """
        targets = HEAD.targets(points((2, 2, 2), (4, 4, 0)), (9, 9))
        perfect = targets.nan_to_num(7.0)[None]
        mean = targets.nanmean(dim=0).expand_as(targets)[None]

        assert HEAD.agreement(perfect, targets) == pytest.approx(1.0)
        assert HEAD.agreement(mean, targets) == pytest.approx(0.0, abs=1e-5)
        assert HEAD.agreement(-perfect, targets) == 0.0


class TestFinish:
    def test_takes_the_peak_of_the_mean(self):
        """
        Members that agree give row, column, visibility and confidence of each point.
        """
        maps = heat([(10.25, 20.5), (3, 4)])

        (label,) = finished([maps, maps]).values

        assert label[:, :2].tolist() == [pytest.approx([10.25, 20.5], abs=0.01), [3, 4]]
        assert label[:, 2].tolist() == [2, 2]
        assert label[:, 3].tolist() == pytest.approx([1.0, 1.0], abs=0.01)

    @pytest.mark.parametrize(("height", "visibility"), [(0.7, 2), (0.5, 1), (0.1, 0)])
    def test_visibility_follows_confidence(self, height, visibility):
        """
        Above one threshold a point is seen, above another it is there, else it is not.
        """
        maps = heat([(10, 20), (3, 4)], height=height)

        assert finished([maps]).values[0, :, 2].tolist() == [visibility] * 2

    def test_thresholds_can_be_set_without_training(self):
        """
        They are part of what is kept with a label generator.
        """
        maps = heat([(10, 20), (3, 4)], height=0.5)

        found = finished([maps], {"seen": 0.4, "present": 0.3}).values

        assert found[0, :, 2].tolist() == [2, 2]

    def test_the_score_is_how_far_the_members_peaks_lie_apart(self):
        """
        In units of the longer side, root mean square, averaged over the points by confidence.
        """
        ones, others = heat([(10, 10), (3, 4)]), heat([(10, 12), (3, 4)])
        confidence = float(finished([ones, others]).values[0, 0, 3])

        score = float(finished([ones, others]).scores)

        assert score == pytest.approx(confidence * (1 / 32) / (confidence + 1), abs=1e-4)
        assert float(finished([ones, ones]).scores) == 0.0

    def test_points_that_nobody_sees_are_not_uncertain(self):
        """
        Where a point is not found, it is not labelled, so members may look anywhere for it.
        """
        sure, lost = heat([(10, 10)]), [0.001 * heat([place]) for place in ((1, 1), (20, 30))]

        score = float(finished([torch.cat([sure, one]) for one in lost]).scores)

        assert score < 0.001

    def test_uncertainty_is_the_variance_of_the_point_most_at_odds(self):
        """
        Each pixel's is that of one point: more points do not make it smaller.
        """
        outputs = torch.tensor([[[0.0, 0.2]], [[1.0, 0.2]]])

        assert HEAD.decide(outputs, Vote.SOFT).uncertainty.tolist() == [0.25]


class TestCompare:
    def test_distances_are_shares_of_the_longer_side(self):
        """
        At labels of 20 x 40, of an image twice as large: one point is 1 of 40 pixels off, the
        other 8; one of the two is close.
        """
        real = points((20.5, 30.5, 2), (10.5, 60.5, 1))  # (10, 15) and (5, 30) on the label.
        predicted = np.array([[11, 15, 2, 0.9], [5, 22, 0, 0.1]], dtype=np.float32)

        found = HEAD.compare(predicted, real, (20, 40), (40, 80))

        assert found.figures["distances"] == pytest.approx({"nose": 1 / 40, "chin": 8 / 40})
        assert found.figures[f"pck_{CLOSE}"] == 0.5
        assert found.error == found.figures["distance"] == pytest.approx(9 / 80)

    def test_points_that_are_not_labelled_count_nothing(self):
        """
        An absent point has no distance; without any point there is no error.
        """
        predicted = np.array([[1, 1, 2, 0.9], [5, 5, 2, 0.9]], dtype=np.float32)

        one = HEAD.compare(predicted, points((1, 1, 2), (0, 0, 0)), (8, 8))
        none = HEAD.compare(predicted, points((0, 0, 0), (0, 0, 0)), (8, 8))

        assert (one.error, one.figures["distances"]["chin"]) == (0, None)
        assert math.isnan(none.error)

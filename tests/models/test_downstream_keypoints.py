import numpy as np
import pytest
import torch

from models.configs import Recipe
from models.demo.renderer import FLIP_PAIRS, KEYPOINT_NAMES, render, sample_parameters
from models.downstream import LabelledImages, judge
from models.downstream.keypoints import KeypointsTask
from models.heatmaps import gaussians
from models.labels import KeypointsSpec
from models.metrics import pck
from models.progress import silent

FACE = KeypointsSpec(names=KEYPOINT_NAMES, flip_pairs=FLIP_PAIRS)
PAIR = KeypointsSpec(names=("left", "right"), flip_pairs=((0, 1),))
NOBODY = LabelledImages([], [])
CPU = torch.device("cpu")


def faces(n, seed):
    """
    Small demo renders with their points.
    """
    drawn = render(sample_parameters(n, seed), size=32)
    images = ((drawn.images + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    return LabelledImages(list(images), list(drawn.keypoints.numpy()))


def task(spec=PAIR):
    """
    What learns points of `spec`; it needs no pictures to get ready.
    """
    return KeypointsTask(spec, Recipe(), NOBODY)


class TestJudge:
    def test_finds_points_better_than_a_constant_guess(self):
        """
        From sixteen faces the points of others are learnt: nearer than their usual places are.
        """
        train, test = faces(16, 0), faces(24, 1)
        recipe = Recipe(steps=300, batch=8, width=8, learning_rate=5e-3)

        found = judge(train, faces(8, 2), test, FACE, recipe, CPU, silent)

        true, guess = np.stack(test.labels), np.mean(train.labels, axis=0)[:, :2]
        guesses, is_labelled = np.broadcast_to(guess, (24, 8, 2)), true[..., 2] > 0
        guessed = pck(guesses, true[..., :2], is_labelled, np.full(24, 32), 0.05)
        assert found.figures["pck_0.05"] > guessed + 0.08
        assert found.figures["pck_0.1"] >= found.figures["pck_0.05"] >= found.figures["pck_0.02"]
        assert set(found.figures["per_point_pck_0.05"]) == set(KEYPOINT_NAMES)
        assert found.chosen_by == "pck_0.05"

    def test_the_network_it_keeps_is_the_one_it_chose(self):
        """
        What is said of the validation pictures holds for the network that is then tested.
        """
        some, recipe = faces(8, 1), Recipe(steps=40, batch=4, width=4, learning_rate=1e-2)

        found = judge(faces(8, 0), some, some, FACE, recipe, CPU, silent)

        for name, figure in found.validation.items():
            assert found.figures[name] == figure


class TestLoss:
    def test_is_least_for_the_logarithm_of_the_target(self):
        """
        Logits of the right Gaussians cost less than those a pixel away, or none.
        """
        labels = torch.tensor([[[5.0, 7.0, 2], [9.0, 3.0, 1]]])

        def cost(shift):
            moved = labels + torch.tensor([shift, 0.0, 0.0])
            return float(task().loss(gaussians(moved, (16, 16), 0.32).clamp(1e-20).log(), labels))

        assert cost(0.0) < cost(0.3) < cost(1.0)
        assert cost(0.0) < float(task().loss(torch.zeros(1, 2, 16, 16), labels))

    def test_does_not_see_points_without_a_label(self):
        """
        Their maps get no gradient, and they do not thin out what the others cost.
        """
        outputs = torch.zeros(1, 2, 16, 16, requires_grad=True)
        seen = torch.tensor([[[5.0, 7.0, 2], [9.0, 3.0, 1]]])
        absent = torch.tensor([[[5.0, 7.0, 2], [0.0, 0.0, 0]]])

        loss = task().loss(outputs, absent)
        loss.backward()

        assert not outputs.grad[0, 1].any()
        assert outputs.grad[0, 0].any()
        assert float(loss.detach()) == pytest.approx(float(task().loss(outputs.detach(), seen)))

    def test_of_nothing_is_nothing(self):
        """
        When every point has left the pictures of a batch there is nothing to learn.
        """
        assert float(task().loss(torch.randn(1, 2, 8, 8), torch.zeros(1, 2, 3))) == 0


class TestFinding:
    @pytest.mark.parametrize("size", [(16, 16), (48, 32), (8, 24)])
    def test_is_in_the_pictures_own_pixels(self, size):
        """
        A peak at the working size is found where it lies at the picture's own; the round trip of a
        point through both sizes is the point.
        """
        label = np.array([[0.4, 0.6, 2], [0.3, 0.25, 1]], np.float32) * [*size, 1]
        picture = np.zeros((*size, 3), np.uint8)

        (there,) = task().stacked(LabelledImages([picture], [label]), (16, 16))
        logits = gaussians(there[None], (16, 16), 1.0)[0].clamp(1e-20).log()
        found = task().finding(logits, label, size)

        np.testing.assert_allclose(found.predicted, label[:, :2], atol=0.02)
        assert found.longer_side == max(size)


class TestFigures:
    def test_count_hidden_points_and_leave_out_absent_ones(self):
        """
        Of three labelled points, hidden ones among them, one is 5.3 pixels off in a picture whose
        longer side is 100: near enough at 0.1 of it alone. The fourth point is not labelled.
        """
        label = np.array([[0, 0, 2], [10, 10, 1]], np.float32)
        half = np.array([[0, 0, 2], [10, 10, 0]], np.float32)
        logits = gaussians(torch.tensor([[[0.0, 0, 2], [15.3, 10, 2]]]), (50, 100), 1.0)[0]

        findings = [task().finding(60 * logits, one, (50, 100)) for one in (label, half)]
        figures = task().figures(findings)

        assert figures["pck_0.1"] == 1
        assert figures["pck_0.05"] == figures["pck_0.02"] == pytest.approx(2 / 3)
        assert figures["per_point_pck_0.05"] == {"left": 1, "right": 0}

    def test_of_a_point_that_nobody_labelled_are_none(self):
        """
        Such a point has no share; the others have.
        """
        label = np.array([[0, 0, 2], [0, 0, 0]], np.float32)
        findings = [task().finding(torch.zeros(2, 8, 8), label, (8, 8))]

        assert task().figures(findings)["per_point_pck_0.05"] == {"left": 1, "right": None}

    def test_equals_are_told_apart_by_the_finer_figure(self):
        """
        Of two checkpoints with one PCK-0.05 the one with more points at 0.02 is better.
        """
        coarse, fine = ({"pck_0.05": 1.0, "pck_0.02": share} for share in (0.2, 0.3))

        assert task().score(fine) > task().score(coarse)

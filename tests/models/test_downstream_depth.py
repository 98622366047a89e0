import numpy as np
import pytest
import torch
from support.steps import moves_seen

from models.configs import Recipe
from models.demo.renderer import render, sample_parameters
from models.downstream import LabelledImages, judge
from models.downstream.depth import DepthTask
from models.errors import TrainingImpossible
from models.labels import DepthSpec
from models.metrics import depth_errors
from models.progress import silent

CPU = torch.device("cpu")
SPEC = DepthSpec(smallest=0.5, largest=10.0)


def faces(n, seed):
    """
    Small demo renders with their depth; the upper left corner has none.
    """
    drawn = render(sample_parameters(n, seed), size=32)
    images = ((drawn.images + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    depth = drawn.depth.numpy().copy()
    depth[:, :6, :6] = np.nan
    return LabelledImages(list(images), list(depth))


def task(*depths, spec=SPEC):
    """
    What learns depths like these.
    """
    pictures = [np.zeros((*depth.shape, 3), np.uint8) for depth in depths]
    return DepthTask(spec, Recipe(), LabelledImages(pictures, list(depths)))


class TestJudge:
    @pytest.mark.parametrize("log", [False, True])
    def test_measures_better_than_a_constant_guess(self, log):
        """
        From sixteen faces depth is learnt, as it is or as its logarithm: other faces are nearer to
        what is predicted than to the best single number.
        """
        test = faces(24, 1)
        recipe = Recipe(steps=40, batch=8, width=8, learning_rate=1e-2)
        spec = SPEC.model_copy(update={"log": log})

        found = judge(faces(16, 0), faces(8, 2), test, spec, recipe, CPU, silent)

        true = np.stack(test.labels)
        guess = np.full_like(true, np.nanmean(true))
        assert found.figures["rmse"] < 0.8 * depth_errors(guess, true)["rmse"]
        assert set(found.figures) == {"mnmse", "rmse", "rmse_log", "abs_rel", "sq_rel"}
        assert found.chosen_by == "mnmse"
        assert found.validation["mnmse"] > 0

    @pytest.mark.parametrize(("pictures", "moving"), [(200, 7), (201, 3)])
    def test_pictures_stay_in_place_in_the_end(self, monkeypatch, pictures, moving):
        """
        The last steps move nothing: 3 of 10 where few pictures are learnt from, 7 where many are.
        """
        seen = moves_seen(monkeypatch)
        recipe = Recipe(steps=10, batch=2, width=4)

        judge(faces(pictures, 0), faces(2, 2), faces(2, 1), SPEC, recipe, CPU, silent)

        assert seen == [True] * moving + [False] * (10 - moving)

    def test_keeps_the_checkpoint_that_does_best_on_validation(self):
        """
        With depths turned around, near for far, the checkpoint that has learnt least is kept.
        """
        true, recipe = faces(8, 2), Recipe(steps=20, batch=4, width=4, learning_rate=1e-2)
        wrong = LabelledImages(true.images, [4 - depth for depth in true.labels])

        bad, good = (
            judge(faces(8, 0), validation, faces(8, 1), SPEC, recipe, CPU, silent)
            for validation in (wrong, true)
        )

        assert good.figures["mnmse"] < bad.figures["mnmse"]
        assert good.best_step > bad.best_step

    def test_pictures_without_depth_are_not_judged(self):
        """
        Among test pictures that have some they change no figure.
        """
        test, recipe = faces(3, 1), Recipe(steps=2, batch=2, width=4)
        blank = np.full((32, 32), np.nan, np.float32)
        more = LabelledImages([test.images[0], *test.images], [blank, *test.labels])

        one, same = (
            judge(faces(2, 0), faces(2, 2), data, SPEC, recipe, CPU, silent)
            for data in (test, more)
        )

        assert one.figures == pytest.approx(same.figures)

    def test_refuses_pictures_without_depth(self):
        """
        Without a single distance there is nothing to learn.
        """
        blank = LabelledImages([np.zeros((16, 16, 3), np.uint8)], [np.full((16, 16), np.nan)])

        with pytest.raises(TrainingImpossible, match=r"nothing is labelled .* train on"):
            judge(blank, faces(1, 0), faces(1, 1), SPEC, Recipe(), CPU, silent)


class TestTask:
    def test_pixels_without_depth_do_not_reach_the_loss(self):
        """
        Loss and gradient are numbers, the same as without those pixels.
        """
        depth = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
        holes = depth.clone()
        holes[:, :4] = torch.nan
        outputs = torch.zeros(2, 1, 8, 8, requires_grad=True)
        learner = task(depth[0].numpy())

        loss = learner.loss(outputs, holes)
        loss.backward()

        without = learner.loss(torch.zeros(2, 1, 4, 8), depth[:, 4:])
        assert float(loss.detach()) == pytest.approx(float(without))
        assert not outputs.grad[:, :, :4].any()
        assert outputs.grad[:, :, 4:].all()

    def test_a_batch_without_any_depth_teaches_nothing(self):
        """
        Its loss is 0, and so is its gradient.
        """
        outputs = torch.ones(1, 1, 4, 4, requires_grad=True)

        loss = task(np.ones((4, 4), np.float32)).loss(outputs, torch.full((1, 4, 4), torch.nan))
        loss.backward()

        assert float(loss.detach()) == 0
        assert not outputs.grad.any()

    @pytest.mark.parametrize("log", [False, True])
    def test_what_is_learnt_has_mean_zero_and_spread_one(self, log):
        """
        Of the pictures trained on, so that any unit is learnt at one rate.
        """
        depth = np.random.default_rng(0).uniform(1, 9, (16, 16)).astype(np.float32)
        depth[0] = np.nan
        learner = task(depth, depth[:9], spec=SPEC.model_copy(update={"log": log}))
        maps = torch.from_numpy(np.concatenate([depth, depth[:9]]))[None]

        of_zero = learner.loss(torch.zeros(1, 1, 25, 16), maps)
        of_one = learner.loss(torch.ones(1, 1, 25, 16), maps)

        assert float(of_zero) == pytest.approx(1, abs=1e-4)
        assert float(of_one) == pytest.approx(2, abs=1e-4)

    @pytest.mark.parametrize("log", [False, True])
    def test_depths_come_back_from_what_is_learnt(self, log):
        """
        Outputs that have no loss have no error either, at the picture's own size.
        """
        depth = np.where(np.arange(8) < 4, 1.0, 4.0) * np.ones((8, 1))
        learner = task(depth, spec=SPEC.model_copy(update={"log": log}))
        outputs = torch.where(torch.arange(8) < 4, -1.0, 1.0).expand(1, 8, 8)

        errors = learner.finding(outputs, depth, (8, 8))

        assert float(learner.loss(outputs[None], torch.from_numpy(depth)[None].float())) < 1e-9
        assert max(errors.values()) < 1e-5

    def test_depths_outside_the_range_do_not_count(self):
        """
        What is nearer or farther than the spec allows is as good as unknown, in the stack, for the
        errors, and for whether there is anything to learn.
        """
        depth = np.array([[0.1, 2.0], [50.0, 2.0]], np.float32)
        learner = task(depth)

        (stacked,) = learner.stacked(LabelledImages([np.zeros((2, 2, 3))], [depth]), (2, 2))

        assert stacked.isfinite().tolist() == [[False, True], [False, True]]
        assert learner.finding(torch.zeros(1, 2, 2), depth, (2, 2))["rmse"] < 1e-5
        assert not learner.says_something(np.array([[0.1, 50.0, np.nan]]))

    def test_maps_are_resized_around_their_holes(self):
        """
        A larger map without depth on one side stays so, and the other keeps its value.
        """
        depth = np.full((32, 32), 3.0, np.float32)
        depth[:, :16] = np.nan

        (stacked,) = task(depth).stacked(LabelledImages([np.zeros((32, 32, 3))], [depth]), (16, 16))

        assert bool(stacked[:, :8].isnan().all())
        torch.testing.assert_close(stacked[:, 8:], torch.full((16, 8), 3.0))

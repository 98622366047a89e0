import numpy as np
import pytest
import torch
from support.steps import moves_seen

from models import downstream
from models.configs import Recipe
from models.downstream import LabelledImages
from models.errors import TrainingImpossible
from models.labels import SegmentationSpec
from models.progress import silent
from models.segmenter import Segmenter

SPEC = SegmentationSpec(classes=("dark", "bright"), ignore_index=9)
CPU = torch.device("cpu")


def squares(n, size=(16, 16), seed=0, ignored=False):
    """
    Bright squares on dark ground, with exact masks; in `ignored` ones half of it is not labelled.
    """
    stream = np.random.default_rng(seed)
    images, masks = [], []
    for _ in range(n):
        mask = np.zeros(size, dtype=np.uint8)
        top, left = stream.integers(0, size[0] // 2), stream.integers(0, size[1] // 2)
        mask[top : top + size[0] // 2, left : left + size[1] // 2] = 1
        image = np.where(mask[..., None] == 1, 200, 40) + stream.integers(-20, 20, (*size, 3))
        if ignored:
            mask[: size[0] // 2] = 9
        images.append(image.astype(np.uint8))
        masks.append(mask)
    return LabelledImages(images, masks)


def judged(train=None, validation=None, test=None, report=silent, **changes):
    """
    A short training on squares.
    """
    recipe = Recipe(**{"steps": 60, "batch": 8, "width": 4, "learning_rate": 1e-2, **changes})
    return downstream.judge(
        train or squares(8),
        validation or squares(4, seed=1),
        test or squares(8, seed=2),
        SPEC,
        recipe,
        CPU,
        report,
    )


def pixels(judgement):
    """
    How many test pixels were counted.
    """
    return np.sum(judgement.figures["confusion"])


class TestJudge:
    def test_learns_what_can_be_learnt(self):
        """
        Bright on dark is learnt from eight pictures, and found on others.
        """
        result = judged()

        assert result.figures["miou"] > 0.8
        assert pixels(result) == 8 * 16 * 16
        assert set(result.figures["per_class_iou"]) == {"dark", "bright"}
        assert result.seconds > 0

    def test_is_the_same_for_a_seed(self):
        """
        Twice the same gives the same matrix; another seed gives another network.
        """
        one, same, other = judged(steps=10), judged(steps=10), judged(steps=10, seed=1)

        assert one.figures == same.figures
        assert one.figures != other.figures

    def test_keeps_the_checkpoint_that_does_best_on_validation(self):
        """
        With validation masks turned around, the checkpoint that has learnt least is kept.
        """
        true = squares(4, seed=1)
        wrong = LabelledImages(true.images, [1 - mask for mask in true.labels])

        assert judged(validation=wrong).figures["miou"] < judged().figures["miou"]

    def test_pictures_of_any_size_are_judged_at_their_own(self):
        """
        Test pictures of other sizes than those trained on count all their pixels.
        """
        mixed = squares(2, (20, 30), seed=3)
        small = squares(2, (10, 14), seed=4)
        test = LabelledImages([*mixed.images, *small.images], [*mixed.labels, *small.labels])

        result = judged(test=test)

        assert pixels(result) == 2 * 20 * 30 + 2 * 10 * 14
        assert result.figures["miou"] > 0.7

    def test_large_pictures_are_reduced(self):
        """
        The network never sees a picture larger than the recipe says.
        """
        result = judged(train=squares(4, (32, 24)), longest_side=16, steps=5)

        assert pixels(result) == 8 * 16 * 16

    def test_ignored_pixels_count_nowhere(self):
        """
        What is not labelled teaches nothing and is not tested.
        """
        result = judged(train=squares(8, ignored=True), test=squares(8, seed=2, ignored=True))

        assert pixels(result) == 8 * 8 * 16
        assert result.figures["miou"] > 0.7

    def test_tells_where_it_is(self):
        """
        Steps are told up to the last.
        """
        said = []
        judged(steps=20, report=lambda *words: said.append(words))

        assert said[-1] == ("training", 20, 20, "steps")

    @pytest.mark.parametrize(("share", "moving"), [(None, 10), (0.3, 7), (1.0, 0)])
    def test_pictures_may_stay_in_place_in_the_end(self, monkeypatch, share, moving):
        """
        So many of the last steps as are asked for move nothing; masks want none.
        """
        seen = moves_seen(monkeypatch)

        judged(steps=10, settled_share=share)

        assert seen == [True] * moving + [False] * (10 - moving)

    def test_refuses_pairs_of_classes_that_are_not_there(self):
        """
        A flip pair beyond the classes is named, with the ids that exist.
        """
        with pytest.raises(TrainingImpossible, match=r"flip_pairs has \[1, 2\]; .* 0 to 1"):
            judged(flip_pairs=((1, 2),))
        with pytest.raises(TrainingImpossible, match="no images"):
            judged(train=LabelledImages([], []))

    def test_refuses_sets_without_a_label(self):
        """
        A set whose pixels are all to be ignored can neither teach nor judge; it is named.
        """
        blank = LabelledImages([np.zeros((16, 16, 3), np.uint8)], [np.full((16, 16), 9, np.uint8)])

        for name, words in (("train", "train on"), ("validation", "validate"), ("test", "test on")):
            with pytest.raises(TrainingImpossible, match=f"nothing is labelled .* {words}"):
                judged(**{name: blank})


class TestSegmenter:
    @pytest.mark.parametrize("size", [(16, 16), (17, 40), (64, 48)])
    def test_gives_logits_at_the_pictures_size(self, size):
        """
        Sides need not be multiples of anything.
        """
        network = Segmenter(outputs=5, width=4)

        assert network(torch.zeros(2, 3, *size)).shape == (2, 5, *size)

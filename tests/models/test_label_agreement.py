import math

import numpy as np
import pytest
import torch
from support.networks import DEPTH, POINTS, SPEC, small_generator

from models.configs import LabelGeneratorConfig
from models.heads.base import UNLABELLED, mismatch
from models.label_agreement import label_agreement
from models.labels import SegmentationSpec
from models.latents import mapped
from models.lessons import lesson_of
from models.progress import silent
from models.seeding import philox


def world(n=6):
    """
    A generator, latents of images, and their channels of red [16, 16].
    """
    generator = small_generator(16)
    ws = mapped(generator, [philox("world", i) for i in range(n)])
    return generator, ws, generator.synthesize(ws)[:, 0].numpy()


def masks_of(reds):
    """
    Masks that features decide: 1 where red is strong.
    """
    return list((reds > np.median(reds)).astype(np.uint8))


def agreements(labels, n=6, spec=SPEC, steps=150, report=silent, mode="default"):
    """
    How the images of that world agree, with these labels.
    """
    generator, ws, _ = world(n)
    lesson = lesson_of(generator, ws, labels, spec, mode, silent)
    return label_agreement(lesson, LabelGeneratorConfig(max_steps=steps, mode=mode), report)


class TestLeavingOneOut:
    @pytest.mark.parametrize("mode", ["default", "paper"])
    def test_a_wrong_label_is_the_worst_and_is_flagged(self, mode):
        """
        Where ten masks are white below, one that is white above is contradicted by all the others.
        """
        masks = [np.arange(256).reshape(16, 16) // 128 for _ in range(10)]
        masks[2] = 1 - masks[2]

        found = agreements(masks, 10, mode=mode)

        errors = [each.error for each in found]
        assert max(range(10), key=errors.__getitem__) == 2
        assert errors[2] > 0.95
        assert np.median(errors) < 0.3
        assert found[2].suspect
        np.testing.assert_array_equal(found[2].mismatch, found[2].predicted != masks[2])

    def test_an_image_has_no_say_in_its_own_label(self):
        """
        Whatever an image's label is, what the others say of it is bit for bit the same; what is
        said of the others is not.
        """
        masks = masks_of(world()[2])
        before = agreements(masks, steps=20)
        after = agreements([masks[0], 1 - masks[1], *masks[2:]], steps=20)

        same = [
            np.array_equal(one.predicted, other.predicted)
            for one, other in zip(before, after, strict=True)
        ]
        assert same[1]
        assert not all(same)

    def test_many_images_share_networks_that_saw_neither(self):
        """
        Of 66 images, the first and the 65th are left out of one network: the label of either
        changes nothing of what is said of both.
        """
        masks = masks_of(world(66)[2])
        before = agreements(masks, 66, steps=4)
        after = agreements([1 - masks[0], *masks[1:64], 1 - masks[64], masks[65]], 66, steps=4)

        for at in (0, 64):
            np.testing.assert_array_equal(before[at].predicted, after[at].predicted)
        assert len(before) == 66

    def test_tells_where_it_is(self):
        """
        Steps and images are told up to the last.
        """
        said = []
        agreements(masks_of(world()[2]), steps=20, report=lambda *words: said.append(words))

        assert ("checking", 20, 20, "steps") in said
        assert said[-1] == ("comparing", 6, 6, "images")

    def test_few_images_cannot_be_compared(self):
        """
        Of two images nobody knows which one is wrong; labels in one image alone teach nothing.
        """
        spec = SegmentationSpec(classes=SPEC.classes, ignore_index=255)
        nothing = np.full((16, 16), 255, dtype=np.uint8)

        assert agreements(masks_of(world(2)[2]), 2) == ()
        assert agreements([masks_of(world()[2])[0], *[nothing] * 5], spec=spec) == ()


class TestOtherKinds:
    def test_depth_that_is_wrong_is_flagged(self):
        """
        A map in another unit is the worst of all, in shares of the depth.
        """
        reds = world()[2]
        depths = list((5 + 2 * (reds - reds.mean()) / reds.std()).clip(1, 9))
        depths[4] = depths[4] / 8

        found = agreements(depths, spec=DEPTH)

        assert [at for at, each in enumerate(found) if each.suspect] == [4]
        assert found[4].error == pytest.approx(math.sqrt(found[4].figures["nmse"]))
        assert found[0].predicted.dtype == np.float32

    def test_points_have_their_distances(self):
        """
        Each labelled point has one, in shares of the longer side; an image without points has
        none and is no suspect.
        """
        reds = world()[2]
        places = [np.unravel_index(red.argmax(), red.shape) for red in reds]
        labels = [np.array([[*place, 2], [0, 0, 0]], dtype=np.float32) for place in places]
        labels[5][:] = 0

        found = agreements(labels, spec=POINTS)

        one, none = found[0], found[5]
        apart = np.linalg.norm(one.predicted[0, :2] - places[0]) / 16
        assert one.figures["distances"] == {"nose": pytest.approx(apart), "chin": None}
        assert math.isnan(none.error)
        assert (none.suspect, none.figures["distance"]) == (False, None)


class TestMismatch:
    def test_ids_differ_or_not(self):
        """
        Another class counts 1, and what has no label counts nothing.
        """
        targets = torch.tensor([0, 1, UNLABELLED])

        got = mismatch(torch.tensor([0, 2, 1]), targets)

        assert got.tolist() == [0, 1, 0]

    def test_numbers_differ_by_as_much_as_the_worst_output(self):
        """
        The largest difference of a pixel's outputs, at most 1; real targets that are not there
        count nothing, predicted ones that are not there as 0.
        """
        nan = math.nan
        targets = torch.tensor([[0.25, 0.5], [nan, 0.5], [5.0, 0.0], [nan, nan]])
        predicted = torch.tensor([[0.5, 0.5], [9.0, nan], [0.0, 0.0], [1.0, 1.0]])

        assert mismatch(predicted, targets).tolist() == [0.25, 0.5, 1.0, 0.0]

import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.networks import DEPTH, POINTS, SPEC, small_generator

from models import lessons
from models.configs import LabelGeneratorConfig
from models.errors import TrainingImpossible
from models.feature_tables import FeatureTable
from models.heads import head_of
from models.heads.base import UNLABELLED, Vote
from models.label_generator_training import (
    StopRule,
    decided,
    train_ensemble,
    train_label_generator,
)
from models.labels import SegmentationSpec
from models.latents import mapped
from models.lessons import Pixels
from models.progress import silent
from models.seeding import philox
from models.table_places import Room


def config(**changes):
    """
    A short training.
    """
    facts = {"members": 2, "hidden": (8, 6), "batch": 64, "max_steps": 60, "seed": 3}
    return LabelGeneratorConfig(**{**facts, **changes})


def world(n=3, size=16):
    """
    A generator, latents of images, and masks that its features decide: 1 where red is strong.
    """
    generator = small_generator(size)
    ws = mapped(generator, [philox("world", i) for i in range(n)])
    images = generator.synthesize(ws)
    masks = [(image[0] > image[0].median()).to(torch.uint8).numpy() for image in images]
    return generator, ws, masks


def trained(spec=SPEC, masks=None, report=silent, **changes):
    """
    A label generator of that world, with its record, and the world.
    """
    generator, ws, own = world()
    made, record = train_label_generator(
        generator, ws, own if masks is None else masks, spec, "0" * 64, config(**changes), report
    )
    return made, record, (generator, ws, own)


class TestTraining:
    @pytest.mark.parametrize("mode", ["default", "paper"])
    def test_learns_what_features_decide(self, mode):
        """
        After training, the labels of the training images are mostly right, in both modes.
        """
        changes = {"max_steps": 400, "batch": 64, "mode": mode, "hidden": (8, 6)}
        made, _, (generator, ws, masks) = trained(**changes)

        _, features = generator.synthesize_with_features(ws)
        got = made.predict(features).values.numpy()

        assert (got == np.stack(masks)).mean() > 0.9
        assert (Vote.HARD if mode == "paper" else Vote.SOFT) == made.vote

    def test_is_the_same_for_a_seed(self):
        """
        Twice the same is bit for bit the same; another seed gives another ensemble.
        """
        one, same, other = trained()[0], trained()[0], trained(seed=4)[0]

        assert torch.equal(one.layers.w1, same.layers.w1)
        assert not torch.equal(one.layers.w1, other.layers.w1)

    def test_members_differ(self):
        """
        Each member has its own beginning and its own pixels.
        """
        layers = trained()[0].layers

        assert not torch.allclose(layers.w3[0], layers.w3[1], atol=1e-3)

    def test_a_member_does_not_mind_the_others(self):
        """
        The first of two members is the one that is trained alone.
        """
        two, one = trained(max_steps=10)[0], trained(max_steps=10, members=1)[0]

        torch.testing.assert_close(two.layers.w1[:1], one.layers.w1, rtol=1e-3, atol=1e-4)

    def test_ignored_pixels_teach_nothing(self):
        """
        Whatever stands under the ignore value, the ensemble is the same.
        """
        spec = SegmentationSpec(classes=SPEC.classes, ignore_index=255)
        _, _, masks = world()
        partly = [np.where(np.arange(16) < 8, m, 255).astype(np.uint8) for m in masks]
        generator, ws, _ = world()
        head = head_of(spec)
        targets = torch.cat([head.targets(m, (16, 16)) for m in partly])

        assert int((targets == UNLABELLED).sum()) == 3 * 128
        made, record, _ = trained(spec=spec, masks=partly)
        assert record["held_out_pixels"] == int(0.05 * 3 * 128)
        assert made.predict(generator.synthesize_with_features(ws)[1]).values.max() < 3

    def test_records_how_it_went(self):
        """
        The record says how long, on what it was judged, and how well it did there.
        """
        _, record, _ = trained()

        assert record["steps"] == 60
        assert [0 < step <= 60 for step in record["kept_at"]] == [True, True]
        assert 0 <= record["held_out_agreement"] <= 1
        assert record["seconds"] > 0

    def test_tells_where_it_is(self):
        """
        Images and steps are told up to the last.
        """
        said = []
        trained(report=lambda *words: said.append(words))

        assert ("synthesising", 3, 3, "images") in said
        assert said[-1] == ("training", 60, 60, "steps")

    def test_too_few_pixels_are_refused(self):
        """
        Fewer labelled pixels than two batches cannot be learnt from; the message says how many.
        """
        spec = SegmentationSpec(classes=SPEC.classes, ignore_index=255)
        nothing = [np.full((16, 16), 255, dtype=np.uint8)] * 3

        with pytest.raises(TrainingImpossible, match=r"0 labelled pixels .* batches of 64"):
            trained(spec=spec, masks=nothing)

    def test_masks_of_other_sizes_are_resized(self):
        """
        A mask drawn at twice the size teaches the same.
        """
        _, _, masks = world()
        large = [m.repeat(2, axis=0).repeat(2, axis=1) for m in masks]

        assert torch.equal(trained(masks=large)[0].layers.w1, trained()[0].layers.w1)


class TestSampling:
    def test_balanced_is_for_rare_classes(self):
        """
        A class of one pixel in a hundred is found at all, where each class is drawn as often.
        """
        generator, ws, _ = world()
        images, features = generator.synthesize_with_features(ws)
        rare = (images[:, 0] > images[:, 0].quantile(0.99)).byte().numpy()

        def found(sampling):
            made, _, _ = trained(masks=list(rare), sampling=sampling, max_steps=30)
            return (made.predict(features).values.numpy()[rare == 1] == 1).mean()

        assert found("balanced") > 0.9
        assert found("uniform") < 0.5

    def test_balanced_needs_classes(self):
        """
        Depth has none; the message says what to ask for.
        """
        depths = [np.full((16, 16), 5.0)] * 3

        with pytest.raises(TrainingImpossible, match="ask for uniform"):
            trained(DEPTH, depths, sampling="balanced")


class TestPatience:
    def test_a_plateau_ends_in_the_last_quarter(self):
        """
        Where there is nothing left to learn, the schedule is jumped to its last quarter, and run
        through to its end; the record has the steps that were taken.
        """
        said = []
        nothing = [np.zeros((16, 16), dtype=np.uint8)] * 3
        changes = {"masks": nothing, "max_steps": 400, "learning_rate": 0.05}
        report = lambda *words: said.append(words[1:3])  # noqa: E731

        _, record, _ = trained(patience=1, report=report, **changes)

        steps = [step for step, total in said if total == 400]
        jump = max(later - step for step, later in itertools.pairwise(steps))
        assert jump > 20
        assert steps[-5:] == [320, 340, 360, 380, 400]
        assert record["steps"] == 400 - (jump - 20)
        assert trained(**changes)[1]["steps"] == 400

    def test_looks_that_help_go_on(self):
        """
        As long as the held-out loss falls, all steps are taken.
        """
        assert trained(patience=3, max_steps=60)[1]["steps"] == 60


class TestSteps:
    @pytest.mark.parametrize(
        ("spec", "pixels", "steps"),
        [
            (SPEC, 16 * 64 * 64, 400),
            (SPEC, 300_000, 1758),
            (DEPTH, 300_000, 1758),
            (SPEC, 16 * 512 * 512, 3000),
            (POINTS, 16 * 64 * 64, 3000),
        ],
    )
    def test_follow_from_what_there_is_to_see(self, spec, pixels, steps):
        """
        Each labelled pixel is looked at one and a half times, within bounds; points take longer.
        """
        assert decided(LabelGeneratorConfig(), head_of(spec), pixels).max_steps == steps

    def test_are_what_was_asked_for(self):
        """
        A number that was given stays, and so many are taken.
        """
        _, record, _ = trained(max_steps=7)

        assert record["steps"] == 7

    def test_that_were_left_open_are_recorded(self):
        """
        The record says how many there were.
        """
        _, record, _ = trained(max_steps=None, members=1)

        assert record["steps"] == 400


class TestMemory:
    def test_features_in_a_file_teach_the_same(self, monkeypatch, tmp_path):
        """
        Where memory has no room the features lie in a file: the ensemble is the same, and nothing
        is left behind.
        """
        generator, ws, masks = world()
        labelled = (generator, ws, masks, SPEC, "0" * 64, config(), silent)
        expected, _ = train_label_generator(*labelled)
        monkeypatch.setattr(lessons, "room_beside", lambda device: Room(None, 0))

        made, _ = train_label_generator(*labelled, scratch=tmp_path)

        assert torch.equal(made.layers.w1, expected.layers.w1)
        assert list(tmp_path.iterdir()) == []


class TestOtherKinds:
    """
    Labels that are no classes, learnt by the same ensemble.
    """

    def test_depth_is_learnt_in_its_own_unit(self):
        """
        What features decide is found again, in the range of the training's depth; pixels without
        depth teach nothing.
        """
        generator, ws, _ = world()
        images = generator.synthesize(ws)[:, 0]
        reds = 5 + 2 * (images - images.mean()) / images.std()
        depths = [np.where(np.arange(16) < 12, red.numpy(), np.nan) for red in reds]

        made, record, _ = trained(DEPTH, depths, max_steps=400)

        got = made.predict(generator.synthesize_with_features(ws)[1]).values
        error = (got - reds.clamp(0.1, 9)).abs().mean()
        assert float(error) < 0.3 * float((reds - reds.mean()).abs().mean())
        valid = sum(((depth > 0.1) & (depth < 9)).sum() for depth in depths)
        assert record["held_out_pixels"] == int(0.05 * valid)
        assert made.learnt["mean"] == pytest.approx(5, abs=0.5)

    def test_keypoints_are_learnt_from_images_of_other_sizes(self):
        """
        A point at the brightest pixel is found there, though the labelled images were larger.
        """
        generator, ws, _ = world(n=6)
        red = generator.synthesize(ws)[:, 0].flatten(1)
        places = torch.stack([red.argmax(1) // 16, red.argmax(1) % 16], dim=1)
        larger = (places.float() + 0.5) * 4 - 0.5
        labels = [np.array([[*p, 2], [0, 0, 0]], dtype=np.float32) for p in larger.tolist()]
        settings = config(max_steps=600, hidden=(16, 8))

        made, _ = train_label_generator(
            generator, ws, labels, POINTS, "0" * 64, settings, silent, [(64, 64)] * 6
        )

        found = made.predict(generator.synthesize_with_features(ws)[1]).values
        distance = (found[:, 0, :2] - places).norm(dim=1)
        assert float(distance.median()) < 1

    def test_points_that_nobody_labelled_are_refused(self):
        """
        Without a single point there is nothing to learn from.
        """
        nowhere = [np.zeros((2, 3), dtype=np.float32)] * 3

        with pytest.raises(TrainingImpossible, match="0 labelled pixels"):
            trained(POINTS, nowhere)


class TestPaperMode:
    def test_fills_in_the_authors_settings(self):
        """
        What a request leaves open is as the authors had it; what it says stands.
        """
        names = ("members", "hidden", "batch", "learning_rate", "psi")
        theirs = (10, (256, 32), 64, 1e-3, 0.7)

        def settings(**asked):
            made = LabelGeneratorConfig(mode="paper", **asked)
            return tuple(getattr(made, name) for name in names)

        assert settings() == theirs
        assert settings(members=4) == (4, *theirs[1:])

    @pytest.mark.parametrize("other", [{"patience": 3}, {"sampling": "balanced"}])
    def test_has_no_other_ways(self, other):
        """
        The authors' stop rule and epochs are part of the mode.
        """
        with pytest.raises(ValidationError, match="paper mode"):
            LabelGeneratorConfig(mode="paper", **other)

    def test_four_epochs_are_free_and_a_hundred_the_most(self):
        """
        Of 12 mini-batches each: the 49th is the first that is looked at, so no member can stop
        before the 100th; the 1,200th would be the last.
        """
        said = []
        report = lambda *words: said.append(words)  # noqa: E731

        _, record, _ = trained(mode="paper", members=5, max_steps=10_000, report=report)

        assert all(100 <= step <= 1200 for step in record["stopped_at"])
        assert max(record["stopped_at"]) == record["steps"]
        assert {total for phase, _, total, _ in said if phase == "training"} == {1200}

    def test_a_member_stays_as_it_was_when_it_stopped(self):
        """
        While others go on, those that stopped keep their last weights.
        """
        made, record, _ = trained(mode="paper", members=4, max_steps=10_000)
        first = min(record["stopped_at"])
        member = record["stopped_at"].index(first)

        shorter, cut, _ = trained(mode="paper", members=4, max_steps=first)

        same = [torch.equal(*pair) for pair in zip(made.layers.w1, shorter.layers.w1, strict=True)]
        assert same[member]
        assert [step == first for step in record["stopped_at"]] == same
        assert cut["steps"] == first < record["steps"]

    def test_features_are_left_as_they_are(self):
        """
        Only the default mode standardises features.
        """
        generator, ws, masks = world()
        _, features = generator.synthesize_with_features(ws)
        head = head_of(SPEC)

        def after(mode):
            table = FeatureTable.empty(3, generator.feature_shapes, (16, 16), torch.zeros)
            for index in range(3):
                table.put(index, [feature[index : index + 1] for feature in features])
            before = table.tables[0].clone()
            targets = torch.cat([head.targets(m, (16, 16)) for m in masks])
            settings = config(mode=mode, max_steps=3)
            train_ensemble(Pixels(table, targets), head, settings, silent)
            return torch.equal(before, table.tables[0])

        assert (after("paper"), after("default")) == (True, False)

    def test_every_member_stops_by_its_own_losses(self):
        """
        A member stops after 51 mini-batches in a row without a new lowest loss.
        """
        rule = StopRule(2, torch.device("cpu"))
        stops = []
        for step in range(1, 200):
            # The first never improves on its first loss; the second does once, at step 31.
            rule.look(torch.tensor([1.0, 0.5 if step == 31 else 1.0]), step)
            stops.append(rule.stopped.tolist())

        assert [stops[50], stops[51]] == [[False, False], [True, False]]
        assert [stops[80], stops[81]] == [[True, False], [True, True]]
        assert rule.steps == [52, 82]
        assert rule.all_stopped

    def test_specks_are_cleaned_up(self):
        """
        A class of fewer than 30 pixels, scaled from 512 x 512 to the label, is not learnt.
        """
        generator, ws, masks = world()
        speckless = [np.zeros_like(m) for m in masks]
        # At 16 x 16 the least is 0.03 pixels, so nothing is a speck there.
        made, _ = train_label_generator(
            generator, ws, masks, SPEC, "0" * 64, config(mode="paper", max_steps=200), silent
        )

        labels = made.predict(generator.synthesize_with_features(ws)[1]).values
        assert not np.array_equal(labels.numpy(), np.stack(speckless))

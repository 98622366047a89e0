import math
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from support.networks import small_generator

from models import noise_maps
from models.configs import InversionConfig
from models.inversion_targets import Wanted
from models.latent_search import Objective, Search, kept, learning_rate, stepped
from models.latent_spaces import Plain, whitened
from models.latents import mapped
from models.perceptual import random_distance
from models.seeding import philox

STEPS = {"distance": "perceptual", "steps": 40}


def wider(generator, factor):
    """
    The same images from codes `factor` times as large.
    """
    last = generator.mapping.layers[-1]
    for parameter in last.parameters():
        parameter.data *= factor
    generator.w_avg.mul_(factor)
    for name, parameter in generator.named_parameters():
        if name.endswith("affine.weight"):
            parameter.data /= factor
    return generator


def problem(generator, config):
    """
    The images of two samples are wanted, the search begins with two others: objective, space and
    the search.
    """
    ws = mapped(generator, [philox("search", i) for i in range(4)])
    images = generator.synthesize(ws[:2]).clamp(-1, 1)
    wanted = Wanted.of(images, random_distance(0, torch.device("cpu")))
    objective = Objective(generator, wanted, config.from_start("mean"))
    with torch.no_grad():
        search = Search.begin(ws[2:], objective.fidelity(objective.terms(ws[2:])))
    return objective, whitened(generator, 0) if config.space == "whitened" else Plain(), search


def states(objective, space, search):
    """
    The search after each of its steps, for as long as no image is finished.
    """
    while len(search.unfinished(objective.config)) == len(search.start):
        search = stepped(objective, space, search)
        yield search


def searched(generator, config):
    """
    A whole search: its start, and what it found.
    """
    objective, space, search = problem(generator, config)
    *_, last = states(objective, space, search)
    return search.start, kept(objective, space, last)


class TestSchedule:
    def test_has_the_authors_values(self):
        """
        0.1 at its height; the values at steps 1, 5, 25, 375, 438, 475 and 499 of 500 are known.
        """
        got = [learning_rate(s, 500, 0.1) for s in (1, 5, 25, 375, 438, 475, 499)]

        expected = [0.004, 0.02, 0.1, 0.1, 0.0494, 0.00955, 1.58e-5]
        assert pytest.approx(got, rel=5e-3) == expected

    def test_ends_at_zero(self):
        """
        The last step would not move anything, so it need not be taken.
        """
        assert learning_rate(500, 500, 0.1) == 0


class TestSearch:
    def test_does_not_depend_on_the_scale_of_w(self):
        """
        Two generators that draw the same, one from codes 64 times as large, are searched alike.
        """
        _, found = searched(small_generator(), InversionConfig(**STEPS))
        _, large = searched(wider(small_generator(), 64), InversionConfig(**STEPS))

        torch.testing.assert_close(large / 64, found, atol=1e-3, rtol=1e-2)

    def test_the_authors_depends_on_it(self):
        """
        In W itself a rate that suits one network is far too small for the other.
        """
        plain = InversionConfig(**STEPS, mode="paper")
        (start, found), (wide_start, wide) = (
            searched(generator, plain)
            for generator in (small_generator(), wider(small_generator(), 64))
        )

        assert (wide - wide_start).norm() / 64 < 0.1 * (found - start).norm()

    @pytest.mark.parametrize(("share", "together"), [(1.0, True), (0.5, False), (0.0, False)])
    def test_layers_move_together_for_the_joint_share(self, share, together):
        """
        One offset for all layers, then one for each.
        """
        start, found = searched(small_generator(), InversionConfig(**STEPS, joint_share=share))

        moved = found - start
        alike = torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-4)
        assert alike == together
        assert float(moved.abs().max()) > 0.01

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_takes_every_step_but_the_last(self, share):
        """
        The schedule ends at a rate of 0, whatever part of it is joint.
        """
        config = InversionConfig(**STEPS, joint_share=share)

        taken = [state.step.tolist() for state in states(*problem(small_generator(), config))]

        assert taken == [[step, step] for step in range(1, 40)]

    def test_the_latent_term_holds_back(self):
        """
        A heavy one keeps codes near their start.
        """
        near, far = (
            (found - start).norm()
            for start, found in (
                searched(small_generator(), InversionConfig(**STEPS, latent_weight=weight))
                for weight in (1000.0, 0.0)
            )
        )

        assert near < 0.5 * far

    def test_images_that_wait_elsewhere_change_nothing(self):
        """
        Each image has its own place in the schedule: one that is behind catches up.
        """
        config = InversionConfig(**{**STEPS, "steps": 12})
        objective, space, search = problem(small_generator(), config)
        *_, together = states(objective, space, search)
        ahead = search.at([1])
        for _ in range(4):
            ahead = stepped(_only(objective, 1), space, ahead)
        mixed = search.put([1], ahead)
        while (left := mixed.unfinished(objective.config)) == [0, 1]:
            mixed = stepped(objective, space, mixed)
        while left := mixed.unfinished(objective.config):
            (image,) = left
            part = stepped(_only(objective, image), space, mixed.at(left))
            mixed = mixed.put(left, part)

        torch.testing.assert_close(mixed.offset, together.offset, rtol=1e-2, atol=1e-2)
        assert mixed.taken.tolist() == [11, 11]


def _only(objective, image):
    """
    The objective of one of its images.
    """
    wanted = Wanted.of(objective.wanted.images[[image]], objective.wanted.distance)
    return replace(objective, wanted=wanted)


class TestPatience:
    def test_a_plateau_leads_to_the_next_stage(self):
        """
        Where nothing can get better, each stage ends after two looks, and the rate falls to 0 at
        its own pace: joint, apart and cooling take 10, 10 and the schedule's last 25 steps.
        """
        config = InversionConfig(
            distance="perceptual", steps=100, patience=5, distance_weight=0, mse_weight=0
        )

        steps = [s.step[0].item() for s in states(*problem(small_generator(), config))]

        assert steps == [*range(1, 10), *range(50, 60), *range(75, 100)]

    def test_without_it_every_step_is_taken(self):
        """
        The same search without patience.
        """
        config = InversionConfig(distance="perceptual", steps=30, distance_weight=0, mse_weight=0)

        *_, last = states(*problem(small_generator(), config))

        assert last.taken.tolist() == [29, 29]

    def test_what_gets_better_is_not_stopped(self):
        """
        While every look finds a better image, none is jumped.
        """
        config = InversionConfig(distance="perceptual", steps=60, patience=5, joint_share=1.0)
        first, *_ = (
            s for s in states(*problem(small_generator(), config)) if s.step.max() > s.taken.max()
        )

        assert first.taken.max() > 10

    def test_paper_mode_has_none(self):
        """
        The authors take all steps; asking for both is refused.
        """
        with pytest.raises(ValidationError, match="paper mode takes every step"):
            InversionConfig(mode="paper", patience=5)


def noisy(**changes):
    """
    A short search that moves noise too, of a generator whose noise matters: it, and what it found.
    """
    generator = small_generator()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
    config = InversionConfig(**STEPS, **changes)
    objective, space, search = problem(generator, config)
    size = noise_maps.length(generator) if config.noise_maps else 0
    search = Search.begin(search.start, search.fidelity, size)
    *_, last = states(objective, space, search)
    return objective, last, kept(objective, space, last)


class TestNoiseMaps:
    def test_stay_as_they_are_unless_asked_for(self):
        """
        By default a search has no noise to move.
        """
        _, last, _ = noisy()

        assert last.noise.shape == (2, 0)

    def test_take_up_what_codes_need_not(self):
        """
        With noise that moves images come nearer than with codes alone.
        """
        _, still, _ = noisy()
        _, moved, _ = noisy(noise_maps=True)

        assert (moved.fidelity < still.fidelity).all()
        assert float(moved.noise.abs().max()) > 0.1

    def test_stay_near_the_constants_where_that_weighs_more(self):
        """
        The larger the weight, the less noise moves.
        """
        spread = [float(noisy(noise_maps=True, noise_weight=w)[1].noise.std()) for w in (0, 100)]

        assert spread[1] < 0.7 * spread[0]

    def test_codes_are_chosen_by_what_they_draw_alone(self):
        """
        Where noise alone made the best image so far, the last codes are kept if theirs is nearer
        without it.
        """
        objective, last, _ = noisy(noise_maps=True)
        by_noise = replace(last, best=last.start, fidelity=torch.zeros(2))

        found = kept(objective, whitened(objective.generator, 0), by_noise)

        assert not torch.equal(found[0], last.start[0])
        with torch.no_grad():
            start, alone = (objective.terms(ws) for ws in (last.start, found))
        assert (objective.fidelity(alone) < objective.fidelity(start)).all()


class TestOpenSettings:
    @pytest.mark.parametrize(
        ("start", "share", "rate"),
        [
            ("encoder", 0.0, 0.1),
            ("samples", 0.5, 0.2),
            ("best_of", 0.5, 0.2),
            ("mean", 0.5, 0.2),
        ],
    )
    def test_follow_from_the_start(self, start, share, rate):
        """
        Only from an encoder's guess layers move apart at once, and in smaller steps.
        """
        decided = InversionConfig().from_start(start)

        assert decided.start == start
        assert (decided.joint_share, decided.learning_rate) == (share, rate)

    def test_what_was_said_stays(self):
        """
        A share that was asked for, or that paper mode has, holds for every start.
        """
        asked = InversionConfig(joint_share=0.25, learning_rate=0.3).from_start("encoder")
        paper = InversionConfig(mode="paper").from_start("mean")

        assert (asked.joint_share, paper.joint_share) == (0.25, 0.0)
        assert (asked.learning_rate, paper.learning_rate) == (0.3, 0.1)


class TestPaperMode:
    def test_is_the_authors(self):
        """
        499 steps in W, each layer by itself from the first, 10 LPIPS + MSE + MSE to the start.
        """
        config = InversionConfig(mode="paper")

        assert (config.space, config.joint_share, config.steps) == ("plain", 0.0, 500)
        weights = (config.distance_weight, config.mse_weight, config.latent_weight)
        assert (weights, config.learning_rate) == ((10.0, 1.0, 1.0), 0.1)
        assert (config.distance, config.patience) == ("lpips", 0)

    def test_follows_a_plain_loop_step_by_step(self):
        """
        Written down as the paper says it, with torch's Adam, every iterate is ours; there are one
        fewer than `steps`, and the last is kept.
        """
        config = InversionConfig(mode="paper", distance="perceptual", steps=24)
        objective, space, search = problem(small_generator(), config)

        ours = [state.start + state.offset for state in states(objective, space, search)]

        theirs = as_the_paper_says(objective, search.start, 24)
        assert len(ours) == len(theirs) == 23
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        *_, last = states(objective, space, search)
        assert torch.equal(kept(objective, space, last), ours[-1])


def as_the_paper_says(objective, start, steps):
    """
    The iterates of 10 d(G(w), x) + mean (G(w) - x)^2 + mean (w - w_0)^2, images in [0, 1]: Adam, a
    rate of 0.1 that rises over 5 % of the steps and falls as a cosine over the last 25 %.
    """
    w, found = start.clone().requires_grad_(), []
    adam = torch.optim.Adam([w], betas=(0.9, 0.999), eps=1e-8)
    target = objective.wanted.images
    for step in range(1, steps):
        t = step / steps
        rise, fall = min(1, t / 0.05), 0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / 0.25))
        adam.param_groups[0]["lr"] = 0.1 * rise * fall
        loss = torch.zeros(())
        for image in range(len(start)):
            drawn, one = objective.generator.synthesize(w[[image]]), target[[image]]
            distance = objective.wanted.distance
            loss = loss + 10 * distance(drawn, distance.targets(one)).sum()
            loss = loss + ((drawn + 1) / 2 - (one + 1) / 2).square().mean()
            loss = loss + (w[image] - start[image]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        found.append(w.detach().clone())
    return found

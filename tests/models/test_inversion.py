import numpy as np
import pytest
import torch
from support.networks import small_generator

from models import inversion
from models.configs import InversionConfig
from models.errors import InvalidImage
from models.latents import mapped
from models.perceptual import random_distance
from models.pixels import as_pixels
from models.progress import silent
from models.seeding import philox

CPU = torch.device("cpu")


def targets_of(generator, n=3):
    """
    Images that the generator itself draws, and the codes they are of.
    """
    ws = mapped(generator, [philox("target", i) for i in range(n)])
    return generator.synthesize(ws).clamp(-1, 1), ws


def config(**changes):
    """
    A short search.
    """
    return InversionConfig(**{"distance": "perceptual", "steps": 40, "starts": 20, **changes})


def found(changes=None, n=3, report=silent, **options):
    """
    The inversion of some drawn images.
    """
    generator = small_generator()
    images, _ = targets_of(generator, n)
    distance = options.pop("distance", None) or random_distance(0, CPU)
    settings = config(**(changes or {}))
    return inversion.invert(generator, images, distance, settings, report, **options)


class TestInvert:
    def test_comes_closer_than_its_start(self):
        """
        Every image ends nearer to its target than the best of the mapped samples was.
        """
        result = found()

        assert (result.after.distance < result.before.distance).all()
        assert tuple(result.latents.shape) == (3, 6, 8)
        assert torch.equal(result.after.psnr, -10 * result.after.mse.log10())

    def test_says_what_its_latents_are_worth(self):
        """
        The figures are those of the latents it returns, on images in [0, 1].
        """
        result, generator = found(), small_generator()
        images, _ = targets_of(generator)

        drawn = generator.synthesize(result.latents)

        expected = ((drawn - images) / 2).square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(result.after.mse, expected)
        assert np.array_equal(result.after.pixels, as_pixels(drawn, (16, 16)))

    def test_is_the_same_for_a_seed(self):
        """
        Twice the same is bit for bit the same; another seed starts elsewhere.
        """
        assert torch.equal(found().latents, found().latents)
        assert not torch.equal(found().latents, found({"seed": 1}).latents)

    def test_an_image_does_not_mind_its_neighbours(self):
        """
        Images are optimised together as if each were alone.
        """
        together, alone = found({"steps": 5}, n=3), found({"steps": 5}, n=1)

        torch.testing.assert_close(together.latents[:1], alone.latents, rtol=1e-3, atol=1e-3)

    def test_default_keeps_the_best_iterate_and_paper_the_last(self):
        """
        With a rate so high that the search only gets worse, `default` returns to its start.
        """
        wild = {"steps": 12, "learning_rate": 10.0, "starts": 200}

        default, paper = found(wild), found({**wild, "mode": "paper"})

        assert (default.after.distance <= default.before.distance * 1.001).all()
        assert float(paper.after.distance.mean()) > float(default.after.distance.mean())

    @pytest.mark.parametrize("steps", [0, 1])
    def test_without_steps_the_start_is_kept(self, steps):
        """
        A start is one w for all layers, and what comes back is that.
        """
        result = found({"steps": steps})

        assert torch.equal(result.after.distance, result.before.distance)
        assert torch.equal(result.latents, result.latents[:, :1].expand(-1, 6, -1))

    def test_tells_where_it_is(self):
        """
        Samples searched and steps taken are told up to the last.
        """
        said = []
        found({"steps": 4, "starts": 33}, report=lambda *words: said.append(words))

        assert ("searching", 33, 33, "samples") in said
        assert said[-1] == ("optimising", 3, 4, "steps")

    def test_refuses_images_of_another_shape(self):
        """
        Images must have the generator's shape; the message shows both.
        """
        with pytest.raises(ValueError, match=r"\[3, 16, 16\]\], N > 0, got \[1, 3, 8, 8\]"):
            inversion.invert(
                small_generator(),
                torch.zeros(1, 3, 8, 8),
                random_distance(0, CPU),
                config(),
                silent,
            )

    def test_precision_that_cannot_be_had_is_told(self):
        """
        On a CPU all is float32, and a note says so.
        """
        mixed, plain = found({"steps": 5, "precision": "mixed"}), found({"steps": 5})

        assert torch.equal(mixed.latents, plain.latents)
        assert mixed.notes == ("mixed precision needs CUDA: computed in float32",)
        assert plain.notes == ()


class TestStarts:
    @pytest.mark.parametrize(
        ("changes", "compared"),
        [
            ({}, {"samples", "best_of", "mean"}),
            ({"start": "best_of"}, {"samples", "best_of", "mean"}),
            ({"start": "mean"}, {"mean"}),
            ({"start": "mean", "compare_starts": True}, {"samples", "best_of", "mean"}),
        ],
    )
    def test_ways_are_compared_that_cost_no_more_samples(self, changes, compared):
        """
        Where the start needs samples all ways have a distance, elsewhere if that is asked for.
        """
        assert set(found({"steps": 0, **changes}).start_distances) == compared

    def test_the_way_that_is_taken_is_the_start(self):
        """
        Its distances are those before the search.
        """
        result = found({"steps": 3})

        assert torch.equal(result.before.distance, result.start_distances["samples"])
        assert result.start_distances["best_of"].mean() < result.start_distances["mean"].mean()

    def test_the_mean_needs_no_samples(self):
        """
        Without steps its code is what comes back, and nothing was searched.
        """
        said = []
        result = found({"steps": 0, "start": "mean"}, report=lambda *words: said.append(words))

        mean = small_generator().w_avg.expand(3, 6, -1)
        assert torch.equal(result.latents, mean)
        assert said == []

    def test_an_encoder_that_is_not_there_cannot_start(self):
        """
        Asking for its guess without giving one is refused.
        """
        with pytest.raises(ValueError, match="start 'encoder' needs an encoder"):
            found({"start": "encoder"})


class TestSeconds:
    def test_are_shared_by_the_images_of_a_batch(self):
        """
        Each image has its part of the time of its steps, and all parts are less than the whole.
        """
        result = found({"steps": 30})

        shares = result.image_seconds
        assert (shares > 0).all()
        assert torch.equal(shares, shares[:1].expand(3))
        assert float(shares.sum()) < result.seconds


class TestPatience:
    def test_saves_steps(self):
        """
        Images that got no better leave early, each when it is so far; the others go on.
        """
        patient = found({"steps": 100, "patience": 5})
        through = found({"steps": 100})

        assert through.iterations.tolist() == [99, 99, 99]
        assert (patient.iterations < 99).all()
        assert (patient.after.distance < patient.before.distance).all()


class TestMasks:
    def wanted(self, outside):
        generator = small_generator()
        images, _ = targets_of(generator, 2)
        content = torch.zeros(2, 16, 16, dtype=torch.bool)
        content[:, 4:12] = True
        images = torch.where(content[:, None], images, outside)
        result = inversion.invert(
            generator, images, random_distance(0, CPU), config(steps=10), silent, masks=content
        )
        return result, images, content

    def test_what_lies_outside_does_not_matter(self):
        """
        Black or white bars around the content: the latents are bit for bit the same.
        """
        black, white = (self.wanted(torch.tensor(grey))[0] for grey in (-1.0, 1.0))

        assert torch.equal(black.latents, white.latents)

    def test_errors_are_means_over_content(self):
        """
        The mean square error is that of the rows with content.
        """
        result, images, content = self.wanted(torch.tensor(-1.0))

        drawn = small_generator().synthesize(result.latents)
        square = ((drawn - images) / 2).square().mean(dim=1)

        torch.testing.assert_close(
            result.after.mse, torch.stack([square[i][content[i]].mean() for i in (0, 1)])
        )

    @pytest.mark.parametrize(
        ("masks", "message"),
        [
            (torch.ones(3, 8, 16), r"masks must be \[3, 16, 16\], got \[3, 8, 16\]"),
            (torch.eye(3)[:, :1, None].expand(3, 16, 16), r"must have content, but \[1, 2\]"),
        ],
    )
    def test_masks_that_cannot_be_are_refused(self, masks, message):
        """
        Another shape than the images', or nothing left to compare.
        """
        with pytest.raises(ValueError, match=message):
            found(masks=masks)


class Killed(Exception):
    """
    What ends a run in the middle.
    """


class Memory:
    """
    A keeper that forgets with the test.
    """

    def __init__(self):
        self.states = {}

    def load(self, name):
        return self.states.get(name)

    def save(self, name, state):
        self.states[name] = {key: tensor.clone() for key, tensor in state.items()}


class Steps:
    """
    Notes the steps that are told, and ends the run at one of them.
    """

    def __init__(self, last=None):
        self.last = last
        self.told = []

    def __call__(self, phase, done, total, unit=""):
        self.told.append((phase, done))
        if (phase, done) == ("optimising", self.last):
            raise Killed


class TestResuming:
    @pytest.mark.parametrize("patience", [0, 10])
    def test_a_killed_inversion_ends_as_if_it_had_not_been(self, patience):
        """
        It goes on from its last snapshot, 25 steps apart, and its latents are bit-equal.
        """
        changes, keeper, second = {"steps": 70, "patience": patience}, Memory(), Steps()
        with pytest.raises(Killed):
            found(changes, report=Steps(last=33), keeper=keeper)

        resumed = found(changes, report=second, keeper=keeper)

        whole = found(changes)
        assert torch.equal(resumed.latents, whole.latents)
        assert torch.equal(resumed.before.distance, whole.before.distance)
        assert torch.equal(resumed.iterations, whole.iterations)
        assert np.array_equal(resumed.before.pixels, whole.before.pixels)
        assert second.told[0][0] == "optimising"
        assert 25 < second.told[0][1] <= 33

    def test_one_that_is_done_takes_no_step_more(self):
        """
        What was lost after the last step is measured again, and nothing else is.
        """
        keeper, again = Memory(), Steps()
        first = found({"steps": 30}, keeper=keeper)

        second = found({"steps": 30}, report=again, keeper=keeper)

        assert torch.equal(first.latents, second.latents)
        assert torch.equal(first.image_seconds, second.image_seconds)
        assert again.told == []

    @pytest.mark.parametrize("other", [{"changes": {"learning_rate": 0.1}}, {"n": 2}])
    def test_a_snapshot_of_something_else_is_ignored(self, other):
        """
        Other settings or images begin anew.
        """
        keeper, report = Memory(), Steps()
        found({"steps": 30}, keeper=keeper)
        arguments = {"changes": {}, **other}
        arguments["changes"] = {"steps": 30, **arguments["changes"]}

        result = found(**arguments, report=report, keeper=keeper)

        assert report.told[0][0] == "searching"
        assert torch.equal(result.latents, found(**arguments).latents)


class Cramped:
    """
    A distance that finds no memory for more than `most` images, from its `first` call on.
    """

    def __init__(self, most, first):
        self._distance = random_distance(0, CPU)
        self._most = most
        self._left = first
        self.sizes = []

    def __getattr__(self, name):
        return getattr(self._distance, name)

    def __call__(self, images, targets):
        self._left -= 1
        if self._left < 0 and len(images) > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(images))
        return self._distance(images, targets)


class TestOutOfMemory:
    @pytest.mark.parametrize(("most", "first"), [(2, 0), (1, 40)])
    def test_goes_on_with_fewer_images(self, most, first):
        """
        Whether it happens at once or after 40 comparisons, the result is that of a machine with
        more memory, and a note says so.
        """
        distance = Cramped(most, first)

        result = found({"steps": 50}, n=5, distance=distance)

        whole = found({"steps": 50}, n=5)
        torch.testing.assert_close(result.after.distance, whole.after.distance, rtol=0.1, atol=0.01)
        assert result.iterations.tolist() == [49] * 5
        assert result.notes[0] == "out of memory with 5 images at once; went on with 2"
        assert max(distance.sizes[first:]) == most


class TestMeasured:
    def test_judges_latents_found_elsewhere(self):
        """
        The codes that drew the images reconstruct them exactly.
        """
        generator = small_generator()
        images = generator.synthesize(targets_of(generator)[1])
        _, ws = targets_of(generator)

        result = inversion.measured(generator, images, ws, random_distance(0, CPU))

        assert float(result.after.mse.max()) < 1e-10
        assert torch.equal(result.latents, ws)


class TestPrepared:
    def test_pixels_become_minus_one_to_one(self):
        """
        0 is -1 and 255 is 1; a picture of the generator's size is not resampled.
        """
        image = np.zeros((4, 4, 3), dtype=np.uint8)
        image[0, 0] = 255

        got = inversion.prepared([image], ["a"], (4, 4))

        assert tuple(got.shape) == (1, 3, 4, 4)
        assert got[0, 0, 0, :2].tolist() == [1.0, -1.0]

    def test_other_sizes_are_resized(self):
        """
        A picture of the same shape but another size fits.
        """
        grey = np.full((8, 8, 3), 51, dtype=np.uint8)

        got = inversion.prepared([grey], ["a"], (4, 4))

        torch.testing.assert_close(got, torch.full((1, 3, 4, 4), 51 / 127.5 - 1))

    def test_another_shape_is_refused_by_name(self):
        """
        A picture that would be stretched is named, with what to do.
        """
        with pytest.raises(InvalidImage, match=r"wide: has 4 x 8 pixels .* crop or pad"):
            inversion.prepared([np.zeros((4, 8, 3), np.uint8)], ["wide"], (4, 4))

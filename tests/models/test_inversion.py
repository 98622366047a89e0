import numpy as np
import pytest
import torch
from support.networks import small_generator

from models import inversion
from models.configs import InversionConfig
from models.errors import InvalidImage
from models.latents import mapped
from models.perceptual import random_distance
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


def found(changes=None, n=3, report=silent):
    """
    The inversion of some drawn images.
    """
    generator = small_generator()
    images, _ = targets_of(generator, n)
    distance = random_distance(0, CPU)
    return inversion.invert(generator, images, distance, config(**(changes or {})), report)


class TestInvert:
    def test_comes_closer_than_its_start(self):
        """
        Every image ends nearer to its target than the best of the mapped samples was.
        """
        result = found()

        assert (result.distance < result.distance_start).all()
        assert tuple(result.latents.shape) == (3, 6, 8)
        assert torch.equal(result.psnr, -10 * result.mse.log10())

    def test_says_what_its_latents_are_worth(self):
        """
        The figures are those of the latents it returns, on images in [0, 1].
        """
        result, generator = found(), small_generator()
        images, _ = targets_of(generator)

        drawn = generator.synthesize(result.latents)

        expected = ((drawn - images) / 2).square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(result.mse, expected)
        torch.testing.assert_close(result.reconstructions, drawn.clamp(-1, 1))

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

        assert (default.distance <= default.distance_start * 1.001).all()
        assert float(paper.distance.mean()) > float(default.distance.mean())

    @pytest.mark.parametrize("steps", [0, 1])
    def test_without_steps_the_start_is_kept(self, steps):
        """
        A start is one w for all layers, and what comes back is that.
        """
        result = found({"steps": steps})

        assert torch.equal(result.distance, result.distance_start)
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


class TestMeasured:
    def test_judges_latents_found_elsewhere(self):
        """
        The codes that drew the images reconstruct them exactly.
        """
        generator = small_generator()
        images = generator.synthesize(targets_of(generator)[1])
        _, ws = targets_of(generator)

        result = inversion.measured(generator, images, ws, random_distance(0, CPU))

        assert float(result.mse.max()) < 1e-10
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

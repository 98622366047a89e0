import numpy as np
import pytest
import torch
from support.networks import small_generator

from models.inversion_figures import latent_distances, similarities
from models.latents import mapped
from models.metrics.images import ssim
from models.seeding import philox


class TestSimilarities:
    def test_are_of_images_from_0_to_1(self):
        """
        Each image's own, 1 where it is the same; pixels run to 255, the measure to 1.
        """
        images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
        other = np.stack([images[0], images[1] // 2])

        same, worse = similarities(images, other)

        expected = ssim(images[1] / 255, other[1] / 255)
        assert (same, worse) == (pytest.approx(1), pytest.approx(expected))
        assert worse < 0.9

    def test_are_of_each_images_content(self):
        """
        An image whose content is the same is the same; one with none away from its edge has none.
        """
        images = np.random.default_rng(0).integers(0, 256, (2, 32, 16, 3), np.uint8)
        other = images.copy()
        other[:, 20:] = 0
        content = np.zeros((2, 32, 16), dtype=bool)
        content[0, :14] = True
        content[1, 0] = True

        assert similarities(images, other, content) == [pytest.approx(1), None]

    def test_small_images_have_none(self):
        """
        Where the window does not fit there is no figure.
        """
        small = np.zeros((1, 8, 16, 3), np.uint8)

        assert similarities(small, small) == [None]


class TestLatentDistances:
    def test_samples_are_about_one_away(self):
        """
        The unit is the spread of the generator's own codes, and the mean code is at 0.
        """
        generator = small_generator()
        ws = mapped(generator, [philox("some", i) for i in range(300)])
        mean = ws.mean(dim=(0, 1), keepdim=True).expand(1, ws.shape[1], -1)

        distances = torch.tensor(latent_distances(generator, ws, seed=0))
        (of_mean,) = latent_distances(generator, mean, seed=0)

        assert float(distances.square().mean()) == pytest.approx(1, abs=0.25)
        assert of_mean < 0.3

    def test_grow_with_the_distance(self):
        """
        Twice as far from the mean is twice the figure.
        """
        generator = small_generator()
        ws = mapped(generator, [philox("some", i) for i in range(512)])
        mean = mapped(generator, [philox(0, "spread", i) for i in range(4096)]).mean(dim=(0, 1))

        (near,), (far,) = (
            latent_distances(generator, mean + factor * (ws[:1] - mean), seed=0)
            for factor in (1, 2)
        )

        assert far == pytest.approx(2 * near, rel=1e-3)

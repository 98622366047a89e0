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
        Each image's own, 1 where it is the same; tensors run from -1 to 1, the measure from 0.
        """
        images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
        other = torch.stack([images[0], images[1] * 0.5])

        same, worse = similarities(images, other)

        pair = [(x.permute(1, 2, 0).numpy() + 1) / 2 for x in (images[1], other[1])]
        assert (same, worse) == (pytest.approx(1), pytest.approx(ssim(*pair)))
        assert worse < 0.9

    def test_small_images_have_none(self):
        """
        Where the window does not fit there is no figure.
        """
        assert similarities(torch.zeros(1, 3, 8, 16), torch.zeros(1, 3, 8, 16)) == [None]


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

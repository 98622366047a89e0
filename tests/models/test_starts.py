import pytest
import torch
from support.networks import small_generator

from models import starts
from models.inversion_targets import Wanted
from models.latents import mapped
from models.perceptual import random_distance
from models.progress import silent
from models.seeding import philox
from models.starts import LinearEncoder

CPU = torch.device("cpu")


def features(n, width=20, seed=0):
    """
    Random features [n, width].
    """
    return 3 * torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) + 1


class TestLinearEncoder:
    def test_is_ridge_regression(self):
        """
        The closed form with a kernel is the textbook's: the weights that minimise squared error
        plus a penalty on themselves.
        """
        x, w, new = features(30), features(30, 4, seed=1), features(5, seed=2)
        encoder = LinearEncoder.fit(x, w)
        mean, deviation = x.mean(0), x.std(0, correction=0) + 1e-3
        a = ((x - mean) / deviation).double()
        # Columns are scaled by 1 / sqrt(S) in the kernel.
        a, b = a / 20**0.5, ((new - mean) / deviation).double() / 20**0.5
        weights = torch.linalg.lstsq(
            torch.cat([a, torch.eye(20).double()]),
            torch.cat([(w - w.mean(0)).double(), torch.zeros(20, 4).double()]),
        ).solution

        got = encoder.guess(encoder.standardised(new))

        torch.testing.assert_close(
            got.double(), w.mean(0).double() + b @ weights, rtol=1e-3, atol=1e-3
        )

    def test_features_that_never_vary_do_no_harm(self):
        """
        A constant feature, and a single sample, leave finite guesses.
        """
        x = features(10)
        x[:, 3] = 2.0

        for n in (10, 1):
            encoder = LinearEncoder.fit(x[:n], features(n, 4, seed=1))
            assert encoder.guess(encoder.standardised(features(5, seed=2))).isfinite().all()

    def test_nearest_is_the_sample_with_the_nearest_features(self):
        """
        Asked for a sample's own features, it gives that sample's code.
        """
        x, w = features(10), features(10, 4, seed=1)
        encoder = LinearEncoder.fit(x, w)

        assert torch.equal(w[[7, 2]], encoder.nearest(encoder.standardised(x[[7, 2]])))


class TestBestStarts:
    def world(self, samples=200, seed=0):
        generator, distance = small_generator(), random_distance(0, CPU)
        encoder = starts.fit_encoder(generator, distance, samples, seed, silent)
        ws = mapped(generator, [philox("target", i) for i in range(8)])
        return generator, encoder, Wanted.of(generator.synthesize(ws), distance)

    def test_is_at_least_as_good_as_the_nearest_sample(self):
        """
        For every image the start is no farther than the nearest sample, and nearer for most.
        """
        generator, encoder, wanted = self.world()
        nearest = encoder.nearest(encoder.standardised(wanted.distance.summary(wanted.images)))

        found = starts.best_starts(generator, encoder, wanted)

        before, after = (
            wanted.distance_to(generator.synthesize(ws))
            for ws in (starts.everywhere(generator, nearest), found)
        )
        assert (after <= before).all()
        assert int((after < 0.9 * before).sum()) >= 5

    @pytest.mark.parametrize("way", [starts.best_starts, starts.best_samples])
    def test_is_one_w_for_all_layers(self, way):
        """
        A start lies in W: the same code for each layer.
        """
        generator, encoder, wanted = self.world()

        found = way(generator, encoder, wanted)

        assert found.shape == (8, 6, 8)
        assert torch.equal(found, found[:, :1].expand(-1, 6, -1))

    @pytest.mark.parametrize("samples", [1, 2, 33])
    def test_any_number_of_samples_will_do(self, samples):
        """
        Even a single sample gives a start, and each of them is told of.
        """
        said = []
        generator, distance = small_generator(), random_distance(0, CPU)
        encoder = starts.fit_encoder(
            generator, distance, samples, 0, lambda *words: said.append(words)
        )
        images = generator.synthesize(mapped(generator, [philox(3)]))

        found = starts.best_starts(generator, encoder, Wanted.of(images, distance))

        assert found.isfinite().all()
        assert said[-1] == ("searching", samples, samples, "samples")


class TestBestSamples:
    def test_is_the_best_of_all_samples(self):
        """
        Where all samples are listed, none of them is nearer than the one that is taken.
        """
        generator, encoder, wanted = TestBestStarts().world(samples=starts.SHORTLIST)
        every = torch.stack(
            [
                wanted.distance_to(generator.synthesize(starts.everywhere(generator, w[None])))
                for w in encoder.w
            ]
        )

        found = starts.best_samples(generator, encoder, wanted)

        torch.testing.assert_close(
            wanted.distance_to(generator.synthesize(found)), every.amin(dim=0)
        )

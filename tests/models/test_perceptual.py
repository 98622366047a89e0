import pytest
import torch

from models import perceptual
from models.errors import BackboneUnavailable
from models.perceptual import Lpips, lpips_distance, random_distance

CPU = torch.device("cpu")


def pictures(n, size=32, seed=0):
    """
    Random pictures [n, 3, size, size] in [-1, 1].
    """
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def shifted(images, amount):
    """
    Pictures changed by so much noise.
    """
    return images + amount * pictures(*images.shape[:1], images.shape[2], seed=9)


class TestLpipsEquation:
    def test_is_the_mean_over_pixels_of_weighed_squared_differences(self):
        """
        LPIPS's equation, term by term: features of unit length, squared differences, channel
        weights, a mean over pixels, a sum over layers.
        """
        layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 5, 5, stride=2)]

        class Trunk(torch.nn.Module):
            def forward(self, x):
                return [layer(x) for layer in layers]

        weights = [torch.rand(4), torch.rand(5)]
        one, other = pictures(3), pictures(3, seed=1)
        expected = torch.zeros(3)
        with torch.no_grad():
            for layer, weight in zip(layers, weights, strict=True):
                a, b = (f / f.norm(dim=1, keepdim=True) for f in (layer(one), layer(other)))
                expected += ((a - b).square() * weight[:, None, None]).sum(1).mean(dim=(1, 2))

        distance = Lpips("two layers", Trunk(), weights)

        torch.testing.assert_close(distance(one, distance.targets(other)), expected)

    def test_a_summary_is_a_few_averages_of_the_features(self):
        """
        Maps of more than 8 x 8 are averaged cell by cell, smaller ones are kept.
        """
        large, small = torch.rand(2, 3, 16, 24), torch.rand(2, 1, 4, 4)

        class Trunk(torch.nn.Module):
            def forward(self, x):
                return [large, small]

        got = Lpips("two maps", Trunk(), [torch.ones(3), torch.ones(1)]).summary(pictures(2))

        cells = large.unflatten(2, (8, 2)).unflatten(4, (8, 3)).mean(dim=(3, 5))
        torch.testing.assert_close(got, torch.cat([cells.flatten(1), small.flatten(1)], dim=1))

    def test_pictures_are_compared_at_512_rows_at_most(self):
        """
        A picture of 1024 rows is compared as the means of its 2 x 2 blocks.
        """
        image = torch.rand(1, 3, 1024, 4, generator=torch.Generator().manual_seed(0))

        got = perceptual.reduced(image)

        expected = image.unflatten(2, (512, 2)).unflatten(4, (2, 2)).mean(dim=(3, 5))
        torch.testing.assert_close(got, expected)
        assert perceptual.reduced(got) is got


class TestRandomDistance:
    def test_grows_with_what_is_changed(self):
        """
        No change is no distance; more noise is farther.
        """
        distance, images = random_distance(0, CPU), pictures(2)
        targets = distance.targets(images)

        near, far = (distance(shifted(images, amount), targets) for amount in (0.1, 0.5))

        assert float(distance(images, targets).max()) == 0
        assert (near < far).all()

    def test_a_seed_is_a_distance(self):
        """
        Equal seeds give equal numbers, another seed others; none is called LPIPS.
        """
        images = pictures(2)
        one, same, other = (random_distance(seed, CPU).summary(images) for seed in (5, 5, 6))

        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert random_distance(5, CPU).name == "perceptual"
        assert "seed 5" in random_distance(5, CPU).backbone

    def test_is_a_mean_of_absolute_differences(self):
        """
        Of all features of all maps, each map weighing the same.
        """
        distance, one, other = random_distance(0, CPU), pictures(2), pictures(2, seed=1)
        maps = zip(distance.targets(one), distance.targets(other), strict=True)
        expected = sum(3 * (a - b).abs().mean(dim=(1, 2, 3)) for a, b in maps)

        torch.testing.assert_close(distance(one, distance.targets(other)), expected)

    def test_does_not_touch_the_global_stream(self):
        """
        Building one leaves torch's own random numbers as they were.
        """
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        random_distance(0, CPU)

        assert expected == torch.rand(1)


class TestLpips:
    def test_names_the_missing_file_and_the_remedy(self, tmp_path):
        """
        A trunk that is not there is an error with its path, the setting, and what needs no file.
        """
        with pytest.raises(
            BackboneUnavailable, match=r"nowhere.pth; set HANDSOFF_LPIPS_TRUNK .*"
        ) as e:
            lpips_distance(tmp_path / "nowhere.pth", CPU)
        assert 'distance="perceptual"' in str(e.value)

    def test_refuses_a_file_of_something_else(self, tmp_path):
        """
        Bytes that are no weights, and weights of another network, are told apart from VGG16.
        """
        noise, other = tmp_path / "noise.pth", tmp_path / "other.pth"
        noise.write_bytes(b"not weights")
        torch.save({"features.0.weight": torch.zeros(1)}, other)

        with pytest.raises(BackboneUnavailable, match="cannot be read as weights"):
            lpips_distance(noise, CPU)
        with pytest.raises(BackboneUnavailable, match=r"VGG16: features\.0\.weight"):
            lpips_distance(other, CPU)

    def test_is_the_packages_own_lpips(self, tmp_path):
        """
        With a trunk's file our embedding gives the `lpips` package's own number, heads included.
        """
        lpips = pytest.importorskip("lpips")
        torchvision = pytest.importorskip("torchvision")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            trunk = torchvision.models.vgg16(weights=None).features
        path = tmp_path / "vgg16.pth"
        torch.save({f"features.{k}": v for k, v in trunk.state_dict().items()}, path)
        one, other = pictures(2, size=48), pictures(2, size=48, seed=1)

        distance = lpips_distance(path, CPU)

        witness = perceptual.package_network()
        for key, value in witness.net.state_dict().items():
            value.copy_(trunk.state_dict()[key.split(".", 1)[1]])
        with torch.no_grad():
            expected = witness(one, other).flatten()
        assert distance.name == "lpips"
        assert isinstance(witness, lpips.LPIPS)
        torch.testing.assert_close(distance(one, distance.targets(other)), expected)

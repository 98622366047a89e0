"""Networks of NVIDIA's repositories that no recording exists of, beside a literal reading.

Each file is written in the original's structure, read, and compared with float64 arithmetic
that shares nothing with the package.
"""

from functools import cache

import pytest
import torch
from support.nvidia_files import described, dumped, network
from support.nvidia_networks import Reference, Variant, tensors_of

from models.checkpoints import nvidia
from models.checkpoints.containers import read_contents
from models.checkpoints.notes import Notes

TOLERANCE = 1e-5

VARIANTS = {
    "skip": Variant(),
    "resnet": Variant(architecture="resnet"),
    "orig": Variant(architecture="orig"),
    "resnet, clamped": Variant(architecture="resnet", clamp=0.8),
    "orig, clamped": Variant(architecture="orig", clamp=0.8),
    "resnet, asymmetric filter": Variant(architecture="resnet", taps=(1, 2, 4, 3)),
    "4 pixels": Variant(channels=(6,)),
    "4 pixels, orig": Variant(channels=(6,), architecture="orig"),
    "4 pixels, resnet": Variant(channels=(6,), architecture="resnet"),
    "grey": Variant(image=1),
    "five image channels": Variant(image=5),
    "tall": Variant(const=(4, 2)),
    "wide": Variant(const=(4, 8), architecture="resnet"),
    "without noise": Variant(noise=False),
    "labels": Variant(labels=3),
    "labels alone": Variant(z=0, labels=3),
    "z wider than w": Variant(z=11, w=7, widths=(7,)),
    "other multiplier": Variant(multiplier=0.1),
    "no filter": Variant(taps=(1,)),
    "two taps": Variant(taps=(1, 1)),
    "three taps": Variant(taps=(1, 2, 1)),
    "five asymmetric taps": Variant(taps=(1, 2, 4, 3, 2)),
    "asymmetric taps": Variant(taps=(1, 2, 4, 3)),
    "nine taps, kept as a line": Variant(taps=(1, 2, 3, 4, 5, 6, 4, 2, 1)),
    "resnet, three taps": Variant(taps=(1, 2, 1), architecture="resnet"),
}

each_variant = pytest.mark.parametrize("name", VARIANTS)


@cache
def both(name, folder):
    """The generator out of a file, and the reference."""
    variant = VARIANTS[name]
    tensors = tensors_of(variant)
    attributes = described(
        tensors,
        clamp=variant.clamp,
        architecture=variant.architecture,
        multiplier=variant.multiplier,
    )
    path = folder / "network.pkl"
    path.write_bytes(dumped({"G_ema": network(tensors, attributes)}))
    generator = nvidia.build(read_contents(path).root, str(path), Notes())
    return generator, Reference(variant, tensors)


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.getbasetemp()


def randn(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_close(actual, expected):
    """Within 1e-5 of the largest magnitude."""
    assert actual.shape == expected.shape
    error = (actual.double() - expected).abs().max() / expected.abs().max()
    assert error < TOLERANCE


class TestVariants:
    @each_variant
    def test_mapping(self, name, folder):
        """
        z and labels give the same w, broadcast to 2 log2(H) - 2 codes.
        """
        generator, reference = both(name, folder)
        v = reference.variant
        z, labels = randn(3, v.z), torch.eye(v.labels)[[0, 2, 1]] if v.labels else None

        ws = generator.map(z, labels)

        expected = reference.map(z, labels)[:, None].expand(-1, 2 * len(v.channels), -1)
        assert_close(ws, expected)

    @each_variant
    @pytest.mark.parametrize("noise", ["const", "none"])
    def test_images_and_features(self, name, noise, folder):
        """
        Images and every styled convolution are the same, with stored noise and without.
        """
        generator, reference = both(name, folder)
        ws = randn(2, generator.num_ws, generator.w_dim)

        image, features = generator.synthesize_with_features(ws, noise)

        expected, maps = reference.synthesize(ws, noise == "const")
        assert_close(image, expected)
        assert generator.feature_shapes == [tuple(f.shape[1:]) for f in features]
        for feature, map_ in zip(features, maps, strict=True):
            assert_close(feature, map_)

    @pytest.mark.parametrize("name", ["resnet, clamped", "orig", "five asymmetric taps"])
    def test_gradient_of_codes(self, name, folder):
        """
        The gradient that inversion follows is the same.
        """
        generator, reference = both(name, folder)
        codes = randn(2, generator.num_ws, generator.w_dim)
        probe = randn(2, *generator.image_shape, seed=2)

        gradients = []
        for draw in (generator.synthesize, lambda ws: reference.synthesize(ws)[0]):
            ws = codes.clone().requires_grad_()
            gradients.append(torch.autograd.grad((draw(ws) * probe).sum(), ws)[0])

        assert_close(gradients[0], gradients[1].double())

    @pytest.mark.parametrize("name", ["resnet, clamped", "skip"])
    def test_forced_half_precision_is_close(self, name, folder):
        """
        In float16 images stay within 2e-2, residual sums and clamps included.
        """
        generator, reference = both(name, folder)
        ws = randn(2, generator.num_ws, generator.w_dim)

        image, features = generator.synthesize_with_features(ws, dtype=torch.float16)

        expected, _ = reference.synthesize(ws)
        assert (torch.float32, torch.float16) == (image.dtype, features[-1].dtype)
        assert (image - expected).abs().max() < 0.02 * expected.abs().max()

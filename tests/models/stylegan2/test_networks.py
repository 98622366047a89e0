import json

import pytest
import torch

from models.stylegan2.config import Architecture, GeneratorConfig
from models.stylegan2.discriminator import Discriminator, append_stddev
from models.stylegan2.networks import Generator


def config(**changes):
    """Three blocks, 16 pixels high."""
    fields = {
        "z_dim": 6,
        "w_dim": 5,
        "image_shape": (3, 16, 16),
        "channels": (8, 7, 4),
        "mapping_widths": (9, 5),
    }
    return GeneratorConfig(**{**fields, **changes})


def generator(**changes):
    """With noise that can be seen and a mean w that is not zero."""
    made = Generator(config(**changes)).eval().requires_grad_(False)
    for name, tensor in made.state_dict().items():
        if name.endswith(("noise_strength", "w_avg")):
            tensor.fill_(0.5)
    return made


class TestGenerator:
    @pytest.mark.parametrize("blocks", [1, 2, 7, 9])
    def test_num_ws_is_two_per_resolution(self, blocks):
        """
        4 pixels take 2 codes, 256 take 14, 1024 take 18.
        """
        size = 2 ** (blocks + 1)
        described = config(image_shape=(3, size, size), channels=(1,) * blocks)

        assert {1: 2, 2: 4, 7: 14, 9: 18}[blocks] == described.num_ws

    @pytest.mark.parametrize(("factor", "mode"), [(1, "const"), (0, "none")])
    def test_noise_may_be_given(self, factor, mode):
        """
        The constants in their own place change nothing; noise of 0 is none; another is another.
        """
        net = generator()
        ws = net.map(torch.ones(2, 6))

        given = net.synthesize(ws, [factor * some[None, None] for some in net.noise_constants])
        other = net.synthesize(ws, [some[None, None] + 1 for some in net.noise_constants])

        torch.testing.assert_close(given, net.synthesize(ws, mode))
        assert not torch.equal(other, given)

    @pytest.mark.parametrize("width", [8, 16, 32])
    def test_draws_other_shapes_than_squares(self, width):
        """
        Width is free: half as wide as high, square, or wider; so are image channels.
        """
        net = generator(image_shape=(1, 16, width))

        image, features = net.synthesize_with_features(net.map(torch.randn(2, 6)))

        assert (2, 1, 16, width) == image.shape
        assert net.feature_shapes == [tuple(f.shape[1:]) for f in features]
        assert (8, 4, width // 4) == net.feature_shapes[0]

    def test_noise_modes(self):
        """
        Stored noise repeats, random noise does not, none is without either.
        """
        net = generator()
        ws = net.map(torch.randn(1, 6))

        const = net.synthesize(ws)

        assert torch.equal(const, net.synthesize(ws, noise="const"))
        drawn = [net.synthesize(ws, noise="random") for _ in range(2)]
        assert not torch.equal(*drawn)
        assert not torch.equal(const, net.synthesize(ws, noise="none"))

    def test_images_of_a_batch_do_not_meet(self):
        """
        An image is the same alone and in a batch, up to rounding.
        """
        net = generator()
        ws = net.map(torch.randn(3, 6))

        torch.testing.assert_close(net.synthesize(ws)[1:2], net.synthesize(ws[1:2]))

    def test_bfloat16_is_close(self):
        """
        Convolutions may compute in bfloat16; image and parameters stay float32.
        """
        net = generator()
        ws = net.map(torch.randn(2, 6))
        exact = net.synthesize(ws)

        rough, features = net.synthesize_with_features(ws, dtype=torch.bfloat16)

        assert (torch.float32, torch.bfloat16) == (rough.dtype, features[-1].dtype)
        torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())

    @pytest.mark.parametrize(
        ("half_from", "dtype", "expected"),
        [
            (None, None, {4: 32, 8: 32, 16: 32}),
            (8, None, {4: 32, 8: 32, 16: 32}),
            (8, torch.float32, {4: 32, 8: 32, 16: 32}),
            (8, torch.float16, {4: 32, 8: 16, 16: 16}),
            (16, torch.bfloat16, {4: 32, 8: 32, 16: 16}),
            (None, torch.bfloat16, {4: 16, 8: 16, 16: 16}),
        ],
    )
    def test_precision_of_blocks(self, half_from, dtype, expected):
        """
        On a CPU all is float32 unless asked for; a given dtype holds from `half_from` on, and
        everywhere where there is no such number. The image is float32.
        """
        net = generator(half_from=half_from, conv_clamp=256.0)
        ws = net.map(torch.randn(2, 6))

        image, features = net.synthesize_with_features(ws, dtype=dtype)

        assert expected == {f.shape[2]: 8 * f.dtype.itemsize for f in features}
        exact = net.synthesize(ws)
        torch.testing.assert_close(image, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_precision_on_cuda(self):
        """
        On CUDA a network that was made for half precision computes in it, and in float32 where
        gradients are recorded or it is asked to.
        """
        net = generator(half_from=8, conv_clamp=256.0).cuda()
        ws = net.map(torch.randn(2, 6).cuda())

        def coarse_to_fine(codes, **options):
            return [f.dtype for f in net.synthesize_with_features(codes, **options)[1]][::2]

        single, half = torch.float32, torch.float16
        assert [single, half, half] == coarse_to_fine(ws)
        assert [single] * 3 == coarse_to_fine(ws, dtype=single)
        assert [single] * 3 == coarse_to_fine(ws.clone().requires_grad_())

    @pytest.mark.parametrize("architecture", Architecture)
    def test_architectures_differ_in_how_the_image_leaves(self, architecture):
        """
        A skip network draws in every block, others in the last; only residual blocks have a
        shortcut. Feature maps are the same in number and shape.
        """
        net = generator(architecture=architecture)
        blocks = list(net.synthesis.blocks.values())

        _, features = net.synthesize_with_features(net.map(torch.randn(2, 6)))

        skip, resnet = (architecture is a for a in (Architecture.SKIP, Architecture.RESNET))
        assert [skip, skip, True] == [hasattr(block, "to_rgb") for block in blocks]
        assert [False, resnet, resnet] == [hasattr(block, "skip") for block in blocks]
        assert net.feature_shapes == [tuple(f.shape[1:]) for f in features]

    def test_labels_steer_the_image(self):
        """
        A conditional generator wants labels of its width, and listens to them.
        """
        net = generator(label_dim=3, label_embed_dim=5)
        z = torch.randn(2, 6)

        first, second = (net.map(z, torch.eye(3)[[k, k]]) for k in (0, 1))

        assert not torch.equal(first, second)
        with pytest.raises(ValueError, match=r"labels must be \[2, 3\], got None"):
            net.map(z)
        with pytest.raises(ValueError, match=r"got \[2, 2\]"):
            net.map(z, torch.zeros(2, 2))

    def test_truncation(self):
        """
        psi 0 gives the mean w, psi 2 goes beyond, and a cutoff leaves fine styles alone.
        """
        net = generator()
        z = torch.randn(1, 6)
        ws = net.map(z)

        torch.testing.assert_close(net.map(z, psi=0.0)[0], net.w_avg.expand(6, 5))
        torch.testing.assert_close(net.map(z, psi=2.0), 2 * ws - net.w_avg)
        torch.testing.assert_close(net.map(z, psi=0.5, cutoff=2)[:, 2:], ws[:, 2:])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda net: net.map(torch.zeros(2, 5)), r"z must be \[N, 6\], got \[2, 5\]"),
            (lambda net: net.synthesize(torch.zeros(2, 5)), r"ws must be \[N, 6, 5\], got \[2"),
            (lambda net: net.synthesize(torch.zeros(1, 6, 5), "off"), "got 'off'"),
        ],
    )
    def test_wrong_input_is_named(self, call, message):
        """
        Wrong shapes and modes are refused with what was given.
        """
        with pytest.raises(ValueError, match=message):
            call(generator())


class TestConfig:
    def test_survives_json(self):
        """
        A description comes back from JSON as it was.
        """
        described = config(
            conv_clamp=256.0,
            fir=(1.0, 1.0),
            use_noise=False,
            architecture=Architecture.RESNET,
            half_from=8,
        )

        assert described == GeneratorConfig.from_json(described.to_json())

    def test_older_descriptions_mean_what_they_meant(self):
        """
        A description written before half precision was known has none.
        """
        fields = json.loads(config().to_json())
        del fields["half_from"]

        assert config() == GeneratorConfig.from_json(json.dumps(fields))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_shape": (3, 20, 16)}, "16 rows, not 20"),
            ({"image_shape": (3, 16, 6)}, "width 6"),
            ({"mapping_widths": (9, 4)}, "must end in 5"),
            ({"fir": (1.0, 2.0, 1.0)}, "even number of taps"),
            ({"image_shape": (3, 2**12, 16), "channels": (1,) * 11}, "1 to 10 blocks, not 11"),
            ({"channels": ()}, "1 to 10 blocks, not 0"),
            ({"image_shape": (3, 16, 2**20)}, "at most 4194304 pixels"),
            ({"channels": (8, 0, 4)}, "widths must be 1 .. 16384"),
            ({"image_shape": (0, 16, 16)}, "widths must be 1 .. 16384"),
            ({"channels": (8, 7, 2**20)}, "widths must be 1 .. 16384"),
            ({"z_dim": 0}, r"cannot be \(0, 0, 0\)"),
            ({"fir": (1.0,) * 66}, "even number of taps"),
            ({"mapping_lr_multiplier": 0.0}, "mapping_lr_multiplier is 0.0"),
            ({"conv_clamp": -1.0}, "conv_clamp is -1.0"),
        ],
    )
    def test_contradictions_are_refused(self, changes, message):
        """
        Numbers that cannot belong together are refused when the description is made.
        """
        with pytest.raises(ValueError, match=message):
            config(**changes)


class TestDiscriminator:
    @pytest.mark.parametrize("size", [8, 16, 32])
    def test_takes_smaller_images_too(self, size):
        """
        One logit per image, for the full size and every smaller one down to 8 pixels.
        """
        net = Discriminator(3, (4, 5, 6, 7))

        assert net(torch.randn(4, 3, size, size)).shape == (4,)

    def test_minibatch_stddev(self):
        """
        The extra channel is the mean standard deviation over a group: images n, n + N/G, ...
        """
        x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))

        appended = append_stddev(x)

        spread = [x[n::2].std(dim=0, correction=0).mean().item() for n in (0, 1)]
        assert appended.shape == (8, 4, 4, 4)
        for n in range(8):
            assert spread[n % 2] == pytest.approx(appended[n, 3, 0, 0].item(), rel=1e-5)

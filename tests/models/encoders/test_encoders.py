import itertools

import pytest
import torch
import torch.nn.functional as F
from support.encoders import small_config, small_encoder
from support.networks import small_generator

from models.encoders.config import Backbone, EncoderConfig, Family, Head


def pictures(n=2, height=32, width=32, channels=3):
    stream = torch.Generator().manual_seed(0)
    return torch.rand(n, channels, height, width, generator=stream) * 2 - 1


def maps_of(encoder, images):
    with torch.no_grad():
        return encoder.backbone(images)


class TestEncode:
    @pytest.mark.parametrize("backbone", Backbone)
    @pytest.mark.parametrize("head", Head)
    def test_gives_a_code_for_every_layer(self, backbone, head):
        """
        Whatever backbone and head: float32 codes [N, num_ws, w_dim], each picture by itself.
        """
        codes = 1 if head is Head.W else 6
        encoder = small_encoder(backbone=backbone, head=head, num_codes=codes)
        images = pictures()

        together = encoder.encode(images)

        assert (together.shape, together.dtype) == ((2, 6, 8), torch.float32)
        assert not torch.equal(together[0], together[1])
        torch.testing.assert_close(encoder.encode(images[1:]), together[1:])

    @pytest.mark.parametrize("size", [(24, 32), (32, 16), (112, 112), (256, 256)])
    @pytest.mark.parametrize("head", [Head.FPN, Head.LAST_MAP, Head.W_PLUS])
    def test_takes_inputs_of_many_shapes(self, size, head):
        """
        Inputs need not be square, nor powers of two.
        """
        encoder = small_encoder(head=head, input_size=size, num_codes=8, num_ws=8)

        assert encoder.encode(pictures(1, *size)).shape == (1, 8, 8)

    @pytest.mark.parametrize("channels", [1, 19])
    def test_takes_sketches_and_segmentations(self, channels):
        """
        An encoder of other channels than colours takes pictures of so many.
        """
        encoder = small_encoder(in_channels=channels)

        assert encoder.encode(pictures(channels=channels)).shape == (2, 6, 8)

    def test_starts_from_the_mean_code(self):
        """
        What the network puts out is added to the mean code.
        """
        encoder, images = small_encoder(), pictures()
        with torch.no_grad():
            expected = encoder.latent_avg + encoder(images)

        torch.testing.assert_close(encoder.encode(images), expected)
        assert encoder.latent_avg.abs().max() > 0.1

    @pytest.mark.parametrize("num_ws", [6, 8])
    def test_starts_from_the_generators_mean_where_it_has_none(self, num_ws):
        """
        An encoder without a mean code adds to the mean w of whichever generator it encodes for.
        """
        encoder = small_encoder(own_mean=False, num_codes=num_ws, num_ws=num_ws)
        images, generator = pictures(), small_generator(16)
        with torch.no_grad():
            expected = generator.w_avg + encoder(images)[:, :6]

        torch.testing.assert_close(encoder.encode(images, generator), expected)
        assert generator.w_avg.abs().max() > 0.1

    def test_e4e_adds_later_codes_to_the_first(self):
        """
        With the same weights, e4e's codes are pSp's first plus pSp's later ones.
        """
        images = pictures()
        with torch.no_grad():
            psp = small_encoder()(images)
            e4e = small_encoder(family=Family.E4E)(images)

        torch.testing.assert_close(e4e[:, 0], psp[:, 0])
        for code in range(1, 6):
            torch.testing.assert_close(e4e[:, code], psp[:, 0] + psp[:, code])

    def test_averages_pictures_down(self):
        """
        Larger pictures are reduced to the input's size by averaging.
        """
        encoder, images = small_encoder(), pictures(height=128, width=64)

        expected = encoder.encode(F.avg_pool2d(images, (4, 2)))

        torch.testing.assert_close(encoder.encode(images), expected)

    def test_wide_inputs_see_the_middle_rows(self):
        """
        Of a square picture an encoder with a wide input sees the middle rows and nothing else.
        """
        encoder = small_encoder(input_size=(24, 32))
        images = pictures(height=64, width=64)
        barred = images.clone()
        barred[:, :, :8] = barred[:, :, 56:] = -1

        expected = encoder.encode(F.avg_pool2d(images[:, :, 8:56], 2))

        torch.testing.assert_close(encoder.encode(images), expected)
        assert torch.equal(encoder.encode(images), encoder.encode(barred))

    def test_codes_beyond_the_generators_are_dropped(self):
        """
        e4e's cars put out 18 codes for a generator of 16: the first count.
        """
        images, generator = pictures(), small_generator(16)

        codes = small_encoder(num_codes=8).encode(images)

        assert codes.shape == (2, 6, 8)
        fitted = small_encoder(num_codes=8, num_ws=8).encode(images, generator)
        assert fitted.shape == (2, generator.num_ws, 8)


class TestHeads:
    def test_w_is_the_same_code_for_every_layer(self):
        """
        Head `w`: the last map's mean through an equalised linear layer, repeated.
        """
        encoder, images = small_encoder(head=Head.W, num_codes=1), pictures()
        means = maps_of(encoder, images)[-1].mean(dim=(2, 3))
        linear = encoder.head.linear

        codes = encoder.encode(images) - encoder.latent_avg

        expected = means @ (linear.weight / 48**0.5).T + linear.bias
        for code in range(6):
            torch.testing.assert_close(codes[:, code], expected)

    def test_w_plus_flattens_the_pooled_map(self):
        """
        Head `w-plus`: normalised, pooled to 7 x 7, flattened channel by channel, two linear layers.
        """
        encoder, images = small_encoder(head=Head.W_PLUS, input_size=(112, 112)), pictures(2, 112)
        images = images.repeat(1, 1, 1, 4)[..., :112]
        last = maps_of(encoder, images)[-1]  # 7 x 7 already
        norm, _, _, inner = encoder.head.output_layer_2
        scale = (norm.weight / (norm.running_var + 1e-5).sqrt())[:, None, None]
        last = (last - norm.running_mean[:, None, None]) * scale + norm.bias[:, None, None]
        linear = encoder.head.linear

        codes = encoder.encode(images) - encoder.latent_avg

        flat = last.reshape(2, -1) @ inner.weight.T + inner.bias
        expected = flat @ (linear.weight / 8**0.5).T + linear.bias
        torch.testing.assert_close(codes, expected.reshape(2, 6, 8), rtol=1e-4, atol=1e-4)

    def test_fpn_codes_come_from_three_levels(self):
        """
        Codes 0-2 see only the last map; codes 3-6 the middle one too; the rest all three.
        """
        encoder = small_encoder(head=Head.FPN, num_codes=8, num_ws=8)
        fine, middle, coarse = maps_of(encoder, pictures(1))
        with torch.no_grad():
            before = encoder.head([fine, middle, coarse])
            no_fine = encoder.head([0 * fine, middle, coarse])
            no_middle = encoder.head([fine, 0 * middle, coarse])

        changed = [(before != other).any(dim=2)[0] for other in (no_fine, no_middle)]
        assert [c.tolist() for c in changed] == [[False] * 7 + [True], [False] * 3 + [True] * 5]


class TestRefusals:
    def test_other_channels_are_named(self):
        """
        Grey pictures are refused by an encoder of colours.
        """
        with pytest.raises(ValueError, match=r"\[N, 3, H, W\], got \[2, 1, 32, 32\]"):
            small_encoder().encode(pictures(channels=1))

    def test_restyle_needs_a_generator(self):
        """
        There is no loop without something to compare with.
        """
        with pytest.raises(ValueError, match="generator's images: give one"):
            small_encoder(in_channels=6).encode(pictures())

    def test_no_mean_code_needs_a_generator(self):
        """
        Without a mean code of its own there is nothing to add to but a generator's.
        """
        with pytest.raises(ValueError, match="adds to a generator's mean: give one"):
            small_encoder(own_mean=False).encode(pictures())

    def test_a_generator_of_more_codes_is_refused(self):
        """
        Six codes do not steer eight layers.
        """
        with pytest.raises(ValueError, match="gives 6 codes of width 8, the generator takes 8 of"):
            small_encoder().encode(pictures(), small_generator(32))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"input_size": (512, 512)}, "not within 16 to 256"),
            ({"channels": (16, 16, 8, 16)}, "4 widths of 16"),
            ({"channels": (16, 16, 16)}, "4 widths of 16"),
            ({"w_dim": 0}, "codes of width 0"),
            ({"head": Head.W}, "head w does not give 6 codes"),
            ({"num_codes": 1, "num_ws": 1}, "head last-map does not give 1 codes"),
            ({"num_codes": 4}, "4 codes do not steer 6 layers"),
        ],
    )
    def test_impossible_descriptions_are_named(self, changes, message):
        """
        Numbers that contradict each other are refused before a network is made.
        """
        with pytest.raises(ValueError, match=message):
            small_config(**changes)


class TestConfig:
    def test_survives_json(self):
        """
        A description that was written and read again is the same.
        """
        for backbone, head in itertools.product(Backbone, (Head.FPN, Head.LAST_MAP)):
            config = small_config(backbone=backbone, head=head, family=Family.E4E)

            assert config == EncoderConfig.from_json(config.to_json())

    def test_knows_restyle_by_its_six_channels(self):
        """
        Who looks at two pictures iterates five times, the others once.
        """
        found = [(c.restyle, c.iterations) for c in map(config_of, (1, 3, 6, 19))]

        assert found == [(False, 1), (False, 1), (True, 5), (False, 1)]


def config_of(in_channels):
    return small_config(in_channels=in_channels)

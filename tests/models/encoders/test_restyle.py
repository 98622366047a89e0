import pytest
import torch
import torch.nn.functional as F
from support.encoders import small_encoder
from support.networks import small_generator

from models.encoders.restyle import refine


def pictures(n=2, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def generator():
    return small_generator(16)


@pytest.fixture
def encoder(generator):
    """
    A ReStyle encoder with its generator.
    """
    return small_encoder(generator, in_channels=6)


class TestRefine:
    @torch.no_grad()
    def test_adds_what_the_encoder_still_misses(self, encoder, generator):
        """
        Each iteration shows the encoder the picture beside the last codes' image, enlarged to
        its input, and adds what it says; the first image is the mean code's.
        """
        images = pictures()
        ws = encoder.latent_avg.expand(2, -1, -1)
        expected = []
        for _ in range(3):
            drawn = generator.synthesize(ws).repeat_interleave(2, 2).repeat_interleave(2, 3)
            ws = ws + encoder(torch.cat([images, drawn], dim=1))
            expected.append(ws)

        steps = refine(encoder, generator, images, iterations=3)

        for step, latents in zip(steps, expected, strict=True):
            torch.testing.assert_close(step.latents, latents)
            torch.testing.assert_close(step.images, generator.synthesize(latents))

    @torch.no_grad()
    def test_crops_its_images_for_wide_inputs(self, generator):
        """
        A wide encoder of a square generator sees the middle rows of both pictures.
        """
        encoder = small_encoder(in_channels=6, input_size=(24, 32))
        images = pictures(size=64)
        drawn = generator.synthesize(encoder.latent_avg.expand(2, -1, -1))[:, :, 2:14]
        drawn = drawn.repeat_interleave(2, 2).repeat_interleave(2, 3)
        seen = F.avg_pool2d(images[:, :, 8:56], 2)

        (step,) = refine(encoder, generator, images, iterations=1)

        expected = encoder.latent_avg + encoder(torch.cat([seen, drawn], dim=1))
        torch.testing.assert_close(step.latents, expected)

    def test_begins_at_the_generators_mean_where_it_has_none(self, generator):
        """
        Without a mean code the loop begins at the generator's mean w, as if that were its own.
        """
        owner = small_encoder(in_channels=6)
        owner.latent_avg.copy_(generator.w_avg.expand(6, -1))

        steps = refine(small_encoder(in_channels=6, own_mean=False), generator, pictures())

        expected = refine(owner, generator, pictures())
        torch.testing.assert_close(steps[-1].latents, expected[-1].latents)

    def test_is_what_encode_does(self, encoder, generator):
        """
        `encode` is the last of five steps, with the encoder's own generator or a given one.
        """
        steps = refine(encoder, generator, pictures())

        assert len(steps) == 5
        assert torch.equal(steps[-1].latents, encoder.encode(pictures()))
        assert torch.equal(steps[2].latents, encoder.encode(pictures(), generator, iterations=3))

    def test_can_go_on_from_codes(self, encoder, generator):
        """
        One iteration and two from there are three: so another encoder can take over.
        """
        first = refine(encoder, generator, pictures(), iterations=1)[-1].latents
        rest = refine(encoder, generator, pictures(), iterations=2, start=first)

        expected = refine(encoder, generator, pictures(), iterations=3)[-1].latents
        torch.testing.assert_close(rest[-1].latents, expected)

    def test_pictures_do_not_mix(self, encoder, generator):
        """
        A picture's codes are the same in a batch and alone.
        """
        together = refine(encoder, generator, pictures(3), iterations=2)[-1].latents

        alone = refine(encoder, generator, pictures(3)[2:], iterations=2)[-1].latents
        torch.testing.assert_close(alone, together[2:])

    def test_leaves_no_gradient(self, encoder, generator):
        """
        Nothing of the loop is kept for a backward pass.
        """
        encoder.requires_grad_(True)

        (step,) = refine(encoder, generator, pictures(), iterations=1)

        assert not step.latents.requires_grad
        assert not step.images.requires_grad

    def test_other_encoders_look_once(self, generator):
        """
        An encoder that sees only the picture takes one step: its codes, and their image.
        """
        encoder = small_encoder()

        (step,) = refine(encoder, generator, pictures())

        torch.testing.assert_close(step.latents, encoder.encode(pictures()))
        assert step.images.shape == (2, 3, 16, 16)


class TestRefusals:
    @pytest.mark.parametrize("asked", [{"iterations": 5}, {"start": torch.zeros(2, 6, 8)}])
    def test_an_encoder_that_looks_once_does_not_iterate(self, generator, asked):
        """
        Asking it to is an error, for the result would be another than expected.
        """
        with pytest.raises(ValueError, match="looks once"):
            refine(small_encoder(), generator, pictures(), **asked)

    def test_no_iteration_is_no_result(self, encoder, generator):
        """
        At least one iteration is needed.
        """
        with pytest.raises(ValueError, match="at least 1, got 0"):
            refine(encoder, generator, pictures(), iterations=0)

    def test_a_generator_of_another_width_is_refused(self, generator):
        """
        Codes of another width are named on both sides.
        """
        encoder = small_encoder(in_channels=6, w_dim=9)

        with pytest.raises(
            ValueError, match="6 codes of width 9, the generator takes 6 of width 8"
        ):
            refine(encoder, generator, pictures())

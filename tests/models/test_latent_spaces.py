import pytest
import torch
from support.networks import small_generator

from models.latent_spaces import NARROWEST, Plain, Whitened, whitened
from models.latents import mapped
from models.seeding import philox


@pytest.fixture
def codes():
    """
    Codes that spread 50 times further in one direction than in another, far from 0.
    """
    axes = torch.linalg.qr(torch.randn(4, 4)).Q
    return 7 + torch.randn(5000, 4) * torch.tensor([50.0, 30.0, 10.0, 8.0]) @ axes.T


class TestWhitened:
    def test_codes_have_mean_zero_and_unit_covariance(self, codes):
        """
        No direction is wider than another, wherever the codes lie.
        """
        u = Whitened.fit(codes).of(codes)

        torch.testing.assert_close(u.mean(dim=0), torch.zeros(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(torch.cov(u.T), torch.eye(4), atol=1e-3, rtol=0)

    def test_leads_back(self, codes):
        """
        The coordinates of a code are the coordinates of that code, in W+ too.
        """
        space, ws = Whitened.fit(codes), codes[:12].view(3, 4, 4)

        torch.testing.assert_close(space.to_w(space.of(ws)), ws, atol=1e-3, rtol=1e-5)

    def test_directions_without_spread_keep_some(self):
        """
        Where the generator's codes do not differ a real image's may: that direction is not lost.
        """
        flat = torch.randn(500, 3) * torch.tensor([5.0, 1.0, 0.0])

        space = Whitened.fit(flat)

        assert float(space.spread.min()) == pytest.approx(NARROWEST * float(space.spread.max()))

    def test_one_code_for_all_is_plain(self):
        """
        A mapping that ignores z gives no scale; nothing is divided by 0.
        """
        w = torch.ones(10, 3)

        space = Whitened.fit(w)

        torch.testing.assert_close(space.to_w(space.of(w + 2)), w + 2)

    @pytest.mark.parametrize("label_dim", [0, 3])
    def test_is_fitted_to_the_generator(self, label_dim):
        """
        New samples of it, of all classes, are about as wide as one.
        """
        generator = small_generator(label_dim=label_dim)
        w = mapped(generator, [philox(5, "new", i) for i in range(2000)])[:, 0]
        space = whitened(generator, 0)

        widths = space.of(w).std(dim=0)[space.spread > space.spread.max() * NARROWEST * 1.01]

        torch.testing.assert_close(widths, torch.ones_like(widths), atol=0.1, rtol=0)


def test_plain_is_w_itself():
    """
    The authors' coordinates: nothing changes.
    """
    w = torch.randn(2, 3, 4)

    assert Plain().of(w) is w
    assert Plain().to_w(w) is w

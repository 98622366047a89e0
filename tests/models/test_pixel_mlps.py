import pytest
import torch

from models.pixel_mlps import MemberwiseBatchNorm, PixelMLPs


def random_network(members=3, widths=(7, 6, 5, 4)):
    """
    A network whose every number was moved away from its initial value.
    """
    network = PixelMLPs(widths, members, seed=0)
    stream = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        noise = torch.rand(value.shape, generator=stream) + 0.5
        value.copy_(noise if "variance" in name else value + noise - 1)
    return network


def pixels(members=3, count=50, channels=7, seed=2):
    """
    Hypercolumns [M, P, C].
    """
    return torch.randn(members, count, channels, generator=torch.Generator().manual_seed(seed))


def separate(network, member):
    """
    One member as PyTorch's own layers would have it.
    """
    layers = []
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data, linear.bias.data = weight[member].T.clone(), bias[member, 0].clone()
        layers.append(linear)
        if index < len(network.norms):
            ours, norm = network.norms[index], torch.nn.BatchNorm1d(weight.shape[2])
            norm.weight.data, norm.bias.data = ours.gain[member, 0], ours.shift[member, 0]
            norm.running_mean, norm.running_var = ours.mean[member, 0], ours.variance[member, 0]
            layers += [torch.nn.ReLU(), norm]
    return torch.nn.Sequential(*layers)


class TestPixelMLPs:
    def test_members_are_plain_mlps(self):
        """
        Side by side or apart, in training and after, a member computes the same.
        """
        network, x = random_network(), pixels()
        apart = [separate(network, m) for m in range(3)]

        for mode in (False, True):
            network.train(mode)
            got = network(x)
            expected = torch.stack([a.train(mode)(x[m]) for m, a in enumerate(apart)])
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)

    def test_gradients_stay_within_a_member(self):
        """
        One member's loss moves that member only.
        """
        network = random_network().train()

        network(pixels())[1].square().sum().backward()

        for parameter in network.parameters():
            assert not parameter.grad[[0, 2]].any()
            assert parameter.grad[1].any()

    def test_weights_begin_small_and_different(self):
        """
        N(0, 0.02^2) and zero biases, each member from a stream of its own that its seed names.
        """
        network = PixelMLPs((500, 60, 5, 4), 3, seed=0)

        assert pytest.approx(0.02, rel=0.02) == float(network.weights[0].detach().std())
        assert all(not bias.any() for bias in network.biases)
        assert not torch.equal(network.weights[0][0], network.weights[0][1])
        smaller = PixelMLPs((500, 60, 5, 4), 2, seed=0)
        assert torch.equal(smaller.weights[1][1], network.weights[1][1])

    def test_folding_changes_nothing(self):
        """
        Three plain Linear layers on raw features are the network on standardised ones.
        """
        network, raw = random_network().eval(), 3 * pixels() + 1
        mean, deviation = torch.rand(7), torch.rand(7) + 0.5

        layers = network.folded(mean, deviation)

        h = (torch.einsum("mpc,mhc->mph", raw, layers.w1) + layers.b1[:, None]).relu()
        h = (torch.einsum("mpc,mhc->mph", h, layers.w2) + layers.b2[:, None]).relu()
        got = torch.einsum("mpc,mhc->mph", h, layers.w3) + layers.b3[:, None]
        expected = network((raw - mean) / deviation).detach()
        assert float((got - expected).abs().max()) < 1e-5 * float(expected.abs().max())


class TestMemberwiseBatchNorm:
    def test_running_statistics_are_pytorchs(self):
        """
        After some batches the running means and variances are those of BatchNorm1d.
        """
        ours, x = MemberwiseBatchNorm(3, 7).train(), pixels()
        theirs = [torch.nn.BatchNorm1d(7).train() for _ in range(3)]

        for shift in range(3):
            ours(x + shift)
            for member, norm in enumerate(theirs):
                norm(x[member] + shift)

        torch.testing.assert_close(ours.mean[:, 0], torch.stack([n.running_mean for n in theirs]))
        torch.testing.assert_close(
            ours.variance[:, 0], torch.stack([n.running_var for n in theirs])
        )

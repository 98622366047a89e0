import copy

import torch

from models.demo.optimizer import MuonAndAdam
from models.demo.recipe import PRESETS
from models.stylegan2.networks import Generator


def generator():
    """
    The smallest generator that training knows, always the same.
    """
    torch.manual_seed(0)
    return Generator(PRESETS["smoke"].generator_config())


def descend(network, optimizer, steps):
    """
    Steps towards drawing black; returns the losses on the way.
    """
    ws = network.map(torch.randn(4, network.z_dim, generator=torch.Generator().manual_seed(1)))
    losses = []
    for _ in range(steps):
        loss = (network.synthesize(ws.detach()) + 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


class TestMuonAndAdam:
    def test_every_parameter_has_one_optimiser(self):
        """
        Each parameter of the generator is stepped by one of the two, none by both.
        """
        network = generator()

        groups = MuonAndAdam(network).param_groups
        found = [id(p) for group in groups for p in group["params"]]

        assert sorted(found) == sorted(id(p) for p in network.parameters())

    def test_finds_its_way(self):
        """
        A loss of images falls, and matrices, styles and constants have all moved.
        """
        network = generator()
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        optimizer = MuonAndAdam(network)
        optimizer.set_rate(6e-3)

        losses = descend(network, optimizer, 20)

        assert losses[-1] < 0.5 * losses[0]
        for name in ("conv1.weight", "conv1.affine.weight", "to_rgb.weight"):
            key = f"synthesis.blocks.64.{name}"
            assert not torch.equal(before[key], network.get_parameter(key)), name

    def test_without_a_gradient_nothing_moves(self):
        """
        Blocks that drew nothing, as while images are small, stay as they are.
        """
        network = generator()
        optimizer = MuonAndAdam(network)
        optimizer.set_rate(6e-3)
        kept = network.synthesis.blocks["64"].conv1.weight.detach().clone()

        ws = network.map(torch.randn(2, network.z_dim))
        network.synthesis(ws, "const", torch.float32, 3)[0].square().mean().backward()
        optimizer.step()

        assert torch.equal(network.synthesis.blocks["64"].conv1.weight, kept)

    def test_goes_on_from_its_state(self):
        """
        Restored in the middle, it takes the very steps it would have taken.
        """
        straight, resumed = generator(), generator()
        first = MuonAndAdam(straight)
        first.set_rate(6e-3)
        descend(straight, first, 3)

        resumed.load_state_dict(straight.state_dict())
        second = MuonAndAdam(resumed)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        second.set_rate(6e-3)

        assert descend(straight, first, 3) == descend(resumed, second, 3)

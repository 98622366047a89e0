"""Our networks beside the original implementations, activation by activation.

`tests/golden/*.npz` were written by those implementations (random weights, CPU, float32).
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.checkpoints import load_generator
from models.stylegan2.networks import Generator

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {"nv_r32": "nv_r32.pkl", "ros_r32": "ros_r32.pt"}
TOLERANCE = 1e-4

each_family = pytest.mark.parametrize("name", FILES)


@cache
def generator_of(name: str) -> Generator:
    return load_generator(GOLDEN / FILES[name])


@cache
def expected_of(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def assert_close(actual: Tensor, expected: np.ndarray) -> None:
    """Within 1e-4 of the expected tensor's largest magnitude."""
    assert actual.shape == expected.shape
    error = np.abs(actual.detach().numpy() - expected).max() / np.abs(expected).max()
    assert error < TOLERANCE


def activations(generator: Generator, ws: Tensor) -> dict[str, Tensor]:
    """What each layer puts out, keyed as the originals' recordings are."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name, module in generator.named_modules():
        if key := recorded_as(name):
            hooks.append(module.register_forward_hook(keep(found, key)))
    generator.synthesize(ws)
    for hook in hooks:
        hook.remove()
    return found


def keep(found: dict[str, Tensor], key: str):
    return lambda module, inputs, output: found.update({key: output})


def recorded_as(name: str) -> str | None:
    """synthesis.blocks.8.conv0.affine -> style/8/conv0; None for what was not recorded."""
    match name.split("."):
        case ["synthesis", "blocks", size, layer, "affine"]:
            return f"style/{size}/{layer.replace('to_rgb', 'torgb')}"
        case ["synthesis", "blocks", size, layer]:
            return f"act/{size}/{layer.replace('to_rgb', 'torgb')}"
    return None


class TestParity:
    @each_family
    def test_mapping_layers(self, name):
        """
        Every mapping layer puts out what the original's does.
        """
        generator, expected = generator_of(name), expected_of(name)
        outputs = []
        hooks = [
            layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
            for layer in generator.mapping.layers
        ]

        generator.map(torch.from_numpy(expected["z"]))

        for hook in hooks:
            hook.remove()
        assert len(outputs) == 8
        for index, output in enumerate(outputs):
            assert_close(output, expected[f"act/mapping/fc{index}"])

    @each_family
    def test_style_codes_and_truncation(self, name):
        """
        Codes agree at psi 1, below 1, above 1 and with a cutoff, wherever they were recorded.
        """
        generator, expected = generator_of(name), expected_of(name)
        z = torch.from_numpy(expected["z"])
        settings = {
            "ws": {},
            "ws_psi0.7": {"psi": 0.7},
            "ws_psi1.3": {"psi": 1.3},
            "ws_psi0.5_cutoff4": {"psi": 0.5, "cutoff": 4},
        }

        for key in settings.keys() & expected.keys():
            assert_close(generator.map(z, **settings[key]), expected[key])

    @each_family
    def test_styles_and_activations(self, name):
        """
        Every style, every styled convolution and every image layer agrees.
        """
        generator, expected = generator_of(name), expected_of(name)

        found = activations(generator, torch.from_numpy(expected["ws"]))

        compared = found.keys() & expected.keys()
        assert {key for key in expected if key.startswith("style/")} <= compared
        assert sum(key.startswith("act/") and "conv" in key for key in compared) == 7
        for key in compared:
            assert_close(found[key], expected[key])

    @each_family
    def test_running_images(self, name):
        """
        The image after each block is the original's.
        """
        generator, expected = generator_of(name), expected_of(name)
        ws = torch.from_numpy(expected["ws"])

        for blocks, size in enumerate([4, 8, 16, 32], start=1):
            image, _ = generator.synthesis(ws, blocks=blocks)
            assert_close(image, expected[f"act/{size}/img"])

    @each_family
    def test_images(self, name):
        """
        Images agree with stored noise, without noise, truncated, and from free codes.
        """
        generator, expected = generator_of(name), expected_of(name)
        ws, wplus = (torch.from_numpy(expected[key]) for key in ("ws", "wplus_in"))
        truncated = generator.map(torch.from_numpy(expected["z"]), psi=0.7)

        assert_close(generator.synthesize(ws), expected["image_const"])
        assert_close(generator.synthesize(ws, noise="none"), expected["image_none"])
        assert_close(generator.synthesize(truncated), expected["image_const_psi0.7"])
        assert_close(generator.synthesize(wplus), expected["wplus_image_const"])

    @each_family
    def test_gradient_of_codes(self, name):
        """
        The gradient that inversion follows is the original's.
        """
        generator, expected = generator_of(name), expected_of(name)
        wplus = torch.from_numpy(expected["wplus_in"]).requires_grad_()

        score = (generator.synthesize(wplus) * torch.from_numpy(expected["probe"])).sum()
        (gradient,) = torch.autograd.grad(score, wplus)

        assert_close(gradient, expected["wplus_grad"])

    @each_family
    def test_features_are_the_recorded_maps(self, name):
        """
        Feature maps are the constant and the styled convolutions, coarse to fine, with the
        shapes that were promised.
        """
        generator, expected = generator_of(name), expected_of(name)
        order = ["4/conv1", *(f"{r}/conv{i}" for r in (8, 16, 32) for i in (0, 1))]

        _, features = generator.synthesize_with_features(torch.from_numpy(expected["ws"]))

        assert generator.feature_shapes == [tuple(f.shape[1:]) for f in features]
        for key, feature in zip(order, features[1:], strict=True):
            assert_close(feature, expected[f"act/{key}"])

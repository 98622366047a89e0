"""Our networks beside the original implementations, activation by activation.

`tests/golden/*.npz` were written by those implementations (random weights, CPU, float32); the
larger ones keep activations of their first image only.
"""

from functools import cache

import pytest
import torch
from support.parity import GOLDEN, TOLERANCE, error_of, recorded, recorded_as
from torch import Tensor

from models.checkpoints import load_generator
from models.stylegan2.networks import Generator

FILES = {
    "nv_r32": "nv_r32.pkl",
    "nv_r32_clamp": "nv_r32_clamp.pkl",
    "nv_r32_cond": "nv_r32_cond.pkl",
    "nv_r64_auto": "nv_r64_auto.pkl",
    "sg3repo_sg2_r32": "sg3repo_sg2_r32.pkl",
    "sghuman_r64x32": "sghuman_r64x32.pkl",
    "ros_r32": "ros_r32.pt",
}
HALF_TOLERANCE = 2e-2

each_recording = pytest.mark.parametrize("name", FILES)


@cache
def generator_of(file: str) -> Generator:
    return load_generator(GOLDEN / file)


@cache
def both(name: str):
    return generator_of(FILES[name]), recorded(name)


def assert_close(actual: Tensor, expected) -> None:
    """Within 1e-4 of the expected tensor's largest magnitude, as far as it was recorded."""
    assert error_of(actual[: len(expected)], expected) < TOLERANCE


def mapped(generator: Generator, expected, **truncation) -> Tensor:
    """The codes of the recording's z and labels."""
    labels = torch.from_numpy(expected["c"]) if generator.label_dim else None
    return generator.map(torch.from_numpy(expected["z"]), labels, **truncation)


def activations(generator: Generator, expected) -> dict[str, Tensor]:
    """What each layer puts out, keyed as the originals' recordings are."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name, module in generator.named_modules():
        key = "act/mapping/embed" if name == "mapping.embed" else recorded_as(name)
        if key:
            hooks.append(module.register_forward_hook(keep(found, key)))
    mapped(generator, expected)
    generator.synthesize(torch.from_numpy(expected["ws"]))
    for hook in hooks:
        hook.remove()
    return found


def keep(found: dict[str, Tensor], key: str):
    return lambda module, inputs, output: found.update({key: output})


def layers_of(generator: Generator) -> list[str]:
    """Styled convolutions, coarse to fine: 4/conv1, 8/conv0, 8/conv1, .."""
    sizes = list(generator.synthesis.blocks)
    return ["4/conv1", *(f"{size}/conv{i}" for size in sizes[1:] for i in (0, 1))]


class TestParity:
    @each_recording
    def test_style_codes_and_truncation(self, name):
        """
        Codes agree at psi 1, below 1, above 1 and with a cutoff, wherever they were recorded.
        """
        generator, expected = both(name)
        settings = {
            "ws": {},
            "ws_psi0.7": {"psi": 0.7},
            "ws_psi1.3": {"psi": 1.3},
            "ws_psi0.5_cutoff4": {"psi": 0.5, "cutoff": 4},
        }

        for key in settings.keys() & expected.keys():
            assert_close(mapped(generator, expected, **settings[key]), expected[key])

    @each_recording
    def test_activations(self, name):
        """
        Every recorded mapping layer, style, styled convolution and image layer agrees.
        """
        generator, expected = both(name)

        found = activations(generator, expected)

        blocks = ("x", "img")
        layers = {
            key
            for key in expected
            if key.startswith(("style/", "act/")) and key.rpartition("/")[2] not in blocks
        }
        assert len(layers) > 2 * len(layers_of(generator))
        assert layers <= found.keys()
        for key in layers:
            assert_close(found[key], expected[key])

    @each_recording
    def test_running_images(self, name):
        """
        The image after each block is the original's, wherever it was recorded.
        """
        generator, expected = both(name)
        ws = torch.from_numpy(expected["ws"])

        for blocks, size in enumerate(generator.synthesis.blocks, start=1):
            if f"act/{size}/img" in expected:
                image, _ = generator.synthesis(ws, blocks=blocks)
                assert_close(image, expected[f"act/{size}/img"])

    @each_recording
    def test_images(self, name):
        """
        Images agree with stored noise, without noise, truncated, and from free codes.
        """
        generator, expected = both(name)
        ws, wplus = (torch.from_numpy(expected[key]) for key in ("ws", "wplus_in"))
        truncated = mapped(generator, expected, psi=0.7)

        assert_close(generator.synthesize(ws), expected["image_const"])
        assert_close(generator.synthesize(ws, noise="none"), expected["image_none"])
        assert_close(generator.synthesize(truncated), expected["image_const_psi0.7"])
        assert_close(generator.synthesize(wplus), expected["wplus_image_const"])

    @each_recording
    def test_gradient_of_codes(self, name):
        """
        The gradient that inversion follows is the original's.
        """
        generator, expected = both(name)
        wplus = torch.from_numpy(expected["wplus_in"]).requires_grad_()

        score = (generator.synthesize(wplus) * torch.from_numpy(expected["probe"])).sum()
        (gradient,) = torch.autograd.grad(score, wplus)

        assert_close(gradient, expected["wplus_grad"])

    @each_recording
    def test_features_are_the_recorded_maps(self, name):
        """
        Feature maps are the constant and the styled convolutions, coarse to fine, with the
        shapes that were promised.
        """
        generator, expected = both(name)

        _, features = generator.synthesize_with_features(torch.from_numpy(expected["ws"]))

        assert generator.feature_shapes == [tuple(f.shape[1:]) for f in features]
        for key, feature in zip(layers_of(generator), features[1:], strict=True):
            assert_close(feature, expected[f"act/{key}"])

    def test_half_precision_as_the_file_asks(self):
        """
        Forced to half precision, blocks from 8 pixels on compute in it and the image is within
        2e-2 of the original's half-precision one; left alone, a CPU computes in float32.
        """
        generator, expected = both("nv_r64_auto")
        ws = torch.from_numpy(expected["ws"])

        image, features = generator.synthesize_with_features(ws, dtype=torch.float16)

        assert error_of(image, expected["image_const_fp16path"]) < HALF_TOLERANCE
        rows = {feature.shape[2]: feature.dtype for feature in features}
        half = dict.fromkeys((8, 16, 32, 64), torch.float16)
        assert {4: torch.float32, **half} == rows
        assert torch.equal(generator.synthesize(ws), generator.synthesize(ws, dtype=torch.float32))


class TestForms:
    @pytest.mark.parametrize(
        "file", ["nv_r32.proto3.pkl", "nv_r32.torchsave.pt", "nv_r32.torchsave_dict.pt"]
    )
    def test_hold_the_same_network(self, file):
        """
        Another pickle protocol and `torch.save` of the network or of the whole snapshot give the
        same description and the same weights, bit by bit.
        """
        plain, other = generator_of("nv_r32.pkl"), generator_of(file)

        assert plain.config == other.config
        for key, tensor in plain.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[key]), key

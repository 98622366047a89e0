"""Our encoders beside the original implementations, at full size.

`tests/golden/enc_*.npz` were written by those implementations (CPU, float32); the weights behind
them, up to 267 million numbers, follow from their names.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.encoders import encoder_shapes, encoder_weight, theirs

from models.encoders.backbones import last_blocks
from models.encoders.config import Backbone, EncoderConfig, Family, Head
from models.encoders.encoder import build_encoder

GOLDEN = Path(__file__).parents[2] / "golden"
TOLERANCE = 1e-4

IR, RESNET = Backbone.IR_SE50, Backbone.RESNET34
VECTORS = {
    "enc_psp_GradualStyleEncoder": EncoderConfig(IR, Head.FPN, Family.PSP, 3, 18, 18),
    "enc_e4e_Encoder4Editing": EncoderConfig(IR, Head.FPN, Family.E4E, 3, 18, 18),
    "enc_restyle_BackboneEncoder": EncoderConfig(IR, Head.LAST_MAP, Family.PSP, 6, 18, 18),
    "enc_restyle_ResNetProgressiveBackboneEncoder_14": EncoderConfig(
        RESNET, Head.LAST_MAP, Family.E4E, 6, 14, 14
    ),
}


def arrays_of(name):
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def assert_close(actual, expected):
    """Within 1e-4 of the expected tensor's largest magnitude."""
    assert actual.shape == expected.shape
    error = np.abs(actual.numpy() - expected).max() / np.abs(expected).max()
    assert error < TOLERANCE


@pytest.fixture(scope="module")
def weights():
    """
    Tensors by name and shape, made once: the four encoders share most of theirs, 1 GB in all.
    """
    made = {}

    def weight(key, shape):
        if (key, shape) not in made:
            made[key, shape] = encoder_weight(key, shape)
        return made[key, shape]

    yield weight
    made.clear()


def encoder_of(config, weight):
    shapes = encoder_shapes(config)
    average = {"latent_avg": torch.zeros(shapes.pop("latent_avg"))}
    tensors = {key: weight(theirs(key), shape) for key, shape in shapes.items()}
    return build_encoder(config, {**tensors, **average}, "here")


def recorded(encoder, x):
    """What each stage's last block puts out, keyed as the originals' recordings; and codes, `y`."""
    found, hooks = {}, []
    for block in last_blocks(encoder.config.backbone)[1:]:
        module = encoder.backbone.body[block]
        hooks.append(module.register_forward_hook(keep(found, f"body{block}")))
    with torch.no_grad():
        codes = encoder(x)
    for hook in hooks:
        hook.remove()
    means = {f"{key}_mean": y.mean(dim=(2, 3)) for key, y in found.items()}
    return {"y": codes, **means, **{f"{k}_corner": y[:, :8, :4, :4] for k, y in found.items()}}


def keep(found, key):
    return lambda module, inputs, output: found.update({key: output})


@pytest.mark.parametrize("name", VECTORS)
def test_codes_and_maps_are_the_originals(name, weights):
    """
    Of a picture, codes and the maps after each stage are what the original encoder gives.
    """
    config, expected = VECTORS[name], arrays_of(name)
    size = (1, config.in_channels, *config.input_size)
    x = np.random.RandomState(11).uniform(-1, 1, size).astype(np.float32)

    actual = recorded(encoder_of(config, weights), torch.from_numpy(x))

    assert sorted(expected) == sorted(actual)
    for key, array in expected.items():
        assert_close(actual[key], array)

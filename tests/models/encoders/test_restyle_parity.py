"""The ReStyle loop beside the original implementation's, at full size, from the objects of a file.

`tests/golden/loop_*.npz` was written by that implementation (CPU, float32); the weights behind it,
150 million numbers, follow from their names. Apart from the other vectors, for memory.
"""

from pathlib import Path

import numpy as np
import torch
from support.encoders import encoder_file, rosinality_shapes

from models.checkpoints.encoders import build_from
from models.checkpoints.notes import Notes
from models.encoders.config import Backbone, EncoderConfig, Family, Head
from models.encoders.restyle import refine

VECTOR = Path(__file__).parents[2] / "golden" / "loop_restyle_psp_BackboneEncoder_r64.npz"
TOLERANCE = 1e-4
CONFIG = EncoderConfig(Backbone.IR_SE50, Head.LAST_MAP, Family.PSP, 6, 10, 10)
CHANNELS = (512, 512, 512, 512, 512)


def assert_close(actual, expected):
    """Within 1e-4 of the expected tensor's largest magnitude."""
    assert actual.shape == expected.shape
    error = np.abs(actual.numpy() - expected).max() / np.abs(expected).max()
    assert error < TOLERANCE


def restyle_file():
    """The encoder, its 64 px generator and a mean code, in the originals' names."""
    decoder = rosinality_shapes(64, CHANNELS, 512, 8)
    options = {"encoder_type": "BackboneEncoder", "output_size": 64, "input_nc": 6}
    root = encoder_file(CONFIG, decoder, average=False, **options)
    average = np.float32(0.3 * np.random.RandomState(77).randn(512))
    return {**root, "latent_avg": torch.from_numpy(average).repeat(CONFIG.num_codes, 1)}


def test_the_loop_is_the_originals():
    """
    A ReStyle file is read, and three iterations give the original's codes and images.
    """
    with np.load(VECTOR) as arrays:
        expected = dict(arrays)
    encoder = build_from(restyle_file(), "here", Notes())
    images = np.random.RandomState(12).uniform(-1, 1, (1, 3, 256, 256)).astype(np.float32)

    steps = refine(encoder, encoder.generator, torch.from_numpy(images), iterations=3)

    assert encoder.config == CONFIG
    average = encoder.generator.synthesize(encoder.latent_avg[None])
    assert_close(average.repeat_interleave(4, 2).repeat_interleave(4, 3)[0], expected["avg_image"])
    for index, step in enumerate(steps):
        assert_close(step.latents[0], expected[f"latent_{index}"])
        assert_close(step.images[0], expected[f"image_{index}"])

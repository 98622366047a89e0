"""Encoders for tests: small ones with random weights, and those the parity vectors were made with.

The weights behind the vectors are not stored: each tensor follows from its name.
"""

import zlib

import numpy as np
import torch

from models.blank import Blank
from models.encoders.config import Backbone, EncoderConfig, Family, Head
from models.encoders.encoder import Encoder, build_encoder, own_tensors

WIDTHS = (16, 24, 32, 48)


SHORT_TRAINING = {
    "backbone": "small",
    "steps": 4,
    "batch": 4,
    "restyle_iterations": 2,
    "distance": "perceptual",
    "validation_samples": 4,
    "snapshot_every": 2,
}
"""Fields of the configuration of an encoder's training that ends at once."""


def small_config(**changes):
    """
    A narrow encoder of 32 x 32 pictures into the codes of `small_generator(16)`.
    """
    facts = {
        "backbone": Backbone.IR_SE50,
        "head": Head.LAST_MAP,
        "family": Family.PSP,
        "in_channels": 3,
        "num_codes": 6,
        "num_ws": 6,
        "input_size": (32, 32),
        "channels": WIDTHS,
        "w_dim": 8,
    }
    return EncoderConfig(**{**facts, **changes})


def small_encoder(generator=None, **changes):
    """
    An encoder of `small_config` whose weights follow from their names.
    """
    config = small_config(**changes)
    tensors = {key: encoder_weight(key, shape) for key, shape in encoder_shapes(config).items()}
    return build_encoder(config, tensors, "here", generator)


def encoder_shapes(config):
    """
    Our names and shapes of an encoder's tensors.
    """
    with Blank():
        tensors = own_tensors(Encoder(config))
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def theirs(key):
    """
    Our name of an encoder's tensor -> the originals': they do not tell backbone from head.
    """
    return key.partition(".")[2]


def encoder_weight(key, shape, seed_key=None):
    """
    The vectors' rule for an encoder's tensor; `seed_key` where the stream has another name.
    """
    drawn = stream(seed_key or key, shape)
    if key.endswith("running_mean"):
        return 0.1 * drawn
    if key.endswith("running_var"):
        return 1 + 0.2 * drawn.abs()
    if len(shape) == 1:
        if not key.endswith("weight"):
            return 0.1 * drawn
        slope = "res_layer.2" in key or "input_layer.2" in key or key.endswith("relu.weight")
        return 0.25 + 0.05 * drawn if slope else 0.7 + 0.1 * drawn
    if key.endswith("linear.weight"):
        return drawn
    return drawn / np.sqrt(np.prod(shape[1:]))


def decoder_weight(key, shape):
    """
    The vectors' rule for a tensor of the generator beside an encoder; `key` in full.
    """
    drawn = stream(key, shape)
    if key.endswith("noise.weight"):
        return 0.15 + 0.1 * drawn
    if key.endswith("modulation.bias"):
        return 1 + 0.2 * drawn
    if key.startswith("decoder.style."):
        return (20 if key.endswith("bias") else 100) * drawn
    return 0.2 * drawn if key.endswith("bias") else drawn


def stream(key, shape):
    """float32 standard normal numbers that belong to `key`."""
    state = np.random.RandomState(zlib.crc32(key.encode()))
    return torch.from_numpy(np.asarray(state.randn(*shape), dtype=np.float32))


def rosinality_shapes(size, channels, w_dim, depth, columns=4):
    """
    Names and shapes of a rosinality generator's tensors, resampling filters left out.

    Args:
        size: pixels of its images, a power of two.
        channels: of its blocks from 4 pixels on.
        w_dim: width of z and w.
        depth: mapping layers.
        columns: of the constant; 2 for images half as wide as high.
    """
    shapes = {"input.input": (1, channels[0], 4, columns)}
    for layer in range(1, depth + 1):
        shapes |= {f"style.{layer}.weight": (w_dim, w_dim), f"style.{layer}.bias": (w_dim,)}
    blocks = size.bit_length() - 2
    layers = [("conv1", channels[0], channels[0], 4)]
    for block in range(1, blocks):
        before, after, pixels = channels[block - 1], channels[block], 4 << block
        layers.append((f"convs.{2 * block - 2}", before, after, pixels))
        layers.append((f"convs.{2 * block - 1}", after, after, pixels))
    for index, (name, before, after, pixels) in enumerate(layers):
        shapes |= {
            f"{name}.conv.weight": (1, after, before, 3, 3),
            f"{name}.conv.modulation.weight": (before, w_dim),
            f"{name}.conv.modulation.bias": (before,),
            f"{name}.noise.weight": (1,),
            f"{name}.activate.bias": (after,),
            f"noises.noise_{index}": (1, 1, pixels, pixels * columns // 4),
        }
    for block, width in enumerate(channels[:blocks]):
        name = f"to_rgbs.{block - 1}" if block else "to_rgb1"
        shapes |= {
            f"{name}.conv.weight": (1, 3, width, 1, 1),
            f"{name}.conv.modulation.weight": (width, w_dim),
            f"{name}.conv.modulation.bias": (width,),
            f"{name}.bias": (1, 3, 1, 1),
        }
    return shapes


def encoder_file(config, decoder=None, average=True, **options):
    """
    What a file of this encoder holds, in the originals' names.

    Args:
        config: of the encoder.
        decoder: names and shapes of a generator beside it, if any.
        average: whether there is a mean code.
        options: of the training.
    """
    shapes = encoder_shapes(config)
    mean = stream("latent_avg", shapes.pop("latent_avg"))
    state = {f"encoder.{theirs(k)}": (theirs(k), shape) for k, shape in shapes.items()}
    state = {k: encoder_weight(*named, seed_key=k) for k, named in state.items()}
    for key, shape in (decoder or {}).items():
        state[f"decoder.{key}"] = decoder_weight(f"decoder.{key}", shape)
    return {"state_dict": state, "opts": options, **({"latent_avg": mean} if average else {})}

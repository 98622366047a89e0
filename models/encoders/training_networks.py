"""Encoders for a generator: as they begin to learn, and as they are when they have learnt.

While an encoder learns, what it puts out is in whitened coordinates (`models.latent_spaces`): in W
itself some directions are a hundred times wider than others, and all must be learnt at one rate.
Its last layers are linear, so the way to W is folded into them afterwards.
"""

import copy

import torch
from torch import Tensor

from models.configs import EncoderTrainingConfig
from models.encoders.config import LARGEST_INPUT, Backbone, EncoderConfig, Family, Head
from models.encoders.encoder import Encoder
from models.encoders.heads import last_layers
from models.latent_spaces import Whitened
from models.seeding import philox
from models.stylegan2.networks import Generator

SMALL_CHANNELS = (48, 64, 96, 128)
SMALL_INPUT = 128
"""The longer side of pictures that a `small` encoder sees, at most."""


def encoder_config(generator: Generator, config: EncoderTrainingConfig) -> EncoderConfig:
    """The ReStyle encoder that is trained for a generator.

    Raises:
        ValueError: its images are not in colour, or too narrow for an encoder.
    """
    channels, height, width = generator.image_shape
    if channels != 3:
        raise ValueError(f"ReStyle needs colour images, not {channels} channels")
    small = Backbone(config.backbone) is Backbone.SMALL
    scale = min(1.0, (SMALL_INPUT if small else LARGEST_INPUT) / max(height, width))
    # One code for all layers keeps a small encoder small, and its codes where samples are.
    one = small and not config.progressive
    return EncoderConfig(
        backbone=Backbone(config.backbone),
        head=Head.DENSE if small else Head.LAST_MAP,
        family=Family.E4E if config.progressive else Family.PSP,
        in_channels=6,
        num_codes=1 if one else generator.num_ws,
        num_ws=generator.num_ws,
        input_size=(round(height * scale), round(width * scale)),
        channels=SMALL_CHANNELS if small else EncoderConfig.channels,
        w_dim=generator.w_dim,
    )


def untrained(generator: Generator, config: EncoderTrainingConfig) -> Encoder:
    """An encoder on the generator's device whose first weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(philox(config.seed, "weights").integers(2**63)))
        encoder = Encoder(encoder_config(generator, config))
    return encoder.to(generator.w_avg.device)


@torch.no_grad()
def in_w(encoder: Encoder, space: Whitened, mean: Tensor) -> Encoder:
    """The encoder of W, of one that puts out differences in whitened coordinates.

    Args:
        encoder: stays as it is.
        space: the coordinates.
        mean: float32 [w_dim]: the generator's mean w, the start of the loop.

    Returns:
        a copy in eval mode.
    """
    # w - mean = (axes * spread) @ u
    made = _folded(encoder, space.axes * space.spread)
    made.latent_avg.copy_(mean.expand_as(made.latent_avg))
    return made.eval().requires_grad_(False)


@torch.no_grad()
def learning_on(encoder: Encoder, generator: Generator, space: Whitened) -> Encoder:
    """What `in_w` made its result of: a copy that learns on, on the generator's device.

    Raises:
        ValueError: it is no ReStyle encoder, or one for codes of another shape.
    """
    config = encoder.config
    if config.in_channels != 2 * generator.image_shape[0]:
        raise ValueError("only a ReStyle encoder, which sees two images, can be trained on")
    shape, wanted = (config.num_ws, config.w_dim), (generator.num_ws, generator.w_dim)
    if shape != wanted:
        raise ValueError(f"the encoder's codes are {shape}, but the generator's are {wanted}")
    made = _folded(encoder, (space.axes / space.spread).T)
    made.latent_avg.zero_()
    return made.requires_grad_()


def _folded(encoder: Encoder, matrix: Tensor) -> Encoder:
    """A copy that puts out `matrix` [w_dim, w_dim] @ each of its codes, on the matrix's device."""
    made = copy.deepcopy(encoder).to(matrix.device)
    for layer in last_layers(made.head):
        codes = layer.weight.reshape(-1, len(matrix), layer.weight.shape[1])  # [codes, w_dim, in]
        layer.weight.copy_((matrix @ codes).flatten(0, 1))
        layer.bias.copy_((layer.bias.reshape(-1, len(matrix)) @ matrix.T).flatten())
    return made

"""Small networks with random weights, and labels for what they draw: enough for the algebra."""

import itertools

import torch

from models.fused_layers import Layers
from models.heads import head_of
from models.heads.base import Vote
from models.label_generator import LabelGenerator
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator

SPEC = SegmentationSpec(classes=("background", "one", "two"))
POINTS = KeypointsSpec(names=("nose", "chin"))
DEPTH = DepthSpec(unit="cm", smallest=0.1, largest=9.0)
ALL_KINDS = (SPEC, POINTS, DEPTH)


def small_generator(size=16, label_dim=0, seed=0, channels=3):
    """
    A generator of `size` x `size` images whose weights follow from `seed`.
    """
    blocks = size.bit_length() - 2
    config = GeneratorConfig(
        z_dim=6,
        w_dim=8,
        image_shape=(channels, size, size),
        channels=(6, 5, 4, 3, 3)[:blocks],
        mapping_widths=(8, 8),
        label_dim=label_dim,
        label_embed_dim=4 if label_dim else 0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(config)
        generator.w_avg.copy_(torch.randn(config.w_dim))
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.data.fill_(0.1)
    return generator.eval().requires_grad_(False)


def small_label_generator(generator, members=3, hidden=(5, 4), spec=SPEC, seed=1, **changes):
    """
    A label generator of that generator's images whose weights follow from `seed`.
    """
    stream = torch.Generator().manual_seed(seed)
    shapes = tuple(tuple(shape) for shape in generator.feature_shapes)
    channels = sum(shape[0] for shape in shapes)
    widths = (channels, *hidden, head_of(spec).outputs)
    drawn = []
    for i, o in itertools.pairwise(widths):
        drawn.append(torch.randn(members, o, i, generator=stream) / i**0.5)
        drawn.append(torch.randn(members, o, generator=stream))
    facts = {
        "layers": Layers(*drawn),
        "spec": spec,
        "size": generator.image_shape[1:],
        "vote": Vote.SOFT,
        "feature_shapes": shapes,
        "generator_sha256": "0" * 64,
    }
    return LabelGenerator(**{**facts, **changes})

"""Names and shapes of an encoder's tensors, told from its description. No network is made.

Making one on torch's meta device says the same, but its first arithmetic there loads 150 MB of
Python modules and takes seconds.
"""

import itertools
from collections.abc import Iterator

from models.encoders.backbones import BLOCKS
from models.encoders.config import SQUEEZE, Backbone, EncoderConfig, Head
from models.encoders.heads import DENSE_POOLED, DENSE_WIDTH, POOLED, halvings_of

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]


def shapes_of(config: EncoderConfig) -> dict[str, Shape]:
    """Keys and shapes of `own_tensors(Encoder(config))`."""
    shapes: dict[str, Shape] = {"latent_avg": (config.num_ws, config.w_dim)}
    shapes |= {f"backbone.{key}": shape for key, shape in _BACKBONES[config.backbone](config)}
    return shapes | {f"head.{key}": shape for key, shape in _HEADS[config.head](config)}


def _ir_se50(config: EncoderConfig) -> Named:
    first = config.channels[0]
    yield "input_layer.0.weight", (first, config.in_channels, 3, 3)
    yield from _norm("input_layer.1", first)
    yield "input_layer.2.weight", (first,)
    for name, before, after, _ in _blocks(config):
        if before != after:
            yield from _shortcut(f"{name}.shortcut_layer", before, after)
        layers = f"{name}.res_layer"
        yield from _norm(f"{layers}.0", before)
        yield f"{layers}.1.weight", (after, before, 3, 3)
        yield f"{layers}.2.weight", (after,)
        yield f"{layers}.3.weight", (after, after, 3, 3)
        yield from _norm(f"{layers}.4", after)
        yield f"{layers}.5.fc1.weight", (after // SQUEEZE, after, 1, 1)
        yield f"{layers}.5.fc2.weight", (after, after // SQUEEZE, 1, 1)


def _resnet34(config: EncoderConfig) -> Named:
    first = config.channels[0]
    yield "conv1.weight", (first, config.in_channels, 7, 7)
    yield from _norm("bn1", first)
    yield "relu.weight", (first,)
    for name, before, after, halves in _blocks(config):
        yield f"{name}.conv1.weight", (after, before, 3, 3)
        yield from _norm(f"{name}.bn1", after)
        yield f"{name}.conv2.weight", (after, after, 3, 3)
        yield from _norm(f"{name}.bn2", after)
        if halves or before != after:
            yield from _shortcut(f"{name}.downsample", before, after)


def _small(config: EncoderConfig) -> Named:
    yield from _with_bias("input_layer", config.channels[0], config.in_channels, 5, 5)
    for index, (before, after) in enumerate(itertools.pairwise(config.channels)):
        yield from _with_bias(f"halvings.{index}", after, before, 3, 3)
        yield from _with_bias(f"blocks.{index}.conv1", after, after, 3, 3)
        yield from _with_bias(f"blocks.{index}.conv2", after, after, 3, 3)


def _blocks(config: EncoderConfig) -> Iterator[tuple[str, int, int, bool]]:
    """Name, widths before and after, and whether it halves the map, of each block of the body.

    The very first of an IR-SE50 halves too; but that shows in no shape.
    """
    index, before = 0, config.channels[0]
    for stage, (count, after) in enumerate(
        zip(BLOCKS[config.backbone], config.channels, strict=True)
    ):
        for place in range(count):
            yield f"body.{index}", before, after, stage > 0 and place == 0
            index, before = index + 1, after


def _shortcut(name: str, before: int, after: int) -> Named:
    yield f"{name}.0.weight", (after, before, 1, 1)
    yield from _norm(f"{name}.1", after)


def _norm(name: str, width: int) -> Named:
    """BatchNorm's, its counter left out."""
    for kind in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{kind}", (width,)


def _with_bias(name: str, outs: int, *rest: int) -> Named:
    """A linear layer's, whose weight is [outs, ins], or a convolution's: [outs, ins, k, k]."""
    yield f"{name}.weight", (outs, *rest)
    yield f"{name}.bias", (outs,)


def _style(name: str, ins: int, width: int, halvings: int) -> Named:
    """A map-to-style block; every other of its layers has no tensors."""
    for index in range(halvings):
        yield from _with_bias(f"{name}.convs.{2 * index}", width, width if index else ins, 3, 3)
    yield from _with_bias(f"{name}.linear", width, width)


def _fpn(config: EncoderConfig) -> Named:
    _, fine, middle, coarse = config.channels
    for code in range(config.num_codes):
        yield from _style(f"styles.{code}", coarse, config.w_dim, halvings_of(code))
    yield from _with_bias("latlayer1", coarse, middle, 1, 1)
    yield from _with_bias("latlayer2", coarse, fine, 1, 1)


def _last_map(config: EncoderConfig) -> Named:
    for code in range(config.num_codes):
        yield from _style(f"styles.{code}", config.channels[-1], config.w_dim, 4)


def _w(config: EncoderConfig) -> Named:
    yield from _with_bias("linear", config.w_dim, config.channels[-1])


def _w_plus(config: EncoderConfig) -> Named:
    width = config.channels[-1]
    yield from _norm("output_layer_2.0", width)
    yield from _with_bias("output_layer_2.3", config.w_dim, width * POOLED**2)
    yield from _with_bias("linear", config.w_dim * config.num_codes, config.w_dim)


def _dense(config: EncoderConfig) -> Named:
    ins = config.channels[-1] * DENSE_POOLED**2
    yield from _with_bias("hidden", DENSE_WIDTH, ins)
    yield from _with_bias("linear", config.w_dim * config.num_codes, DENSE_WIDTH)


_BACKBONES = {Backbone.IR_SE50: _ir_se50, Backbone.RESNET34: _resnet34, Backbone.SMALL: _small}
_HEADS = {
    Head.FPN: _fpn,
    Head.LAST_MAP: _last_map,
    Head.W: _w,
    Head.W_PLUS: _w_plus,
    Head.DENSE: _dense,
}

"""Generators as stylegan2-ada-pytorch and stylegan3 write them: a pickled network object.

The settings are read from the attributes that the objects carry, for files do not record
defaults. Keys differ from ours in spelling only; no weight is changed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.neutral import build_generator
from models.checkpoints.unpickle import PersistedObject
from models.errors import CheckpointError
from models.stylegan2.config import Architecture, GeneratorConfig
from models.stylegan2.networks import Generator

NETWORKS = ("G_ema", "G")
MAX_DEPTH = 16


def recognises(root: Any) -> bool:
    """Whether `root` is a snapshot {G, D, G_ema, ..} or a single generator of this family."""
    return _network(root) is not None


def build(root: Any, source: str) -> Generator:
    """The averaged generator of a snapshot, or the only one.

    Raises:
        CheckpointError: another kind of network, or weights that do not fit the settings.
    """
    network = _network(root)
    assert network is not None
    tensors = dict(_tensors(network))
    if "synthesis.input.freqs" in tensors:
        raise CheckpointError(f"{source} holds a StyleGAN3 network, not StyleGAN2")
    if "synthesis.b4.const" not in tensors:
        raise CheckpointError(f"{source} holds no StyleGAN2 generator: no synthesis.b4.const")
    try:
        config = _config(network, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: {type(error).__name__}: {error}") from error
    return build_generator(config, _renamed(tensors), source)


def _network(root: Any) -> PersistedObject | None:
    """The generator object to read."""
    candidates = [root.get(name) for name in NETWORKS] if isinstance(root, dict) else [root]
    for candidate in candidates:
        if isinstance(candidate, PersistedObject) and candidate.class_name == "Generator":
            return candidate
    return None


def _objects(node: PersistedObject, prefix: str = "") -> Iterator[tuple[str, PersistedObject]]:
    """Every object below `node` with its dotted prefix, itself first."""
    if prefix.count(".") > MAX_DEPTH:
        raise CheckpointError(f"modules are nested deeper than {MAX_DEPTH}: {prefix}")
    yield prefix, node
    for name, child in (node.state.get("_modules") or {}).items():
        if isinstance(child, PersistedObject):
            yield from _objects(child, f"{prefix}{name}.")


def _tensors(network: PersistedObject) -> Iterator[tuple[str, Tensor]]:
    """State-dict names and tensors."""
    for prefix, node in _objects(network):
        for kind in ("_parameters", "_buffers"):
            for name, value in (node.state.get(kind) or {}).items():
                if isinstance(value, Tensor):
                    yield f"{prefix}{name}", value


def _attribute(network: PersistedObject, ending: str, name: str, default: Any = None) -> set[Any]:
    """The values that attribute `name` has in all objects whose prefix ends in `ending`."""
    return {
        node.state.get(name, default)
        for prefix, node in _objects(network)
        if re.search(ending + r"\.$", prefix)
    }


def _single(values: set[Any], what: str) -> Any:
    """The one value all layers share; mixtures are not supported."""
    if len(values) != 1:
        raise ValueError(f"layers differ in {what}: {values}")
    return values.pop()


def _config(network: PersistedObject, tensors: Mapping[str, Tensor]) -> GeneratorConfig:
    """The settings, from shapes where they are there and from attributes where not."""
    sizes = sorted({int(m[1]) for k in tensors if (m := re.match(r"synthesis\.b(\d+)\.", k))})
    widths = _mapping_widths(tensors)
    embed = tensors.get("mapping.embed.weight")
    embedded = 0 if embed is None else embed.shape[0]
    rows, columns = tensors["synthesis.b4.const"].shape[1:]
    scale = sizes[-1] // rows
    layers = r"b\d+\.(conv\d|torgb)"
    activation = _single(_attribute(network, r"b\d+\.conv\d", "activation", "lrelu"), "activation")
    if activation != "lrelu":
        raise ValueError(f"activation {activation!r} is not supported")
    return GeneratorConfig(
        z_dim=tensors["mapping.fc0.weight"].shape[1] - embedded,
        w_dim=widths[-1],
        image_shape=(tensors["synthesis.b4.torgb.weight"].shape[0], rows * scale, columns * scale),
        channels=tuple(tensors[f"synthesis.b{r}.conv1.weight"].shape[0] for r in sizes),
        mapping_widths=widths,
        label_dim=0 if embed is None else embed.shape[1],
        label_embed_dim=embedded,
        mapping_lr_multiplier=float(_single(_attribute(network, r"fc\d+", "bias_gain", 0.01), "m")),
        conv_clamp=_single(_attribute(network, layers, "conv_clamp"), "conv_clamp"),
        fir=_fir(tensors),
        use_noise="synthesis.b4.conv1.noise_const" in tensors,
        architecture=Architecture(
            _single(_attribute(network, r"\.b\d+", "architecture", "skip"), "architecture")
        ),
    )


def _mapping_widths(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Output widths of mapping.fc0, fc1, ..."""
    count = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", key)) for key in tensors)
    return tuple(tensors[f"mapping.fc{i}.weight"].shape[0] for i in range(count))


def _fir(tensors: Mapping[str, Tensor]) -> tuple[float, ...]:
    """The taps of the resampling filter, which must be separable; 1, 3, 3, 1 where none is kept."""
    kernel = tensors.get("synthesis.b4.resample_filter")
    return (1.0, 3.0, 3.0, 1.0) if kernel is None else separable_taps(kernel)


def separable_taps(kernel: Tensor) -> tuple[float, ...]:
    """kernel [T, T] = outer(taps, taps) / sum: its taps, an even number of them.

    Raises:
        ValueError: the kernel is not such a product.
    """
    kernel = kernel.double()
    taps = kernel.sum(dim=0) / kernel.sum().sqrt()
    if not torch.allclose(torch.outer(taps, taps), kernel, rtol=1e-4, atol=1e-6):
        raise ValueError("the resampling filter is not separable")
    pad = [0.0] if len(taps) % 2 else []
    return tuple(pad + [round(tap, 9) for tap in taps.tolist()])


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys as ours; filters are left out, for they follow from the settings."""
    renamed = {}
    for key, tensor in tensors.items():
        if key.endswith("resample_filter"):
            continue
        key = re.sub(r"^mapping\.fc(\d+)\.", r"mapping.layers.\1.", key)
        key = re.sub(r"^synthesis\.b(\d+)\.", r"synthesis.blocks.\1.", key)
        key = key.replace("synthesis.blocks.4.const", "synthesis.constant")
        renamed[key.replace(".torgb.", ".to_rgb.")] = tensor
    return renamed

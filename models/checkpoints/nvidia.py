"""Generators as stylegan2-ada-pytorch and stylegan3 write them: pickled network objects.

StyleGAN-Human and PTI write the same. The settings are read from the attributes that the objects
carry, for files do not record defaults. Keys differ from ours in spelling only; no weight is
changed.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.completion import complete
from models.checkpoints.memory import check_own_numbers
from models.checkpoints.neutral import build_generator
from models.checkpoints.notes import Notes
from models.checkpoints.nvidia_objects import Objects
from models.checkpoints.pickles.stand_ins import printable
from models.checkpoints.refusals import DISCRIMINATOR, STYLEGAN3, STYLEGAN_XL
from models.checkpoints.unpickle import PersistedObject
from models.errors import CheckpointError
from models.stylegan2.config import MAX_TAPS, Architecture, GeneratorConfig
from models.stylegan2.networks import Generator

NETWORKS = ("G_ema", "G")
MEANINGS = {
    "G": "the generator before averaging",
    "D": "the discriminator",
    "augment_pipe": "the augmentation of the training images",
    "training_set_kwargs": "where the training images were",
}
"""What snapshots hold beside the network that is read."""

STYLEGAN2_WANTED = "the stylegan3 repository trains one with --cfg=stylegan2"
STANDARD_FIR = (1.0, 3.0, 3.0, 1.0)
BLOCK = r"synthesis\.b\d+"


def recognises(root: Any) -> bool:
    """Whether `root` is a snapshot {G, D, G_ema, ..} or a single network of this family."""
    if not isinstance(root, dict):
        return isinstance(root, PersistedObject)
    return any(isinstance(value, PersistedObject) for value in root.values())


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The averaged generator of a snapshot, or the only one.

    Raises:
        CheckpointError: another kind of network, or weights that do not fit the settings.
    """
    network = _network(root, source, notes)
    try:
        objects = Objects.of(network)
        tensors = objects.tensors()
        _refuse_others(network.class_name, tensors, source)
        check_own_numbers(tensors.values(), source)
        config = _config(objects, tensors, notes)
    except KeyError as error:
        problem = f"{source}: not a whole StyleGAN2 generator, no {error.args[0]}"
        raise CheckpointError(problem) from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: {error}") from error
    return build_generator(config, complete(config, renamed(tensors), notes), source)


def _network(root: Any, source: str, notes: Notes) -> PersistedObject:
    """The generator object to read."""
    if isinstance(root, PersistedObject):
        return root
    name = next((n for n in NETWORKS if isinstance(root.get(n), PersistedObject)), None)
    if name is None:
        found = {v.class_name for v in root.values() if isinstance(v, PersistedObject)}
        raise CheckpointError(f"{source} holds {_without_generator(found)}")
    if name != NETWORKS[0]:
        notes.inferred.append(f"network: {name}, for the file has no averaged one")
    for key, value in list(root.items())[:12]:
        if isinstance(key, str) and key != name and value is not None:
            meaning = f": {MEANINGS[key]}" if key in MEANINGS else ""
            notes.ignored.append(f"{printable(key)}{meaning}")
    return root[name]  # type: ignore[no-any-return]  # found to be one above


def _without_generator(class_names: set[str]) -> str:
    """What a file with networks of these classes is, none of them a generator."""
    if class_names == {"Discriminator"}:
        return DISCRIMINATOR
    names = ", ".join(sorted(map(printable, class_names))[:8])
    return f"no generator (G_ema or G) of NVIDIA's repositories, only {names}"


def _refuse_others(class_name: str, tensors: Mapping[str, Tensor], source: str) -> None:
    """Networks of this family that are no StyleGAN2 generators."""
    if "synthesis.b4.const" in tensors:
        return
    average = tensors.get("mapping.w_avg")
    if average is not None and average.ndim == 2:  # one for each class
        raise CheckpointError(f"{source} holds {STYLEGAN_XL}")
    if "synthesis.input.freqs" in tensors:
        raise CheckpointError(f"{source} holds {STYLEGAN3}; {STYLEGAN2_WANTED}")
    raise CheckpointError(f"{source} holds {_without_generator({class_name})}")


def _config(objects: Objects, tensors: Mapping[str, Tensor], notes: Notes) -> GeneratorConfig:
    """The settings, from shapes where they are there and from attributes where not."""
    sizes = resolutions(tensors)
    shape = partial(_shape, tensors)
    labelled = "mapping.embed.weight" in tensors
    embedded, labels = shape("mapping.embed.weight", 2) if labelled else (0, 0)
    depth = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", key)) for key in tensors)
    widths = tuple(shape(f"mapping.fc{i}.weight", 2)[0] for i in range(max(depth, 1)))
    rows, columns = (n << (len(sizes) - 1) for n in shape("synthesis.b4.const", 3)[1:])
    return GeneratorConfig(
        z_dim=shape("mapping.fc0.weight", 2)[1] - embedded,
        w_dim=widths[-1],
        image_shape=(shape(f"synthesis.b{sizes[-1]}.torgb.weight", 4)[0], rows, columns),
        channels=tuple(shape(f"synthesis.b{r}.conv1.weight", 4)[0] for r in sizes),
        mapping_widths=widths,
        label_dim=labels,
        label_embed_dim=embedded,
        mapping_lr_multiplier=_lr_multiplier(objects),
        conv_clamp=_conv_clamp(objects),
        fir=_fir(tensors, notes),
        use_noise=any(key.endswith(".noise_strength") for key in tensors),
        architecture=Architecture(str(objects.common(BLOCK, "architecture", "skip"))),
        half_from=_half_from(objects, sizes),
    )


def resolutions(keys: Mapping[str, object]) -> list[int]:
    """Rows of each synthesis block, 4, 8, ..: as many as there are keys of blocks for."""
    count = len({m[1] for key in keys if (m := re.match(r"synthesis\.b(\d+)\.", key))})
    return [4 << index for index in range(min(count, 64))]


def _shape(tensors: Mapping[str, Tensor], key: str, axes: int) -> tuple[int, ...]:
    """The shape of a tensor that must be there and have so many axes."""
    found = tuple(tensors[key].shape)
    if len(found) != axes:
        raise ValueError(f"{key} is {list(found)}, expected {axes} axes")
    return found


def _lr_multiplier(objects: Objects) -> float:
    """The factor m of the mapping; every layer must be a leaky ReLU layer."""
    for layers in (r"mapping\.fc\d+", BLOCK + r"\.conv\d"):
        activation = objects.common(layers, "activation", "lrelu")
        if activation != "lrelu":
            raise ValueError(f"activation {activation!r} is not supported, only 'lrelu'")
    return _number(objects.common(r"mapping\.fc\d+", "bias_gain", 0.01), "bias_gain")


def _conv_clamp(objects: Objects) -> float | None:
    """What activations and image layers are clipped to."""
    clamp = objects.common(BLOCK + r"\.(conv\d|torgb)", "conv_clamp")
    return None if clamp is None else _number(clamp, "conv_clamp")


def _number(value: object, name: str) -> float:
    if not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, not a number")
    return float(value)


def _half_from(objects: Objects, sizes: list[int]) -> int | None:
    """Rows of the first block from which on all run in half precision."""
    asked = objects.settings(BLOCK, "use_fp16", False)
    first = None
    for size in reversed(sizes):
        if not asked.get(f"synthesis.b{size}"):
            break
        first = size
    return first


def _fir(tensors: Mapping[str, Tensor], notes: Notes) -> tuple[float, ...]:
    """The taps of the filter that enlarges; layers that do not enlarge carry one without using it.

    Raises:
        ValueError: layers have different filters, or one that does not keep brightness.
    """
    enlarging = re.compile(BLOCK + r"\.((conv0|skip)\.)?resample_filter")
    kernels = [tensor for key, tensor in tensors.items() if enlarging.fullmatch(key)]
    if not kernels:
        notes.inferred.append("resampling filter: 1, 3, 3, 1, not in the file")
        return STANDARD_FIR
    if not all(kernel.numel() <= MAX_TAPS**2 for kernel in kernels):
        raise ValueError(f"a resampling filter of more than {MAX_TAPS} taps")
    if not all(torch.equal(kernel.double(), kernels[0].double()) for kernel in kernels):
        raise ValueError("layers differ in their resampling filter")
    if abs(kernels[0].double().sum().item() - 1) > 0.01:
        raise ValueError("the resampling filter does not sum to 1")
    return separable_taps(kernels[0])


def separable_taps(kernel: Tensor) -> tuple[float, ...]:
    """The taps of a filter: an even number of them, an odd one gets a 0 before it.

    Args:
        kernel: [T, T] = outer(taps, taps), or [T], the taps.

    Raises:
        ValueError: the kernel is not such a product.
    """
    # Kernels stored in half precision are only as much of a product as their rounding allows.
    tolerance = 1e-4 if kernel.dtype in (torch.float32, torch.float64) else 4e-3
    kernel = kernel.double()
    if kernel.ndim not in (1, 2) or kernel.shape[0] != kernel.shape[-1]:
        raise ValueError(f"the resampling filter is {list(kernel.shape)}, not square")
    taps = kernel
    if kernel.ndim == 2:
        taps = kernel.sum(dim=0) / kernel.sum().sqrt()
        if not torch.allclose(torch.outer(taps, taps), kernel, rtol=tolerance, atol=1e-6):
            raise ValueError("the resampling filter is not separable")
    pad = [0.0] if len(taps) % 2 else []
    return tuple(pad + [round(tap, 9) for tap in taps.tolist()])


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys as ours; filters are left out, for they follow from the settings."""
    ours = {}
    for key, tensor in tensors.items():
        if key.endswith("resample_filter"):
            continue
        key = re.sub(r"^mapping\.fc(\d+)\.", r"mapping.layers.\1.", key)
        key = re.sub(r"^synthesis\.b(\d+)\.", r"synthesis.blocks.\1.", key)
        key = key.replace("synthesis.blocks.4.const", "synthesis.constant")
        ours[key.replace(".torgb.", ".to_rgb.")] = tensor
    return ours

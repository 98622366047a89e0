"""Latents that other programs leave, read without running a byte of them.

| file | what it holds |
|---|---|
| ours, safetensors | tensor `latents` and, in the metadata, `keys`: a JSON list of names |
| `.npy` array | [N, n, w] (HandsOff, EditGAN) or [N, w] (one code per image; DatasetGAN: z) |
| `.npy` of a pickled dictionary | {name: list of arrays [n, w]}, the last counts (ReStyle) |
| `.npz` | array `w` [1, n, w] (NVIDIA's projector), or any one array |
| torch or pickle file | a tensor (PTI's pivots, e4e), {name: tensor or list of tensors}, or |
| | {name: {img, latent, noise}} (rosinality's projector) |
| `{i}_{start}.pickle` | [{latent, image_name, ..}], z of generated images (DatasetGAN, EditGAN, |
| | HandsOff) |
| folder | files `latents_image_{id}.npy`, [n, w] each (EditGAN, HandsOff) |

n is num_ws, w is w_dim. Knows no generator: whether the numbers fit one is the caller's question.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.checkpoints.containers import read_contents
from models.checkpoints.memory import check_own_numbers
from models.checkpoints.sniff import FileKind, sniff
from models.errors import CheckpointError

ARRAY_NAMES = ("w", "ws", "w_plus", "latents", "latent")
"""Entries of a file with several arrays that hold the latents."""

_FOLDER_FILE = re.compile(r"latents_image_(\d+)\.npy")
_ENOUGH_FOR_STATISTICS = 4096


@dataclass(frozen=True)
class Latents:
    """The latents of N images.

    Attributes:
        codes: float32 [N, num_ws, w_dim], or [N, 1, w_dim] for one code per image; finite.
        names: of the images, as the file spells them, in the rows' order; None without names.
        are_z: whether the file's kind says that these are inputs of the mapping.
    """

    codes: Tensor
    names: tuple[str, ...] | None
    are_z: bool = False

    @property
    def look_like_z(self) -> bool:
        """Whether these are rather inputs of the mapping: single codes, standard normal."""
        if self.are_z:
            return True
        count = self.codes.numel()
        if self.codes.shape[1] != 1 or count < _ENOUGH_FOR_STATISTICS:
            return False
        numbers = self.codes.double().flatten()
        moments = [float((numbers**k).mean()) for k in (1, 2, 3, 4)]
        # Standard deviations of these means for N(0, 1) are 1, 1.4, 3.9 and 9.8 / sqrt(count).
        expected, spread = (0.0, 1.0, 0.0, 3.0), (1.0, 1.42, 3.88, 9.8)
        return all(
            abs(moment - mean) < 6 * s / count**0.5
            for moment, mean, s in zip(moments, expected, spread, strict=True)
        )


def read_latents(path: Path) -> Latents:
    """The latents in a file or folder of any kind above, found by content.

    Raises:
        CheckpointError: none of these, damaged, or numbers that are not finite.
    """
    try:
        found = _in_folder(path) if path.is_dir() else _in_file(path)
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no latents: {error}") from error
    if not found.codes.numel() or not found.codes.isfinite().all():
        raise CheckpointError(f"{path}: latents must be finite numbers, and some")
    if found.names is not None and len(set(found.names)) != len(found.codes):
        raise CheckpointError(f"{path}: {len(set(found.names))} names, {len(found.codes)} latents")
    return found


def _in_folder(path: Path) -> Latents:
    """One file per image, in the order of their numbers."""
    files = [(int(m[1]), f) for f in path.iterdir() if (m := _FOLDER_FILE.fullmatch(f.name))]
    if not files:
        raise CheckpointError(f"{path} is a folder without files latents_image_<number>.npy")
    codes = [_codes(read_contents(file).root) for _, file in sorted(files)]
    return Latents(_stacked(codes), tuple(str(number) for number, _ in sorted(files)))


def _in_file(path: Path) -> Latents:
    """What one file holds."""
    if sniff(path) is FileKind.SAFETENSORS:
        return _in_safetensors(path)
    root = read_contents(path).root
    if isinstance(root, np.ndarray) and root.dtype == object and root.size == 1:
        root = root.item()  # a dictionary saved as if it were an array
    if isinstance(root, Mapping):
        return _in_dictionary(root)
    if isinstance(root, list) and root and all(map(_is_of_index, root)):
        codes = _stacked([_codes(entry) for entry in root])
        return Latents(codes, tuple(str(entry["image_name"]) for entry in root), are_z=True)
    return Latents(_rows(_tensor(root)), None)


def _in_safetensors(path: Path) -> Latents:
    """Our own file."""
    try:
        with safe_open(path, framework="pt") as tensors:
            names = (tensors.metadata() or {}).get("keys")
            codes = _rows(tensors.get_tensor("latents"))
    except SafetensorError as error:
        problem = f"{path}: not a safetensors file with a tensor `latents`: {error}"
        raise CheckpointError(problem) from error
    return Latents(codes, None if names is None else tuple(map(str, json.loads(names))))


def _in_dictionary(root: Mapping[Any, Any]) -> Latents:
    """An archive of arrays, or latents by the images' names."""
    for name in ARRAY_NAMES:
        if isinstance(root.get(name), Tensor | np.ndarray):
            return Latents(_rows(_tensor(root[name])), None)
    if not root:
        raise ValueError("it is empty")
    only = next(iter(root.values()))
    if len(root) == 1 and isinstance(only, np.ndarray) and only.ndim == 3:
        return Latents(_rows(_tensor(only)), None)
    codes = _stacked([_codes(value) for value in root.values()])
    return Latents(codes, tuple(str(name) for name in root))


def _is_of_index(entry: Any) -> bool:
    """Whether this is an entry of the list that goes with generated images."""
    return isinstance(entry, Mapping) and "latent" in entry and "image_name" in entry


def _codes(value: Any) -> Tensor:
    """One image's latents [num_ws or 1, w_dim]."""
    if isinstance(value, Mapping):
        value = value.get("latent")
    if isinstance(value, list | tuple) and value:
        value = value[-1]  # one for each step of the search; the last is the result
    tensor = _tensor(value)
    if tensor.ndim == 1:
        return tensor[None]
    if tensor.ndim == 3 and len(tensor) == 1:
        return tensor[0]
    if tensor.ndim != 2:
        raise ValueError(f"one image's latents have the shape {list(tensor.shape)}")
    return tensor


def _stacked(codes: Sequence[Tensor]) -> Tensor:
    """float32 [N, num_ws or 1, w_dim] of N images' latents, whose numbers must be their own."""
    check_own_numbers(codes, "latents")
    return torch.stack([code.float() for code in codes])


def _rows(tensor: Tensor) -> Tensor:
    """[w], [N, w] or [N, n, w] as float32 [N, n or 1, w]."""
    check_own_numbers([tensor], "latents")
    tensor = tensor.float()
    if tensor.ndim == 1:
        return tensor[None, None]
    if tensor.ndim == 2:
        return tensor[:, None]
    if tensor.ndim != 3:
        raise ValueError(f"an array of shape {list(tensor.shape)} is not [N, num_ws, w_dim]")
    return tensor


def _tensor(value: Any) -> Tensor:
    """The numbers of an array or a tensor, not copied: they may be there often."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return torch.from_numpy(value)
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach()
    found = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ValueError(f"found {found} where an array of floats should be")

"""Files of latents: ours, and the plain arrays that other programs leave.

safetensors: tensor `latents` float32 [N, num_ws, w_dim]; metadata `keys` is a JSON list of the
images' keys, in the rows' order. `.npy` (no pickles): the same array, in the dataset's order.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.errors import InvalidLatents

_NPY = b"\x93NUMPY"


def write_latents(path: Path, latents: Tensor, keys: Sequence[str]) -> None:
    """Write latents [N, num_ws, w_dim] of the images `keys`."""
    save_file({"latents": latents.contiguous()}, path, metadata={"keys": json.dumps(list(keys))})


def read_latents(path: Path, keys: Sequence[str], shape: tuple[int, int]) -> Tensor:
    """The latents of the images `keys`, in that order.

    Args:
        path: a file of either kind; more images than wanted do no harm where it names them.
        keys: of N images.
        shape: (num_ws, w_dim) of the generator. One w per image [N, w_dim] is repeated.

    Returns:
        float32 [N, num_ws, w_dim].

    Raises:
        InvalidLatents: it is no such file, lacks an image, or has another shape.
    """
    latents, names = _read(path)
    if latents.ndim == 2:
        latents = latents[:, None].expand(-1, shape[0], -1)
    if latents.ndim != 3 or tuple(latents.shape[1:]) != shape or not latents.isfinite().all():
        wanted = f"finite numbers [{len(keys)}, {shape[0]}, {shape[1]}]"
        raise InvalidLatents(f"latents must be {wanted}; the file holds {list(latents.shape)}")
    if names is not None:
        return latents[_rows(names, keys)].contiguous()
    if len(latents) != len(keys):
        raise InvalidLatents(f"the file holds {len(latents)} latents for {len(keys)} images")
    return latents.contiguous()


def _read(path: Path) -> tuple[Tensor, list[str] | None]:
    """A file's array and, if it names them, its images' keys."""
    with path.open("rb") as file:
        is_npy = file.read(len(_NPY)) == _NPY
    try:
        if is_npy:
            return torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32)), None
        with safe_open(path, framework="pt") as tensors:
            names = (tensors.metadata() or {}).get("keys")
            latents = tensors.get_tensor("latents").float()
    except (SafetensorError, ValueError, OSError) as error:
        raise InvalidLatents(
            f"the file is neither safetensors with a tensor `latents` nor a plain .npy: {error}"
        ) from error
    return latents, None if names is None else [str(name) for name in json.loads(names)]


def _rows(names: Sequence[str], keys: Sequence[str]) -> list[int]:
    """Where the file holds each of `keys`."""
    missing = sorted(set(keys) - set(names))
    if missing:
        raise InvalidLatents(f"the file has no latents of {', '.join(missing[:5])}")
    return [names.index(key) for key in keys]

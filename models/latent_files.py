"""Files of latents and the images they belong to: ours, and whatever other programs leave.

Ours is safetensors: tensor `latents` float32 [N, num_ws, w_dim]; metadata `keys` is a JSON list of
the images' keys, in the rows' order. `models.checkpoints.latents` reads this and all others.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints import latents as files
from models.errors import CheckpointError, InvalidLatents
from models.stylegan2.networks import Generator


@dataclass(frozen=True)
class GivenLatents:
    """Latents that were found elsewhere.

    Attributes:
        codes: float32 [N, num_ws, w_dim], in the order of the images that were asked for.
        mapped_from_z: whether the file held inputs of the mapping, which were mapped.
    """

    codes: Tensor
    mapped_from_z: bool


def write_latents(path: Path, latents: Tensor, keys: Sequence[str]) -> None:
    """Write latents [N, num_ws, w_dim] of the images `keys`."""
    save_file({"latents": latents.contiguous()}, path, metadata={"keys": json.dumps(list(keys))})


def read_latents(path: Path, keys: Sequence[str], generator: Generator) -> GivenLatents:
    """The latents of the images `keys`.

    Args:
        path: a file of any kind; more images than wanted do no harm where it names them.
        keys: of N images. A file that names images may do so with folders and endings.
        generator: that the latents are of. One code per image is repeated for every layer.

    Raises:
        InvalidLatents: it is no such file, lacks an image, or does not fit the generator.
    """
    try:
        found = files.read_latents(path)
    except CheckpointError as error:
        raise InvalidLatents(f"the file cannot be read as latents: {error}") from error
    from_z = _are_inputs(found, generator)
    codes = _mapped(found, generator) if from_z else _repeated(found, generator)
    if found.names is not None:
        codes = codes[_rows(found.names, keys)]
    elif len(codes) != len(keys):
        raise InvalidLatents(f"the file holds {len(codes)} latents for {len(keys)} images")
    return GivenLatents(codes.contiguous(), from_z)


def _are_inputs(found: files.Latents, generator: Generator) -> bool:
    """Whether the latents are to be mapped.

    Raises:
        InvalidLatents: they are z for sure, and not this generator's.
    """
    width = found.codes.shape[2]
    fits = width == generator.z_dim and not generator.label_dim
    if found.are_z and not fits:
        also = " and a label beside them" if generator.label_dim else ""
        raise InvalidLatents(
            f"the file holds z of {width} numbers; the generator takes {generator.z_dim}{also}"
        )
    return found.look_like_z and fits


@torch.no_grad()
def _mapped(found: files.Latents, generator: Generator) -> Tensor:
    """float32 [M, num_ws, w_dim] of z, on the CPU."""
    return generator.map(found.codes[:, 0].to(generator.w_avg)).cpu()


def _repeated(found: files.Latents, generator: Generator) -> Tensor:
    """float32 [M, num_ws, w_dim] of w, one code repeated for every layer."""
    count, layers, width = found.codes.shape
    if layers not in (1, generator.num_ws) or width != generator.w_dim:
        wanted = f"[{count}, {generator.num_ws} or 1, {generator.w_dim}]"
        problem = f"latents must be {wanted}; the file holds {list(found.codes.shape)}"
        hint = ", which look like z and not like w" if found.look_like_z else ""
        raise InvalidLatents(problem + hint)
    return found.codes.expand(-1, generator.num_ws, -1)


def _rows(names: Sequence[str], keys: Sequence[str]) -> list[int]:
    """Where the file holds each of `keys`: under its name, or else that of a file of this key."""
    exactly = {name: row for row, name in enumerate(names)}
    loosely: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        loosely.setdefault(PurePath(name).stem, []).append(row)
    if missing := sorted(key for key in keys if key not in exactly and key not in loosely):
        raise InvalidLatents(f"the file has no latents of {', '.join(missing[:5])}")
    places = {key: [exactly[key]] if key in exactly else loosely[key] for key in keys}
    if several := sorted(key for key, rows in places.items() if len(rows) > 1):
        raise InvalidLatents(f"the file has several latents of {', '.join(several[:5])}")
    return [places[key][0] for key in keys]

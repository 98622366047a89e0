"""Generators of NVIDIA's repositories as state dictionaries: `torch.save(G.state_dict())`.

Such a file has lost the attributes of the objects; what shapes do not say is assumed to be as
both repositories train by default, and noted.
"""

from dataclasses import replace
from typing import Any

from models.checkpoints import nvidia
from models.checkpoints.completion import complete
from models.checkpoints.neutral import build_generator
from models.checkpoints.notes import Notes
from models.checkpoints.renaming import described
from models.checkpoints.state_dicts import find, note_ignored
from models.stylegan2.networks import Generator

NETWORKS = (*nvidia.NETWORKS, "g_ema", "generator", "state_dict", "model")
SIGNATURE = ("synthesis.b4.const", "synthesis.b4.conv1.weight", "mapping.fc0.weight")
KERNEL = "synthesis.b4.resample_filter"
CONV_CLAMP = 256.0


def recognises(root: Any) -> bool:
    """Whether `root` is or holds a state dictionary in NVIDIA's spelling."""
    return find(root, NETWORKS, SIGNATURE) is not None


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The averaged generator, or the only one.

    Raises:
        CheckpointError: weights that are not a whole generator; the message names a key.
    """
    found = find(root, NETWORKS, SIGNATURE)
    assert found is not None
    name, state = found
    tensors, blocks = nvidia.renamed(state), len(nvidia.resolutions(state))
    config = described(tensors, blocks, source, notes, state.get(KERNEL))
    config = replace(config, conv_clamp=CONV_CLAMP)
    notes.inferred.append(f"conv_clamp: {CONV_CLAMP:g}, not in the file")
    if name:
        note_ignored(root, (name,), notes)
    return build_generator(config, complete(config, tensors, notes), source)

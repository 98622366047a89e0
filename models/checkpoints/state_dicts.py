"""State dictionaries inside the objects of a file, and what lies beside them.

Knows no family: callers say under which names and with which keys theirs stands.
"""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from models.checkpoints.notes import Notes

DESCRIBED = {
    "g": "the generator before averaging",
    "d": "the discriminator",
    "D": "the discriminator",
    "discriminator": "the discriminator",
    "g_optim": "the optimiser's state",
    "d_optim": "the optimiser's state",
    "optimizer": "the optimiser's state",
    "args": "settings of the training",
    "meta": "settings of the training",
    "ada_aug_p": "strength of the augmentation",
}
"""What is known to lie beside a generator."""

_SHOWN = 12


def tensors_of(candidate: Any) -> dict[str, Tensor]:
    """The named tensors of a dictionary, less the prefix of torch's parallel wrappers."""
    if not isinstance(candidate, dict):
        return {}
    return {
        key.removeprefix("module."): value
        for key, value in candidate.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def find(
    root: Any, names: Collection[str], signature: Collection[str]
) -> tuple[str, dict[str, Tensor]] | None:
    """The first state dictionary that has all keys of `signature`.

    Args:
        root: the objects of a file.
        names: entries of `root` to look into, best first; `root` itself comes last.
        signature: keys, without a parallel wrapper's prefix.

    Returns:
        its name in `root`, "" for `root` itself, and its tensors.
    """
    if not isinstance(root, dict):
        return None
    for name in (*names, ""):
        state = tensors_of(root.get(name) if name else root)
        if all(key in state for key in signature):
            return name, state
    return None


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose keys start with `prefix`, without it."""
    return {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}


def note_ignored(root: Mapping[Any, Any], used: Collection[str], notes: Notes) -> None:
    """Tells which entries of `root` were left out."""
    left = [str(key) for key in root if key not in used]
    for key in left[:_SHOWN]:
        notes.ignored.append(f"{key}: {DESCRIBED[key]}" if key in DESCRIBED else key)
    if more := len(left[_SHOWN:]):
        notes.ignored.append(f"and {more} more entries")

"""The tree of pickled network objects in NVIDIA's files, flattened: tensors and settings by path.

Paths are those of a state dictionary. What a file puts into the tree is not trusted: modules may
be shared, nested without end or no modules at all. Knows nothing of StyleGAN2.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from models.checkpoints.unpickle import PersistedObject

MAX_DEPTH = 16
MAX_OBJECTS = 4096
MAX_TEXT = 256
"""A generator of 1024 pixels has 66 objects and 182 tensors, 5 deep, in paths of 35 letters."""

Setting = bool | int | float | str | None


@dataclass(frozen=True)
class Objects:
    """Every object of one network, by its dotted path; the network's own path is ""."""

    at: Mapping[str, PersistedObject]

    @classmethod
    def of(cls, network: PersistedObject) -> "Objects":
        """All objects below `network` and itself.

        Raises:
            ValueError: far more of them, or far deeper nested, than in any network.
        """
        at: dict[str, PersistedObject] = {}
        for count, (path, node) in enumerate(_walk(network, "", 0)):
            if count == MAX_OBJECTS:
                raise ValueError(f"a network of more than {MAX_OBJECTS} objects")
            at[path] = node
        return cls(at)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers under their state-dictionary names.

        Raises:
            ValueError: more of them than in any network.
        """
        found: dict[str, Tensor] = {}
        for path, node in self.at.items():
            for kind in ("_parameters", "_buffers"):
                named = ((_joined(path, name), value) for name, value in _entries(node, kind))
                found |= {key: value for key, value in named if isinstance(value, Tensor)}
            if len(found) > MAX_OBJECTS:
                raise ValueError(f"a network of more than {MAX_OBJECTS} tensors")
        return found

    def settings(self, pattern: str, name: str, default: Setting = None) -> dict[str, Setting]:
        """Attribute `name` of every object whose whole path matches `pattern`, by path.

        Raises:
            ValueError: an attribute that is no number, word or None.
        """
        found: dict[str, Setting] = {}
        for path, node in self.at.items():
            if re.fullmatch(pattern, path):
                value = node.state.get(name, default)
                if not isinstance(value, Setting) or len(str(value)) > MAX_TEXT:
                    raise ValueError(f"{path}.{name} is a {type(value).__name__}")
                found[path] = value
        return found

    def common(self, pattern: str, name: str, default: Setting = None) -> Setting:
        """The value of `settings` that all objects share, `default` where there are no objects.

        Raises:
            ValueError: they differ.
        """
        values = set(self.settings(pattern, name, default).values())
        if len(values) > 1:
            raise ValueError(f"layers differ in {name}: {sorted(map(str, values))[:4]}")
        return values.pop() if values else default


def _walk(node: PersistedObject, path: str, depth: int) -> Iterator[tuple[str, PersistedObject]]:
    """`node` and all below it, each with its path."""
    if depth > MAX_DEPTH or len(path) > MAX_TEXT:
        raise ValueError(f"objects are nested deeper than {MAX_DEPTH} at {path[:MAX_TEXT]}")
    yield path, node
    for name, child in _entries(node, "_modules"):
        if isinstance(child, PersistedObject):
            yield from _walk(child, _joined(path, name), depth + 1)


def _entries(node: PersistedObject, kind: str) -> Iterator[tuple[str, Any]]:
    """The named children, parameters or buffers of an object."""
    entries = node.state.get(kind)
    if isinstance(entries, Mapping):
        yield from ((name, value) for name, value in entries.items() if isinstance(name, str))


def _joined(path: str, name: str) -> str:
    """A dotted path, cut off where it is absurdly long."""
    return f"{path}.{name[: MAX_TEXT + 1]}" if path else name[: MAX_TEXT + 1]

"""A last look at what was read, so that the code behind may walk it like any tree.

A pickle can make a list that contains itself, a list in a list a million deep, or thirty lists
that each hold the next one twice: a walk of those ends in a crash, or never.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from models.checkpoints.pickles.stand_ins import Inert, PersistedObject
from models.errors import UnsafeCheckpoint

MOST_DEEP, MOST_VISITS = 200, 5_000_000


class _Visit:
    """A container whose children are being visited."""

    def __init__(self, node: Any, children: Iterable[Any]) -> None:
        self.node, self.children = node, iter(children)
        self.depth = self.visits = 1


def check_walkable(root: Any) -> None:
    """Refuses what contains itself, is too deep, or is too long when walked as a tree.

    Raises:
        UnsafeCheckpoint: says which of the three.
    """
    known: dict[int, tuple[int, int]] = {}  # of finished containers: depth below, visits
    path = [_Visit(None, (root,))]
    being_visited: set[int] = set()
    while path:
        visit = path[-1]
        for child in visit.children:
            children = _children(child)
            if children is None:
                visit.visits += 1
            elif id(child) in known:
                _add(visit, *known[id(child)], above=len(path))
            elif id(child) in being_visited:
                raise UnsafeCheckpoint(f"a {type(child).__name__} in it contains itself")
            else:
                being_visited.add(id(child))
                path.append(_Visit(child, children))
                break
        else:
            path.pop()
            being_visited.discard(id(visit.node))
            known[id(visit.node)] = (visit.depth, visit.visits)
            if path:
                _add(path[-1], visit.depth, visit.visits, above=len(path))


def _add(visit: _Visit, depth: int, visits: int, above: int) -> None:
    """Counts a finished child into its parent."""
    visit.depth, visit.visits = max(visit.depth, depth + 1), visit.visits + visits
    if above + depth > MOST_DEEP:
        raise UnsafeCheckpoint(f"its objects are nested more than {MOST_DEEP} deep")
    if visit.visits > MOST_VISITS:
        raise UnsafeCheckpoint(f"its objects unfold to more than {MOST_VISITS:,}")


def _children(node: Any) -> Iterable[Any] | None:
    """What `node` holds; None if it is no container."""
    match node:
        case str() | bytes() | int() | float() | None:
            return None
        case dict():
            return node.values()
        case list() | tuple() | set() | frozenset():
            return node
        case PersistedObject():
            return (node.state,)
        case Inert():
            return _inside(node)
        case np.ndarray() if node.dtype.hasobject:
            return iter(node.flat)
    return None


def _inside(inert: Inert) -> Iterator[Any]:
    """What an inert object keeps."""
    yield inert.arguments
    yield inert.named
    yield inert.state
    yield inert.items

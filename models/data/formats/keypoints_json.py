"""A json of keypoints by picture: {"0001": [[x, y, visibility], …], …}."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidDataset, InvalidImage

MAX_BYTES = 2**26
"""Size of the file at most: parsed, it takes several times as much memory."""

_EXAMPLE = '{"a": [[12, 7.5, 2], …], …}, x, y and visibility of each point by the picture\'s name'


def read_keypoints_json(data: bytes, name: str, most: int = MAX_BYTES) -> Sequence[tuple[str, Any]]:
    """Each picture's name and what stands there for it, not yet judged; `as_triples` does that.

    A name that stands there twice comes twice.

    Args:
        data: the whole file.
        name: what errors call it.
        most: bytes that it may have.

    Raises:
        InvalidDataset: it is too large, or no json object.
    """
    if len(data) > most:
        problem = f"has {len(data):,} bytes, over {most:,}; split the dataset"
        raise InvalidDataset([(name, problem)])
    try:
        entries = json.loads(data, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        problem = f"is not readable JSON, cut short or damaged ({error}); write it again"
        raise InvalidDataset([(name, problem)]) from error
    if not isinstance(entries, tuple):
        raise InvalidDataset([(name, f"must hold {_EXAMPLE}")])
    return entries


def as_triples(entry: object, name: str) -> NDArray[np.float64]:
    """An entry of the json as float64 [K, 3] of (x, y, visibility).

    Raises:
        InvalidImage: it is no list of such triples.
    """
    try:
        triples = np.asarray(entry)
    except (ValueError, OverflowError):  # Lists of unequal length.
        triples = np.empty(0)
    if triples.ndim != 2 or triples.shape[1] != 3 or triples.dtype.kind not in "iuf":
        raise InvalidImage(name, f"is no list of points; the file must hold {_EXAMPLE}")
    return triples.astype(np.float64)

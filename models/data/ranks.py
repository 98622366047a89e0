"""Which samples the authors keep: by the rank of their uncertainty among all that were drawn. Pure.

Their rule is kept as it is, for comparison. It holds for large numbers only, and drops the 30 most
certain samples too; nobody has said why. The default rule is in `models.generation`.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIFT = 30


def kept_by_rank(scores: NDArray[np.float64], drop: float) -> NDArray[np.bool_]:
    """Of N samples those of rank 30 to N - k + 29, with k = floor(drop N); 0 is the most certain.

    Args:
        scores: [N], higher is less certain; among equals the first is more certain.
        drop: share in 0..1; 0 keeps all.

    Returns:
        bool [N]; none where k is at most 30 (see `keeps_nothing`).
    """
    count = len(scores)
    kept = np.full(count, drop == 0)
    by_rank = np.argsort(scores, kind="stable")
    dropped = int(drop * count)
    if dropped > SHIFT:
        kept[by_rank[SHIFT : count - dropped + SHIFT]] = True
    return kept


def is_ranked(plan: Mapping[str, Any]) -> bool:
    """Whether the samples of a generation are ranked so, by its plan (of `manifest.json`)."""
    return bool(plan.get("uncertainty", {}).get("mode") == "paper")


def keeps_nothing(count: int, drop: float) -> str | None:
    """Why the authors' rule would keep none of so many samples; None where it keeps some."""
    if drop == 0 or int(drop * count) > SHIFT:
        return None
    return (
        f"the paper's rule keeps samples only where it drops more than {SHIFT}; a share of {drop} "
        f"of {count:,} is fewer: ask for {ceil((SHIFT + 1) / drop):,} or more, or leave mode out"
    )

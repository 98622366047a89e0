"""Which images are worse than the others: those flagged, and those left out. Pure: no torch.

One rule for all that is measured image by image, the larger the worse: a value stands out if it
lies more than REACH spreads above the median, where a spread is 1.4826 times the median absolute
deviation (for a normal distribution, its deviation), and at least SHARE of the median or what the
measure calls the same. Median and deviation do not mind what the outliers are (Leys et al.,
"Detecting outliers", 2013, who also propose 2.5).
"""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from models.errors import TrainingImpossible

REACH = 2.5
SHARE = 0.1
FEWEST = 2
"""Images that must be left to learn from."""

_NORMAL = 1.4826


def outliers(values: Sequence[float], same: float = 0.0) -> list[int]:
    """Places of the values that stand out, in order.

    Args:
        values: one per image, the larger the worse; NaN is no value and never stands out.
        same: differences in `values` up to this mean nothing.
    """
    known = np.asarray(values, dtype=np.float64)
    if np.isnan(known).all():
        return []
    median = np.nanmedian(known)
    spread = max(_NORMAL * np.nanmedian(np.abs(known - median)), SHARE * abs(median), same)
    return [int(place) for place in np.flatnonzero(known > median + REACH * spread)]


def left_out(
    distances: Sequence[float],
    max_distance: float | None = None,
    drop_worst: float | None = None,
    excluded: Collection[int] = (),
) -> dict[int, str]:
    """Which images are not learnt from: their places in order, and what says so of each.

    Args:
        distances: of each image to its reconstruction.
        max_distance: images farther than this are left out.
        drop_worst: so many of the farthest are left out: from 1 on their number, below their
            share, but at least one.
        excluded: places that are left out in any case; the rules see only the others.

    Returns:
        `excluded`, `max_distance` or `drop_worst` for each of them.

    Raises:
        TrainingImpossible: some are left out, and fewer than two images would be left.
    """
    found = dict.fromkeys(excluded, "excluded")
    rest = sorted(set(range(len(distances))) - set(excluded), key=lambda at: -distances[at])
    found |= dict.fromkeys(rest[: _number(drop_worst, len(rest))], "drop_worst")
    if max_distance is not None:
        too_far = (place for place in rest if distances[place] > max_distance)
        found |= dict.fromkeys(too_far, "max_distance")
    if found and len(distances) - len(found) < FEWEST:
        counts = Counter(found.values())
        said = ", ".join(f"{count} by {rule}" for rule, count in sorted(counts.items()))
        raise TrainingImpossible(
            f"{len(found)} of {len(distances)} images would be left out ({said}), whose distances "
            f"are {min(distances):.4g} to {max(distances):.4g}; at least {FEWEST} must be left"
        )
    return dict(sorted(found.items()))


def _number(drop_worst: float | None, count: int) -> int:
    """How many of `count` images are the worst that are dropped."""
    if drop_worst is None:
        return 0
    return int(drop_worst) if drop_worst >= 1 else max(1, round(drop_worst * count))

"""Whether the images that are to be left out are there at all. Pure.

The service asks where it knows the dataset's images already; the worker asks again.
"""

from collections.abc import Collection, Sequence

from workers.label_kinds import Misfit

SHOWN = 50
"""Keys that are listed at most."""


def unknown(whose: str, exclude: Sequence[str], known: Collection[str]) -> Misfit | None:
    """Which keys name no image, and which ones would; None where all of them do.

    Args:
        whose: id of the dataset.
        exclude: keys of images that are to be left out.
        known: keys of the images that are there.
    """
    found = set(known)
    missing = [key for key in exclude if key not in found]
    if not missing:
        return None
    return Misfit(f"{whose} has no image {_listed(missing)}", f"its images are {_listed(known)}")


def _listed(keys: Collection[str]) -> str:
    shown = sorted(keys)[:SHOWN]
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(shown) + more

"""What is kept for how long: the rules. Pure.

Rules are `generations=30d uploads=1d jobs=90d`, by what they are for. What no rule names is kept.
"""

import re
from collections.abc import Mapping
from datetime import timedelta

from workers import keys

UPLOADS, JOBS, DELIVERIES = "uploads", "jobs", "deliveries"
KEPT = (UPLOADS, *keys.FINAL, JOBS, DELIVERIES)
"""What there can be a rule for."""

RECONCILED_DAYS = 7
"""Ends of jobs that are older are not told of again; the log of what was told is kept longer."""

DEFAULT = "uploads=7d,jobs=90d,deliveries=30d"

Rules = Mapping[str, timedelta | None]
"""By what is kept: for how long; None is for ever."""

_FOR_EVER = "forever"
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d{1,6})([mhdw])")


def parse_rules(text: str) -> dict[str, timedelta | None]:
    """Rules as people write them, separated by commas or spaces.

    Raises:
        ValueError: one of them is none; the message says which and why.
    """
    return dict(_rule(word) for word in re.split(r"[,\s]+", text) if word)


def _rule(word: str) -> tuple[str, timedelta | None]:
    what, _, age = word.partition("=")
    if what not in KEPT:
        raise ValueError(f"{word!r}: there are rules for {', '.join(KEPT)}")
    match = _AGE.fullmatch(age)
    if match is None and age != _FOR_EVER:
        raise ValueError(f"{word!r}: an age is e.g. 12h, 30d, 8w, or {_FOR_EVER}")
    kept = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else None
    if what == DELIVERIES and kept is not None and kept <= timedelta(days=RECONCILED_DAYS):
        raise ValueError(f"{word!r}: deliveries are kept for more than {RECONCILED_DAYS} days")
    return what, kept


def spelled(rules: Rules) -> dict[str, str]:
    """Rules as people write them, by what they are for."""
    return {what: _spelled(kept) for what, kept in rules.items()}


def _spelled(kept: timedelta | None) -> str:
    if kept is None:
        return _FOR_EVER
    seconds = int(kept.total_seconds())
    unit = next(u for u in reversed(_UNITS) if seconds % _UNITS[u] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"

"""How much a tenant may use: figures, and how people spell them. Pure."""

import re
from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

UNLIMITED = 0

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGTP]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SPAN = re.compile(r"(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Quota(BaseModel):
    """Limits of one tenant. 0 is no limit; None is whatever holds for everybody.

    Attributes:
        jobs: that have not ended, at one time.
        images: of one generation.
        bytes: in the bucket, of everything that is the tenant's.
        rpm: requests a minute.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    jobs: int | None = Field(default=None, ge=0)
    images: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    rpm: int | None = Field(default=None, ge=0)

    def over(self, default: "Quota") -> Self:
        """This, with what it leaves open as in another."""
        return self.model_copy(update=_said(default) | _said(self))


NO_LIMITS = Quota(jobs=UNLIMITED, images=UNLIMITED, bytes=UNLIMITED, rpm=UNLIMITED)


def amount(text: str) -> int:
    """A number as people write it: `600`, `50k`, `100GB` (10^9 bytes), `2 GiB` (2^30 each).

    Raises:
        ValueError: it is none.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount; write 600, 50k, 100GB or 2GiB")
    factor = 1024 if match[3] else 1000
    return round(float(match[1]) * float(factor ** _POWERS[match[2].lower()]))


def span(text: str) -> timedelta:
    """A time as people write it: `30m`, `24h`, `90d`, `2w`.

    Raises:
        ValueError: it is none.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None or len(match[1]) > 5:
        raise ValueError(f"{text!r} is no time; write 30m, 24h, 90d or 2w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _said(quota: Quota) -> dict[str, int]:
    return quota.model_dump(exclude_none=True, exclude={"schema_version"})

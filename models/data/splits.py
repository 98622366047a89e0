"""Which items train, validate and test: decided by a hash of each item's key, and nothing else.

So an item keeps its part when others are added or left out, on every machine, and a dataset that
grows keeps its test set clean. Exact shares are not promised: of N items, the share of a part is
off by about sqrt(share * (1 - share) / N), e.g. 0.06 for a share of 0.2 of 50 items.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from models.configs import Config, Seed

Share = Annotated[float, Field(ge=0, le=1)]


class Part(StrEnum):
    """What an item is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Split(Config):
    """How large the parts are to be.

    Attributes:
        validation, test: their shares in 0..1; the rest trains.
        seed: another one gives another split.
    """

    validation: Share = 0.1
    test: Share = 0.1
    seed: Seed = 0

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.validation + self.test > 1:
            shares = f"{self.validation} and {self.test}"
            raise ValueError(f"validation and test are {shares} of the items, more than all")
        return self

    def part_of(self, key: str) -> Part:
        """What the item with this key is for.

        The first 8 bytes of SHA-256 of "{seed}:{key}", as a big-endian share of 2^64, are below
        the test's share, or else below that and the validation's, or neither.
        """
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if place < self.test:
            return Part.TEST
        return Part.VALIDATION if place < self.test + self.validation else Part.TRAIN

    def divided(self, keys: Iterable[str]) -> dict[Part, list[str]]:
        """The keys of each part, in the order given."""
        parts: dict[Part, list[str]] = {part: [] for part in Part}
        for key in keys:
            parts[self.part_of(key)].append(key)
        return parts

"""A list of what is wrong with the files of a dataset: long enough to act on, never endless."""

from collections.abc import Sequence

from models.errors import InvalidDataset, InvalidImage, legible_problem

LIMIT = 1000
"""Problems that are listed before the search is given up, if nothing else is said."""


class Problems:
    """Collects problems, so that a user hears of all bad files at once and not one a try.

    Args:
        limit: how many there may be before the search is given up; any number if None.
    """

    def __init__(self, limit: int | None = LIMIT) -> None:
        self._limit = limit
        self._found: list[tuple[str, str]] = []

    def add(self, file: str, problem: str) -> None:
        """Note one problem.

        Raises:
            InvalidDataset: that was the last one to be listed.
        """
        self._found.append(legible_problem(file, problem))
        if self._limit is not None and len(self._found) >= self._limit:
            raise InvalidDataset(self._found, complete=False)

    def note(self, error: InvalidImage) -> None:
        """Note what an error says, as `add` does."""
        self.add(error.name, error.problem)

    def extend(self, error: InvalidDataset) -> None:
        """Note what an error lists.

        Raises:
            InvalidDataset: with all that is known, if the search was given up where that came from.
        """
        self._found.extend(error.problems)
        if not error.complete:
            raise InvalidDataset(self._found, complete=False) from error

    @property
    def found(self) -> Sequence[tuple[str, str]]:
        """(file, problem) of all so far."""
        return self._found

    def check(self) -> None:
        """Raise `InvalidDataset` with all problems, if there are any."""
        if self._found:
            raise InvalidDataset(self._found)

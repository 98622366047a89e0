"""A list of what is wrong with the files of a dataset: long enough to act on, never endless."""

from models.errors import InvalidDataset, InvalidImage

LIMIT = 50
"""Problems that are listed before the search is given up."""


class Problems:
    """Collects problems, so that a user hears of all bad files at once and not one a try."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, file: str, problem: str) -> None:
        """Note one problem.

        Raises:
            InvalidDataset: that was the last one to be listed.
        """
        self._found.append((file, problem))
        if len(self._found) >= LIMIT:
            raise InvalidDataset(self._found, complete=False)

    def note(self, error: InvalidImage) -> None:
        """Note what an error says, as `add` does."""
        self.add(error.name, error.problem)

    def check(self) -> None:
        """Raise `InvalidDataset` with all problems, if there are any."""
        if self._found:
            raise InvalidDataset(self._found)

"""Every error the method raises on purpose, in one tree. Pure: imports nothing of ours.

HandsOffError
  ├── CheckpointError        a file is not the network it should be; the message says what differs
  │     └── UnsafeCheckpoint     reading it would need code from the file to run, so it is not read
  ├── BackboneUnavailable    a pretrained network is needed and not at hand; says how to get it
  ├── InvalidLatents         a file of latents does not fit the dataset or the generator
  ├── TrainingImpossible     there is too little to learn from
  ├── UncertaintyRuleTooStrict  so few candidates pass that a shard cannot be filled
  ├── InvalidImage           a picture or a mask cannot be used; names the file and the remedy
  └── InvalidDataset         files of a dataset cannot be used; lists the first of them
"""

from collections.abc import Sequence

_LONGEST_NAME, _LONGEST_PROBLEM = 300, 1500


def legible(text: str, most: int) -> str:
    """A stranger's text as it can be shown and stored: cut after so many characters, and UTF-8.

    JSON and file names can spell half a character, which no answer and no record can hold.
    """
    if len(text) > most:
        text = f"{text[:most]}… ({len(text):,} characters)"
    return text.encode("utf-8", "backslashreplace").decode()


def legible_problem(file: str, problem: str) -> tuple[str, str]:
    """A file's name and what is wrong with it, both `legible`: a name may be a megabyte long."""
    return legible(file, _LONGEST_NAME), legible(problem, _LONGEST_PROBLEM)


class HandsOffError(Exception):
    """Root of all errors of `models`."""


class CheckpointError(HandsOffError):
    """A checkpoint cannot be read as the network it was taken for."""


class UnsafeCheckpoint(CheckpointError):
    """A checkpoint asks for something that would run code, or breaks a size limit."""


class BackboneUnavailable(HandsOffError):
    """A pretrained network is needed and cannot be had; the message says what to do."""


class InvalidLatents(HandsOffError):
    """A file of latents does not fit the dataset or the generator."""


class TrainingImpossible(HandsOffError):
    """There is too little to learn from; the message says how much would do."""


class UncertaintyRuleTooStrict(HandsOffError):
    """So few candidates pass the uncertainty rule that a shard cannot be filled."""


class InvalidImage(HandsOffError):
    """A picture or a mask cannot be used.

    Args:
        name: the file, as its owner calls it.
        problem: what was found, where, and what to do about it.
    """

    def __init__(self, name: str, problem: str) -> None:
        self.name, self.problem = legible_problem(name, problem)
        super().__init__(f"{self.name}: {self.problem}")


class InvalidDataset(HandsOffError):
    """Files of a dataset cannot be used.

    Args:
        problems: (file, problem) of each bad file that was listed, at least one.
        complete: whether that is all of them; else the search was given up at some number.
    """

    def __init__(self, problems: Sequence[tuple[str, str]], *, complete: bool = True) -> None:
        count = f"{len(problems)}{'' if complete else ' or more'}"
        problems = [legible_problem(*each) for each in problems]
        (name, problem), *others = problems
        first = f"{name}: {problem}"
        super().__init__(
            f"{count} problems in the dataset; the first: {first}" if others else first
        )
        self.problems = tuple(problems)
        self.complete = complete

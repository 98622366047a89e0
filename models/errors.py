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
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class InvalidDataset(HandsOffError):
    """Files of a dataset cannot be used.

    Args:
        problems: (file, problem) of each bad file that was listed, at least one.
        complete: whether that is all of them; else the search was given up at some number.
    """

    def __init__(self, problems: Sequence[tuple[str, str]], *, complete: bool = True) -> None:
        count = f"{len(problems)}{'' if complete else ' or more'}"
        (name, problem), *others = problems
        first = f"{name}: {problem}"
        super().__init__(
            f"{count} problems in the dataset; the first: {first}" if others else first
        )
        self.problems = tuple(problems)
        self.complete = complete

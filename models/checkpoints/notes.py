"""What a reader found out beyond the tensors: told to the user, kept on the generator's card."""

from dataclasses import dataclass, field


@dataclass
class Notes:
    """Collected while a checkpoint is read; each entry is "thing: how" in words.

    Attributes:
        inferred: what the file does not say and its tensors' shapes do.
        estimated: what is not in the file at all and was made, always from a fixed seed.
        ignored: what is in the file and was left out.
    """

    inferred: list[str] = field(default_factory=list)
    estimated: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

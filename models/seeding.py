"""Random streams that belong to a sample, never to a process.

Sample i is drawn from the stream named by its seed and its index and by nothing
else, so any part of a dataset can be made again alone. Knows numpy only.
"""

import hashlib

import numpy as np


def philox(*parts: int | str) -> np.random.Generator:
    """The random stream named by `parts`.

    The parts are written in decimal and joined by ":"; the first 128 bits of the
    SHA-256 of that text, read as a big-endian number, are the key of a Philox4x64
    counter that starts at zero. `philox(7, 2)` and `philox("7", "2")` are one stream.

    Raises:
        ValueError: without parts, or if a part holds ":", for two names would then be one.
    """
    words = [str(part) for part in parts]
    if not words:
        raise ValueError("a random stream needs at least one part in its name")
    for word in words:
        if ":" in word:
            raise ValueError(f"':' separates the parts of a stream's name, got {word!r}")
    digest = hashlib.sha256(":".join(words).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))

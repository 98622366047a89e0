"""What a process does beside its work, each chore in a thread of its own and again and again."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

LAST_WORDS_SECONDS = 7.0  # A chore may be in the middle of an attempt that takes five.
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Chore:
    """Something to be done again and again.

    Attributes:
        name: of its thread.
        act: does it once; what it raises is told, and it is done again all the same.
        pause_seconds: between two times.
    """

    name: str
    act: Callable[[], None]
    pause_seconds: float


@contextmanager
def doing(chores: Sequence[Chore], patience: float = LAST_WORDS_SECONDS) -> Iterator[None]:
    """Do chores for as long as the context lasts, and for `patience` seconds more at most."""
    end = threading.Event()
    threads = [
        threading.Thread(target=_repeat, args=(chore, end), name=chore.name, daemon=True)
        for chore in chores
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        deadline = time.monotonic() + patience
        for thread in threads:
            # Not for ever: it may be waiting for Redis. Whatever it does can be broken off.
            thread.join(timeout=max(0.0, deadline - time.monotonic()))


def _repeat(chore: Chore, end: threading.Event) -> None:
    while not end.is_set():
        try:
            chore.act()
        except Exception as error:  # Whatever it was, the next time must come.
            _log.warning("chore broken off", chore=chore.name, error=repr(error))
        end.wait(chore.pause_seconds)

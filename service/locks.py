"""Locks in Redis that come free within seconds when their holder dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from workers.chores import Chore, doing

LEASE_SECONDS = 10.0
"""How long a lock outlives its holder, or a Redis that was away when it was to be given back."""

_LONGEST_WAIT_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.01


@contextmanager
def held(redis: Redis, name: str, lease_seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Nobody else holds the lock for as long as the context lasts; a thread keeps it meanwhile.

    Raises:
        LockError: others have held it for a minute; or, at the end, Redis has forgotten that we
            held it, so that somebody else may have had it too.
    """
    lock = redis.lock(
        name,
        timeout=lease_seconds,
        blocking_timeout=_LONGEST_WAIT_SECONDS,
        sleep=_LOOK_AGAIN_SECONDS,
        thread_local=False,  # The thread that keeps it is not the one that took it.
    )
    with lock, doing([Chore(f"keeps {name}", lock.reacquire, lease_seconds / 5)]):
        yield

"""Locks: alone while they are held, and free soon after a holder has died."""

import threading
import time

import pytest
from redis.exceptions import LockError
from support.waiting import until

from service.locks import held

LEASE = 1.0


def take(redis, taken: list) -> threading.Thread:
    """
    Somebody else who wants the lock, and notes when it was got.
    """

    def want():
        with held(redis, "lock", LEASE):
            taken.append(time.monotonic())

    thread = threading.Thread(target=want)
    thread.start()
    return thread


def test_a_lock_is_kept_for_longer_than_its_lease(redis):
    """
    Whoever is at work for several leases is alone all the time.
    """
    taken = []
    with held(redis, "lock", LEASE):
        other = take(redis, taken)
        time.sleep(2 * LEASE)
        assert not taken
    other.join(5)
    assert taken


def test_a_dead_holders_lock_comes_free(redis):
    """
    What nobody keeps is gone after the lease, not after a minute.
    """
    assert redis.lock("lock", timeout=LEASE).acquire()
    taken = []

    take(redis, taken)

    until(lambda: taken, 10)


def test_what_redis_has_forgotten_is_told(redis):
    """
    Somebody else may have had it meanwhile.
    """
    with pytest.raises(LockError), held(redis, "lock", LEASE):
        redis.flushall()


def test_nothing_is_left(redis):
    """
    Neither the lock nor the thread that kept it.
    """
    with held(redis, "lock", LEASE):
        assert any("keeps lock" in thread.name for thread in threading.enumerate())

    assert redis.keys("lock") == []
    assert not any("keeps lock" in thread.name for thread in threading.enumerate())

"""Waiting for what other threads and processes do, no longer than needed."""

import time


def eventually(holds, seconds=10.0):
    """
    Wait until something holds; whether it came to hold.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def until(condition, seconds=30.0):
    """
    What `condition` gives as soon as it is true; fails when it takes too long.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not true after {seconds} s: {condition}")

"""Who is there says so; who has said nothing for a while is not there."""

import json
import threading

from support.waiting import eventually

from workers import redis_names as names
from workers.chores import Chore, doing
from workers.presence import Device, new_name, present, processes


def test_a_process_is_there_once_it_has_said_so(redis):
    """
    With its role, its version and what it runs on.
    """
    name = new_name()
    present(redis, "compute", name, lambda: Device(name="GPU", used_bytes=1, total_bytes=2)).act()

    (found,) = processes(redis)
    assert (found.name, found.role, found.device.name) == (name, "compute", "GPU")


def test_the_silent_are_not_there(redis):
    """
    After some seconds they are not told of, after an hour they are forgotten.
    """
    for name, ago in (("late", 30), ("gone", 7200)):
        present(redis, "cpu", name).act()
        told = json.loads(redis.hget(names.WORKERS, name))
        redis.hset(names.WORKERS, name, json.dumps({**told, "seen_at": told["seen_at"] - ago}))

    assert processes(redis) == []
    assert set(redis.hkeys(names.WORKERS)) == {"late"}


def test_what_another_version_says_is_passed_over(redis):
    """
    An entry that cannot be read hides nobody else.
    """
    redis.hset(names.WORKERS, "strange", "{}")
    present(redis, "cpu", "known").act()

    assert [process.name for process in processes(redis)] == ["known"]


class TestChores:
    def test_are_done_again_and_again(self):
        """
        Whatever one time ends with, the next one comes.
        """
        times = []

        def act():
            times.append(1)
            raise ValueError("once more")

        with doing([Chore("test", act, 0.001)]):
            assert eventually(lambda: len(times) > 3)

    def test_end_with_the_context(self):
        """
        A chore that hangs is not waited for longer than told.
        """
        over = threading.Event()
        with doing([Chore("hangs", lambda: over.wait(60), 1)], patience=0.05):
            pass
        over.set()

        assert eventually(lambda: "hangs" not in {t.name for t in threading.enumerate()})

import os
import re
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from support.waiting import eventually

from service.supervisor.place import CannotStart
from service.supervisor.process import Process, ProcessSpec
from service.supervisor.supervisor import Supervisor

FOR_EVER = ("sleep", "60")


def is_gone(pid):
    """
    Whether a process has ended, if need be as a zombie that nobody buries.
    """
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def shell(script):
    """
    A command that runs a script.
    """
    return ("sh", "-c", script)


class Clock:
    """
    Time that only passes when it is told to.
    """

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def run(tmp_path):
    """
    Runs a supervisor of some processes in a thread, until the test is over.
    """
    started = []

    def run(*specs, wait=True):
        events = []
        supervisor = Supervisor(specs, tmp_path, events.append)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        started.append((supervisor, thread))
        assert not wait or supervisor.started.wait(10)
        return supervisor, thread, events

    yield run
    for supervisor, thread in started:
        supervisor.stop()
        supervisor.stop()
        thread.join()


class TestSupervisor:
    def test_restarts_what_dies(self, run):
        """
        A process that was killed is there again after a moment, and people are told.
        """
        supervisor, _, events = run(ProcessSpec("sleeper", FOR_EVER, 0))
        first = supervisor.pids()["sleeper"]

        os.kill(first, signal.SIGKILL)

        assert eventually(lambda: supervisor.pids().get("sleeper", first) != first)
        assert "sleeper ended (SIGKILL)" in events[0]
        assert eventually(lambda: "sleeper was started again" in events)

    def test_ranks_wait_for_each_other(self, run, tmp_path):
        """
        A process is started when everything of a lower rank is ready, not before.
        """
        mark = tmp_path / "ready"
        slow = shell(f"sleep 0.3; touch {mark}; exec sleep 60")
        after = shell(f"test -e {mark} && touch {mark}-was-seen; exec sleep 60")
        first = ProcessSpec("first", slow, 0, ready=mark.exists)

        run(ProcessSpec("second", after, 1), first)

        assert eventually((tmp_path / "ready-was-seen").exists)

    def test_stops_in_the_reverse_order(self, run, tmp_path):
        """
        What was started last is asked to end first, and has ended before the next is asked.
        """
        log = tmp_path / "order"

        def says(name):
            up = tmp_path / f"{name}-up"
            script = f"trap 'sleep 0.2; echo {name} >> {log}; exit' TERM; touch {up}; "
            loop = "while :; do sleep 0.05; done"
            return {"command": shell(script + loop), "ready": up.exists}

        supervisor, thread, _ = run(
            ProcessSpec("redis", rank=0, **says("redis")),
            ProcessSpec("service", rank=2, **says("service")),
            ProcessSpec("worker", rank=1, **says("worker")),
        )
        supervisor.stop()
        thread.join()

        assert log.read_text().split() == ["service", "worker", "redis"]
        assert supervisor.pids() == {}

    def test_kills_what_does_not_end(self, run, tmp_path):
        """
        A process that ignores SIGTERM is killed when its grace is over.
        """
        up = tmp_path / "up"
        deaf = shell(f"trap '' TERM; touch {up}; while :; do sleep 0.05; done")
        spec = ProcessSpec("deaf", deaf, 0, ready=up.exists, grace_seconds=0.3)
        supervisor, thread, events = run(spec)
        pid = supervisor.pids()["deaf"]

        supervisor.stop()
        thread.join(10)

        assert is_gone(pid)
        assert events == ["deaf did not end in time and was killed"]

    def test_a_second_stop_does_not_wait(self, run, tmp_path):
        """
        Whoever asks twice for the end does not wait for anybody's grace.
        """
        up = tmp_path / "up"
        deaf = shell(f"trap '' TERM; touch {up}; while :; do sleep 0.05; done")
        spec = ProcessSpec("deaf", deaf, 0, ready=up.exists, grace_seconds=60)
        supervisor, thread, _ = run(spec)

        supervisor.stop()
        supervisor.stop()
        thread.join(10)

        assert not thread.is_alive()

    def test_a_false_start_shows_the_log(self, tmp_path):
        """
        When a process dies while starting, the error ends with what it said last, and everything
        that was started before is stopped.
        """
        pids = []

        def ready():
            pids.extend(supervisor.pids().values())
            return False

        lasting = ProcessSpec("lasting", FOR_EVER, 0)
        dying = ProcessSpec("dying", shell("echo no such disk; exit 3"), 1, ready=ready)
        supervisor = Supervisor([lasting, dying], tmp_path, print)

        with pytest.raises(CannotStart, match=r"(?s)dying ended while.*no such disk"):
            supervisor.run()

        assert pids
        assert all(is_gone(pid) for pid in pids)

    def test_ctrl_c_in_a_terminal_reaches_the_supervisor_only(self, run):
        """
        Children have a session of their own, so that they end in our order, not all at once.
        """
        supervisor, _, _ = run(ProcessSpec("sleeper", FOR_EVER, 0))

        assert eventually(lambda: os.getsid(supervisor.pids()["sleeper"]) != os.getsid(0))

    def test_nothing_survives_a_killed_supervisor(self, tmp_path):
        """
        After kill -9 of the supervisor its processes are gone too: the kernel sees to that.
        """
        program = (
            "from pathlib import Path\n"
            "from service.supervisor.process import ProcessSpec\n"
            "from service.supervisor.supervisor import Supervisor\n"
            f"specs = [ProcessSpec(name, {FOR_EVER}, 0) for name in 'ab']\n"
            f"supervisor = Supervisor(specs, Path({str(tmp_path)!r}), print)\n"
            "supervisor.run(lambda: print(*supervisor.pids().values(), flush=True))\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        with parent:
            pids = [int(word) for word in parent.stdout.readline().split()]
            assert eventually(lambda: all(psutil.Process(p).name() == "sleep" for p in pids))

            parent.kill()

        assert len(pids) == 2
        assert eventually(lambda: all(is_gone(pid) for pid in pids))


class TestProcess:
    def test_backs_off_from_what_dies_again_and_again(self, tmp_path):
        """
        Each death doubles the pause before the next start, up to half a minute.
        """
        clock = Clock()
        process = Process(ProcessSpec("dying", ("false",), 0), tmp_path / "log", clock)
        process.start()
        pauses = []
        for _ in range(8):
            assert eventually(lambda: process.pid is None)
            pauses.append(float(re.search(r"again in ([\d.]+) s", process.revive())[1]))
            assert process.revive() is None
            clock.now += pauses[-1]
            assert "started again" in process.revive()
        process.kill()

        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]

    def test_forgets_old_deaths(self, tmp_path):
        """
        A process that lived for a minute is started again without delay.
        """
        clock = Clock()
        process = Process(ProcessSpec("dying", ("false",), 0), tmp_path / "log", clock, deaths=6)
        process.start()
        assert eventually(lambda: process.pid is None)
        clock.now += 61

        assert "in 0.5 s" in process.revive()

    def test_takes_its_children_along(self, tmp_path):
        """
        What a dead process has left behind is killed before it is started again.
        """
        log = tmp_path / "log"
        script = "sleep 60 & echo $!; exit 1"
        process = Process(ProcessSpec("parent", shell(script), 0), log)
        process.start()
        assert eventually(lambda: process.pid is None)
        orphan = int(log.read_text())

        process.revive()

        assert eventually(lambda: is_gone(orphan))

    def test_is_told_what_its_spec_says(self, tmp_path):
        """
        Output and errors go to the log; the environment is ours and the spec's.
        """
        log = tmp_path / "log"
        script = shell("echo $GIVEN; echo oops >&2")
        process = Process(ProcessSpec("teller", script, 0, {"GIVEN": "word"}), log)

        process.start()

        assert eventually(lambda: process.pid is None)
        assert process.last_words() == "word\noops"

    def test_keeps_logs_small(self, tmp_path):
        """
        A large log makes room for a new one when the process is started.
        """
        log = tmp_path / "teller.log"
        log.write_bytes(b"x" * 10_000_001)
        process = Process(ProcessSpec("teller", ("echo", "new"), 0), log)

        process.start()

        assert eventually(lambda: process.pid is None)
        assert log.read_text() == "new\n"
        assert (tmp_path / "teller.log.1").stat().st_size == 10_000_001

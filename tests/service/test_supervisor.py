import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from service.supervisor.devices import gpus, workers_by_device
from service.supervisor.machine import processes
from service.supervisor.memory import MemoryMeter
from service.supervisor.place import CannotStart, DataDirectory, free_port
from service.supervisor.process import Process, ProcessSpec
from service.supervisor.supervisor import Supervisor

FOR_EVER = ("sleep", "60")


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


class TestDataDirectory:
    def test_keeps_a_second_one_out(self, tmp_path):
        """
        The refusal names the folder, where the other one answers, and the way out.
        """
        first, second = DataDirectory(tmp_path / "data"), DataDirectory(tmp_path / "data")
        with first.locked():
            first.describe({"url": "http://127.0.0.1:8123", "pid": 4711})
            refusal = rf"runs on {tmp_path}/data at http://127\.0\.0\.1:8123 \(process 4711\)"
            with pytest.raises(CannotStart, match=refusal), second.locked():
                pass
        with second.locked():
            assert second.status() == {}

    def test_a_dead_process_holds_no_lock(self, tmp_path):
        """
        After kill -9 the folder can be used again, without cleaning up by hand.
        """
        program = (
            "import time; from pathlib import Path\n"
            "from service.supervisor.place import DataDirectory\n"
            f"with DataDirectory(Path({str(tmp_path)!r})).locked():\n"
            "    print(flush=True); time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            with pytest.raises(CannotStart), DataDirectory(tmp_path).locked():
                pass
            other.kill()

        with DataDirectory(tmp_path).locked():
            pass

    def test_says_when_it_cannot_be_made(self, tmp_path):
        """
        A place where no folder can be is named, with the option that chooses another.
        """
        (tmp_path / "file").write_text("")

        with (
            pytest.raises(CannotStart, match=r"file.*--data-dir"),
            DataDirectory(tmp_path / "file" / "data").locked(),
        ):
            pass


class TestPorts:
    def test_a_taken_port_is_named(self):
        """
        The refusal names the port and the option that chooses another.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]

            with pytest.raises(CannotStart, match=rf"port {port}: Address already.*--port"):
                free_port("127.0.0.1", port)

    def test_zero_is_any(self):
        """
        Port 0 stands for one that is free.
        """
        assert free_port("127.0.0.1", 0) > 0

    def test_somebody_elses_address_is_named(self):
        """
        An address that this machine does not have is refused.
        """
        with pytest.raises(CannotStart, match=r"192\.0\.2\.1 port"):
            free_port("192.0.2.1", 0)


class TestMemoryMeter:
    @pytest.fixture
    def proc(self, tmp_path):
        """
        A /proc that tests write.
        """

        def put(pid, kilobytes, children=""):
            (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"{pid}/task/{pid}/children").write_text(children)
            rollup = "00400000-7fff0000 ---p 00000000 00:00 0 [rollup]\nRss: 99999 kB\n"
            (tmp_path / f"{pid}/smaps_rollup").write_text(rollup + f"Pss: {kilobytes} kB\n")

        put.path = tmp_path
        return put

    def test_keeps_peaks_by_name_and_of_all_together(self, proc):
        """
        The peak of all is that of one moment, not the sum of peaks at different ones.
        """
        meter = MemoryMeter(lambda: {"a": 1, "b": 2}, proc=proc.path)
        proc(1, 100), proc(2, 10)
        meter.measure()
        proc(1, 20), proc(2, 50)
        meter.measure()

        assert meter.peaks == {"a": 100 * 1024, "b": 50 * 1024, "supervisor": 0}
        assert meter.peak_together == 110 * 1024

    def test_counts_children(self, proc):
        """
        What a process has started is counted as its own.
        """
        meter = MemoryMeter(lambda: {"a": 1}, proc=proc.path)
        proc(1, 100, "5 6"), proc(5, 10, "7"), proc(6, 20), proc(7, 3)

        meter.measure()

        assert meter.peaks["a"] == 133 * 1024

    def test_a_process_that_ended_counts_nothing(self, proc):
        """
        A process may end while it is looked at.
        """
        meter = MemoryMeter(lambda: {"a": 1}, proc=proc.path)

        meter.measure()

        assert meter.peaks["a"] == 0

    def test_agrees_with_the_system(self):
        """
        A real process's peak is about what psutil says its PSS is.
        """
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        with child, MemoryMeter(lambda: {"child": child.pid}, interval_seconds=0.05) as meter:
            assert eventually(lambda: meter.peaks.get("child", 0) > 1_000_000)
            time.sleep(0.3)
            pss = psutil.Process(child.pid).memory_full_info().pss
            child.stdin.close()

        assert meter.peaks["child"] == pytest.approx(pss, rel=0.5)


class TestMachine:
    @pytest.fixture
    def specs(self, tmp_path, monkeypatch):
        """
        The processes of a machine without GPUs, by name.
        """
        for name in ("HANDSOFF_REDIS_URL", "HANDSOFF_STORE_URL", "HANDSOFF_THREADS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

        def specs(count=None):
            data = DataDirectory(tmp_path)
            made = processes(data, "127.0.0.1", 8000, "http://127.0.0.1:8000", count)
            return {spec.name: spec for spec in made}

        return specs

    def test_what_it_is_made_of(self, specs):
        """
        Redis first, then the reaper, then the workers, then the service.
        """
        ranks = {name: spec.rank for name, spec in specs().items()}

        assert ranks == {"redis": 0, "reaper": 1, "cpu": 2, "compute-0": 2, "service": 3}

    def test_everything_lies_in_the_data_directory(self, specs, tmp_path):
        """
        Store, scratch files and Redis's data are below one folder.
        """
        told = specs()["service"].environment

        assert told["HANDSOFF_STORE_URL"] == f"file://{tmp_path}/store"
        assert told["HANDSOFF_SCRATCH"] == f"{tmp_path}/scratch"
        assert told["HANDSOFF_REDIS_URL"].startswith("unix:///")
        assert f"{tmp_path}/redis" in specs()["redis"].command

    def test_another_redis_and_another_bucket(self, specs, monkeypatch):
        """
        Where the environment names a Redis, none is started; where it names a bucket, it is used.
        """
        monkeypatch.setenv("HANDSOFF_REDIS_URL", "redis://elsewhere:6379")
        monkeypatch.setenv("HANDSOFF_STORE_URL", "s3://bucket")

        made = specs()

        assert "redis" not in made
        assert made["cpu"].environment["HANDSOFF_REDIS_URL"] == "redis://elsewhere:6379"
        assert made["cpu"].environment["HANDSOFF_STORE_URL"] == "s3://bucket"

    def test_workers_share_the_cores(self, specs):
        """
        Two compute workers on a CPU take half of its cores each.
        """
        threads = [specs(2)[f"compute-{i}"].environment["HANDSOFF_THREADS"] for i in (0, 1)]

        assert threads == [str(max(1, os.cpu_count() // 2))] * 2

    def test_each_gpu_has_its_worker(self, specs, monkeypatch):
        """
        One compute worker per GPU sees that one and no other.
        """
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")

        made = specs()

        seen = [made[f"compute-{i}"].environment["CUDA_VISIBLE_DEVICES"] for i in (0, 1)]
        assert seen == ["2", "3"]


class TestDevices:
    def test_are_told_by_their_files(self, tmp_path):
        """
        Without CUDA_VISIBLE_DEVICES every /dev/nvidia<number> is a GPU.
        """
        for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
            (tmp_path / name).touch()

        assert gpus({}, tmp_path) == ["0", "2", "10"]

    @pytest.mark.parametrize("value", ["", "-1", " "])
    def test_may_be_hidden(self, tmp_path, value):
        """
        An empty CUDA_VISIBLE_DEVICES, or -1, hides them all.
        """
        (tmp_path / "nvidia0").touch()

        assert gpus({"CUDA_VISIBLE_DEVICES": value}, tmp_path) == []

    @pytest.mark.parametrize(
        ("count", "available", "expected"),
        [
            (None, [], [None]),
            (3, [], [None, None, None]),
            (None, ["0", "1"], ["0", "1"]),
            (1, ["0", "1"], ["0"]),
            (3, ["0", "1"], ["0", "1", "0"]),
        ],
    )
    def test_are_dealt_out(self, count, available, expected):
        """
        As many workers as asked for, else one per GPU, else one; GPUs are shared in turn.
        """
        assert workers_by_device(count, available) == expected

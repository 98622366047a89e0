import os
import socket
import subprocess
import sys
import time

import psutil
import pytest
from support.waiting import eventually

from service.supervisor.devices import gpus, workers_by_device
from service.supervisor.machine import processes
from service.supervisor.memory import MemoryMeter
from service.supervisor.place import CannotStart, DataDirectory, free_port


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
        Redis first, then the reaper and the workers, then the service.
        """
        ranks = {name: spec.rank for name, spec in specs().items()}

        assert ranks == {"redis": 0, "reaper": 1, "cpu": 1, "compute-0": 1, "service": 2}

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

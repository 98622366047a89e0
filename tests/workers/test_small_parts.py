"""Settings, clients, scratch folders, the table of tasks, logs: small, and relied upon."""

import ast
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError
from redis import Redis
from support.waiting import until

from workers.embedded_redis import EmbeddedRedis
from workers.errors import QueueUnavailable
from workers.flows import FLOWS
from workers.logs import configure_logs
from workers.parts import open_parts
from workers.redis_client import connect, connect_transport
from workers.scratch import remove_left_over, scratch_folder
from workers.settings import ConnectionSettings, WorkerSettings
from workers.stop import FORCE, StepStopped, StopReason, StopSwitch
from workers.tasks.registry import TASKS, load_task


class TestSettings:
    def test_come_from_the_environment(self, monkeypatch):
        """
        Every field is a variable with our prefix.
        """
        monkeypatch.setenv("HANDSOFF_REDIS_URL", "redis://r:6379/1")
        monkeypatch.setenv("HANDSOFF_STORE_URL", "s3://bucket/prefix")
        monkeypatch.setenv("HANDSOFF_LEASE_SECONDS", "7.5")

        settings = WorkerSettings()

        assert (
            settings.redis_url,
            settings.store_url,
        ) == ("redis://r:6379/1", "s3://bucket/prefix")
        assert (settings.lease_seconds, settings.max_attempts) == (7.5, 3)

    def test_tell_no_secrets(self):
        """
        Printed settings show neither keys nor the URL that may hold a password.
        """
        settings = ConnectionSettings(
            redis_url="redis://:hunter2@r", store_url="s3://b", s3_secret_key="hunter2"
        )

        assert "hunter2" not in f"{settings!r} {settings}"
        with pytest.raises(ValidationError) as caught:
            ConnectionSettings(redis_url="redis://:hunter2@r", s3_secret_key="hunter2")
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("wrong", [{"lease_seconds": 0}, {"max_attempts": 0}, {"threads": -1}])
    def test_refuse_nonsense(self, wrong):
        """
        A value that makes no sense is refused by name.
        """
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            WorkerSettings(redis_url="x", store_url="x", **wrong)


class TestClients:
    def test_sit_out_a_restart(self, tmp_path):
        """
        A command given while Redis is away is done when it is back.
        """
        server = EmbeddedRedis(tmp_path)
        with connect(server.url) as client:
            with server.running():
                client.set("key", "before")
            found = []
            thread = threading.Thread(target=lambda: found.append(client.get("key")))
            thread.start()
            time.sleep(0.5)
            with server.running():
                thread.join(20)

        assert found == ["before"]

    def test_the_hasty_give_up_soon(self, tmp_path):
        """
        A client that shall not wait says soon, and in our words, that Redis is away.
        """
        begin = time.monotonic()

        client = connect(f"unix://{tmp_path}/none.sock", retries=1)
        with client, pytest.raises(QueueUnavailable, match="Redis cannot be reached"):
            client.get("key")

        assert time.monotonic() - begin < 3

    def test_speak_text_or_bytes(self, redis, redis_url):
        """
        Ours gives text; the transport's gives bytes, as RQ wants it.
        """
        redis.set("key", "é")
        with connect_transport(redis_url) as transport:
            assert ("é", "é".encode()) == (redis.get("key"), transport.get("key"))

    def test_parts_fit_together(self, redis_url, tmp_path):
        """
        From settings alone come parts that work with each other; nothing is sent before.
        """
        away = ConnectionSettings(redis_url="redis://127.0.0.1:1", store_url=f"file://{tmp_path}")
        open_parts(away).close()
        settings = WorkerSettings(redis_url=redis_url, store_url=f"file://{tmp_path}")
        parts = open_parts(settings)

        assert parts.redis.ping()
        assert isinstance(parts.transport, Redis)
        assert parts.orchestrator.jobs is parts.jobs
        assert {"cpu", "compute"} == set(parts.queue.depths())
        parts.close()


class TestScratch:
    def test_is_empty_and_gone_afterwards(self, tmp_path):
        """
        A step's folder is empty, and gone with all that is in it, also when the step fails.
        """
        root = tmp_path / "made"

        def fail():
            with scratch_folder(root) as folder:
                assert list(folder.iterdir()) == []
                (folder / "deep").mkdir()
                (folder / "deep" / "file").touch()
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert list(root.iterdir()) == []

    def test_of_the_dead_is_removed(self, tmp_path):
        """
        The folder of a killed process is removed, that of a living one is not.
        """
        code = (
            "import os, pathlib, sys; from workers.scratch import *\n"
            "with scratch_folder(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, tmp_path])
        assert len(list(tmp_path.iterdir())) == 1

        with scratch_folder(tmp_path) as folder:
            remove_left_over(tmp_path)
            assert [folder.parent] == list(tmp_path.iterdir())

    def test_nothing_is_there_at_first(self, tmp_path):
        """
        A folder that was never made needs no cleaning.
        """
        remove_left_over(tmp_path / "never")


class TestTasks:
    def test_every_stage_has_one(self):
        """
        The table names a module of ours for each task of each flow, and nothing else.
        """
        stages = {stage.task for flow in FLOWS.values() for stage in flow}

        assert stages == set(TASKS)
        assert {f"workers.tasks.{task}:run" for task in stages} == set(TASKS.values())

    @pytest.mark.parametrize("task", sorted(TASKS))
    def test_is_where_the_table_says(self, task):
        """
        Each named module is there and has the function, which takes the context alone.
        """
        spec = importlib.util.find_spec(f"workers.tasks.{task}")
        tree = ast.parse(Path(spec.origin).read_text())  # Not imported: some need torch.
        [run] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "run"]

        assert [argument.arg for argument in run.args.args] == ["context"]

    def test_unknown_ones_are_not_looked_for(self):
        """
        A name that is not in the table is never imported.
        """
        with pytest.raises(KeyError, match="os"):
            load_task("os")


class TestLogs:
    @pytest.fixture(autouse=True)
    def _as_before(self):
        """
        Logging is the process's; give it back as it was.
        """
        root = logging.getLogger()
        handlers, level = root.handlers, root.level
        yield
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()

    def test_are_json_for_collectors(self, capsys):
        """
        Each event is one line of JSON, with what is bound around it; so are those of libraries.
        """
        configure_logs("json")
        with structlog.contextvars.bound_contextvars(job="job_1"):
            structlog.get_logger("workers.x").info("step begins", step=3)
            logging.getLogger("library").warning("careful")

        first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
        assert (first["event"], first["step"], first["job"]) == ("step begins", 3, "job_1")
        assert (second["event"], second["level"], second["job"]) == ("careful", "warning", "job_1")

    def test_tell_tracebacks_once(self, capsys):
        """
        An error's traceback is part of its line.
        """
        configure_logs("json")
        try:
            raise ZeroDivisionError("secret")
        except ZeroDivisionError as error:
            structlog.get_logger("workers.x").error("broken", exc_info=error)

        [line] = capsys.readouterr().err.splitlines()
        assert "ZeroDivisionError" in json.dumps(json.loads(line)["exception"])

    def test_are_quiet_about_libraries(self, capsys):
        """
        For people: our events, and of libraries the warnings alone.
        """
        configure_logs("console")
        structlog.get_logger("workers.x").info("step begins")
        logging.getLogger("library").info("chatter")
        logging.getLogger("rq.worker").info("chatter")

        said = capsys.readouterr().err
        assert "step begins" in said
        assert "chatter" not in said


class TestStopSwitch:
    @pytest.fixture
    def switch(self):
        before = signal.getsignal(FORCE)
        switch = StopSwitch()
        switch.install()
        yield switch
        signal.signal(FORCE, before)

    def test_the_first_reason_counts(self, switch):
        """
        Whoever asks first says why.
        """
        switch.ask(StopReason.TIMED_OUT)
        switch.ask(StopReason.CANCELLED)

        with pytest.raises(StepStopped) as caught:
            switch.check()
        assert StopReason.TIMED_OUT is caught.value.reason

    def test_force_interrupts_a_wait(self, switch):
        """
        A main thread that sleeps is woken, when it is armed.
        """
        threading.Timer(0.2, lambda: (switch.ask(StopReason.CANCELLED), switch.force())).start()
        begin = time.monotonic()

        with pytest.raises(StepStopped), switch.armed():
            time.sleep(30)

        assert time.monotonic() - begin < 5

    def test_force_harms_nobody_else(self, switch):
        """
        Outside of a task the signal does nothing.
        """
        switch.ask(StopReason.CANCELLED)
        switch.force()
        with pytest.raises(StepStopped), switch.armed():
            pass
        switch.force()
        os.kill(os.getpid(), FORCE)

    def test_the_next_step_begins_anew(self, switch):
        """
        A reason that was one step's is not the next one's; that the process shall end is.
        """
        switch.ask(StopReason.CANCELLED)
        switch.begin()
        switch.check()
        switch.is_draining = True
        switch.begin()

        assert StopReason.DRAINED is switch.reason

    def test_asking_stops_at_the_next_report(self, switch):
        """
        Without force a task goes on until it looks.
        """
        threading.Timer(0.1, switch.ask, (StopReason.CANCELLED,)).start()
        with switch.armed():
            until(lambda: switch.reason)
            with pytest.raises(StepStopped):
                switch.check()

"""Our own Redis server: private, durable, and honest when there is none."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from workers.embedded_redis import EmbeddedRedis, NoRedisServer, find_server, server_version
from workers.redis_client import connect


class TestServer:
    def test_is_private(self, tmp_path):
        """
        It listens on a socket that only its owner can open, and on no port.
        """
        with EmbeddedRedis(tmp_path / "redis").running() as server, connect(server.url) as client:
            assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
            assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
            assert client.config_get("port")["port"] == "0"

    def test_remembers(self, tmp_path):
        """
        What it was told is there after it was stopped and started again.
        """
        for _ in range(2):
            with EmbeddedRedis(tmp_path).running() as server, connect(server.url) as client:
                client.incr("count")
        with EmbeddedRedis(tmp_path).running() as server, connect(server.url) as client:
            assert client.get("count") == "2"

    def test_forgets_nothing_when_it_is_full(self, tmp_path):
        """
        It refuses rather than drop keys.
        """
        with EmbeddedRedis(tmp_path).running() as server, connect(server.url) as client:
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"

    def test_is_ready_only_while_it_answers(self, tmp_path):
        """
        Readiness is an answer, not a file.
        """
        server = EmbeddedRedis(tmp_path)
        assert not server.is_ready()
        with server.running():
            assert server.is_ready()
        server.socket.touch()
        assert not server.is_ready()

    def test_lives_in_deep_folders(self, tmp_path):
        """
        Where a socket's path would be too long for the kernel, it lies elsewhere, as private.
        """
        deep = tmp_path / ("d" * 90) / "redis"
        with EmbeddedRedis(deep).running() as server, connect(server.url) as client:
            assert client.ping()
            assert deep not in server.socket.parents
            assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
            assert (deep / "appendonly.aof").exists()

    def test_says_why_it_does_not_start(self, tmp_path):
        """
        The server's own words come with the error.
        """
        (tmp_path / "appendonly.aof").write_text("this is no Redis file")

        with (
            pytest.raises(NoRedisServer, match="Bad file format"),
            EmbeddedRedis(tmp_path).running(),
        ):
            pass


class TestFinding:
    def test_finds_the_one_beside_python(self):
        """
        The server that was installed with us is taken.
        """
        assert Path(sys.prefix) in find_server().parents

    @pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
    def test_looks_on_the_path(self, tmp_path, monkeypatch, name):
        """
        Without it, a server of the PATH is taken, Valkey too, if it is new enough.
        """
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        program = script(tmp_path / name, "Valkey server v=8.1.3 sha=00000000:0 malloc=libc")

        assert program == find_server()

    def test_refuses_old_ones(self, tmp_path, monkeypatch):
        """
        A server before 6.2 is not taken; the error names it and says what to do.
        """
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        script(tmp_path / "redis-server", "Redis server v=6.0.16 sha=00000000:0")

        with pytest.raises(
            NoRedisServer, match=r"redis-server is 6\.0\).*make setup.*HANDSOFF_RED"
        ):
            find_server()

    def test_says_what_to_do_without_any(self, tmp_path, monkeypatch):
        """
        No server at all is an error with three ways out.
        """
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(NoRedisServer, match=r"make setup.*install.*HANDSOFF_REDIS_URL"):
            find_server()

    @pytest.mark.parametrize("said", ["", "nonsense"])
    def test_no_version_is_no_server(self, tmp_path, said):
        """
        What does not say its version, or does not run at all, is none.
        """
        assert server_version(script(tmp_path / "x", said)) is None
        assert server_version(tmp_path / "not-there") is None

    def test_the_socket_follows_from_the_folder(self, tmp_path):
        """
        Another process that knows the folder finds the same server.
        """
        deep = tmp_path / ("d" * 100)
        code = (
            f"from workers.embedded_redis import *; print(EmbeddedRedis(Path({str(deep)!r})).url)"
        )

        said = subprocess.check_output([sys.executable, "-c", code], text=True)

        assert EmbeddedRedis(deep).url == said.strip()
        assert len(os.fsencode(EmbeddedRedis(deep).socket)) < 108


def script(path: Path, said: str) -> Path:
    """
    A program that says something.
    """
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path

"""Starting servers for tests: a free port, and waiting until somebody listens there."""

import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """
    A port of this machine that nobody listens on.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, log: Path, seconds: float = 60) -> None:
    """
    Return when somebody listens; say what the server's log says if nobody does.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}:\n{log.read_text()[-3000:]}")


def stop(child: subprocess.Popen) -> None:
    """
    End a process that we started.
    """
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

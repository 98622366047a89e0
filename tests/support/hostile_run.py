"""Reads every file of a folder, each in a process of its own, and tells how that went.

    python -m support.hostile_run FOLDER     one JSON object per line, for each file

The reader is imported once; each file gets a copy of that process. Memory is the peak of the
copy's resident set above what it had at its start, so an idle reader counts as nothing.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from models.checkpoints.containers import read_contents
from models.checkpoints.inspection import open_any
from models.checkpoints.latents import read_latents
from models.checkpoints.sniff import FileKind, sniff
from models.errors import CheckpointError

SECONDS = 60
SUSPECT = ("os.", "subprocess.", "socket.", "shutil.", "exec", "ctypes.", "pty.")


def main(folder: Path) -> None:
    """Read all files in a folder."""
    for path in sorted(folder.iterdir()):
        print(json.dumps({"name": path.name} | _in_a_copy(path)), flush=True)  # noqa: T201


def _in_a_copy(path: Path) -> dict[str, object]:
    """What a copy of this process finds."""
    outlet, inlet = os.pipe()
    copy = os.fork()
    if not copy:
        os.close(outlet)
        os.write(inlet, json.dumps(_measured(path)).encode())
        os._exit(0)
    os.close(inlet)
    with os.fdopen(outlet, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(copy, 0)
    return json.loads(answer) if answer else {"end": f"died: {status}"}


def _measured(path: Path) -> dict[str, object]:
    """The outcome of a reading with its cost."""
    events: list[str] = []
    reading = True

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if reading and event.startswith(SUSPECT):
            events.append(f"{event} {arguments!r}"[:200])

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    sys.addaudithook(hear)
    began = time.process_time()
    outcome = _outcome(path)
    seconds = time.process_time() - began
    reading = False
    peak = _memory("VmHWM")
    return outcome | {"seconds": seconds, "megabytes": (peak - before) / 1024, "events": events}


def _outcome(path: Path) -> dict[str, object]:
    """How a reading ended."""
    try:
        if path.is_file() and path.stat().st_size and sniff(path) is FileKind.SAFETENSORS:
            open_any(path)
        inert = sorted(read_contents(path).inert)
        return {"end": "read", "inert": inert, "unfit": list(_refusals(path))}
    except CheckpointError as error:
        return {"end": "refused", "says": str(error)}
    except BaseException as error:  # reported, and fails the test
        return {"end": f"crashed: {type(error).__name__}: {error}"[:300]}


def _refusals(path: Path) -> Iterator[str]:
    """Why a file that can be read is no network, and why it is no latents."""
    for read in (open_any, read_latents):
        try:
            read(path)
        except CheckpointError as error:
            yield str(error)


def _memory(kind: str) -> int:
    """This process's memory of a kind, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(Path(sys.argv[1]))

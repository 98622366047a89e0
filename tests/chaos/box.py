"""A file system of a few megabytes, so that a disk can be full. Linux only.

Without root it lies in a user namespace of our own, where the kernel allows that.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLE = "HANDSOFF_CHAOS_BOX"
_MEBIBYTES = 96


def enter() -> None:
    """
    Start this program again where it may mount; where it may not, go on without.
    """
    if _VARIABLE in os.environ:
        return
    ways = [["unshare", "--mount"], ["unshare", "--mount", "--user", "--map-root-user"]]
    for way in ways:
        if shutil.which(way[0]) and subprocess.run([*way, "true"]).returncode == 0:
            os.environ[_VARIABLE] = "1"
            again = [sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
            os.execvp(way[0], [*way, *again])
    os.environ[_VARIABLE] = ""


@contextmanager
def mounted(folder: Path) -> Iterator[Path | None]:
    """
    A small file system at `folder`; None where there can be none.
    """
    if not os.environ.get(_VARIABLE):
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={_MEBIBYTES}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

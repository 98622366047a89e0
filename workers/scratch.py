"""A folder for each running step, removed afterwards; and those of workers that were killed."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root`, gone afterwards with all that is in it.

    It is in use as long as its lock is held; the kernel ends that when the process ends.
    """
    root.mkdir(parents=True, exist_ok=True)
    unlocked = Path(tempfile.mkdtemp(prefix="new-", dir=root))
    with (unlocked / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now may others look whether it is in use.
        outer = unlocked.rename(unlocked.with_name(f"step-{unlocked.name}"))
        folder = outer / "files"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(outer, ignore_errors=True)


def remove_left_over(root: Path) -> None:
    """Remove the folders whose processes have ended without doing so."""
    for outer in root.glob("step-*"):
        try:
            with (outer / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(outer, ignore_errors=True)
        except OSError:  # In use; or just gone.
            continue

"""`make fuzz`: hours of broken files for the checkpoint reader, guided by what code they reach.

Needs atheris, which no test needs. Each input is packed as one of `PACKAGES`, read from a
file, and must end in contents or a `CheckpointError`; anything else, a process started, code
compiled or memory that grows is a finding, kept in the output folder.

    python -m tests.fuzz --minutes 30 --out .handsoff/fuzz
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["models.checkpoints"]):
    from models.checkpoints.containers import read_contents
    from models.errors import CheckpointError

from tests.fuzz.packages import pack, seeds

FORBIDDEN = ("os.", "subprocess.", "exec", "compile", "import", "socket.", "shutil.", "ctypes.")
SLOW, REPORT_EVERY = 20.0, 60.0
RSS_LIMIT_MB = 2000


class Harness:
    """Reads one input after the other, and keeps the account.

    Args:
        folder: where the files are written, best in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "checkpoint"
        self._warm = self._reading = False
        self._began = self._reported = time.monotonic()
        self.read = self.refused = 0
        self.slowest = 0.0
        sys.addaudithook(self._hear)

    def warm_up(self, inputs: list[bytes]) -> None:
        """Whatever is imported on first use is imported here; afterwards nothing may be."""
        for data in inputs:
            self(data)
        self._warm = True

    def __call__(self, data: bytes) -> None:
        """Reads one input."""
        self._path.write_bytes(pack(data))
        began = time.monotonic()
        self._reading = self._warm
        refusal = self._refusal()
        self._reading = False
        if refusal is None:
            self.read += 1
        else:
            assert str(self._path) in refusal
            assert refusal.isprintable()
            self.refused += 1
        self._account(time.monotonic() - began)

    def _refusal(self) -> str | None:
        """Why the file was refused, if it was."""
        try:
            read_contents(self._path)
        except CheckpointError as error:
            return str(error)
        return None

    def _account(self, seconds: float) -> None:
        """Now and then a line on how it goes."""
        self.slowest = max(self.slowest, seconds)
        if seconds > SLOW:
            raise TimeoutError(f"{seconds:.0f} s for {self._path.stat().st_size} bytes")
        now = time.monotonic()
        if now - self._reported > REPORT_EVERY:
            self._reported = now
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            sys.stderr.write(
                f"harness: {now - self._began:.0f} s, {self.read} read, {self.refused} refused, "
                f"resident {pages * os.sysconf('SC_PAGESIZE') >> 20} MB, peak {peak >> 10} MB, "
                f"slowest {self.slowest:.2f} s\n"
            )

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """Python's audit hook: what reading never has a reason to do."""
        if self._reading and event.startswith(FORBIDDEN):
            self._reading = False
            sys.stderr.write(f"harness: {event} {arguments!r}\n")
            os.abort()


def main() -> None:
    """Run for the asked time, or until something is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path(".handsoff/fuzz"))
    options, more = parser.parse_known_args()
    corpus = options.out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    inputs = seeds()
    for number, data in enumerate(inputs):
        (corpus / f"seed-{number:03}").write_bytes(data)
    scratch = Path("/dev/shm") if Path("/dev/shm").is_dir() else options.out
    harness = Harness(scratch)
    harness.warm_up(inputs)
    flags = [
        f"-max_total_time={options.minutes * 60:.0f}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-artifact_prefix={options.out}/found-",
        f"-dict={Path(__file__).with_name('pickle.dict')}",
        "-timeout=30",
        "-max_len=65536",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *flags, *more, str(corpus)], harness)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

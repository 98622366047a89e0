"""Progress, for people: live bars in a terminal, a line now and then in a log.

Knows jobs and bytes as the client tells of them; asks the service nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

if TYPE_CHECKING:
    from service.client import Job

LOG_SECONDS = 10.0
"""How often a log that nobody watches gets a line from the same phase."""


class Bars:
    """A stack of bars, one per thing that goes on; a context manager.

    Args:
        console: where they are drawn; where that is no terminal, lines are printed instead.
        clock: seconds on a clock that never goes back.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = console.is_terminal
        self._console = console
        self._clock = clock
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def add(self, title: str) -> "Bar":
        """A new bar below the others."""
        task = self._progress.add_task(title, total=None, detail="")
        return Bar(title, self, task, began=self._clock())

    def draw(self, bar: "Bar", done: float, total: float | None, detail: str) -> None:
        """Show how far a bar is."""
        self._progress.update(bar.task, completed=done, total=total, detail=detail)

    def log(self, bar: "Bar", detail: str, topic: str) -> None:
        """Print a line, unless one was printed on the same topic a moment ago."""
        now = self._clock()
        if self._live or (topic == bar.topic and now - bar.logged < LOG_SECONDS):
            return
        bar.topic, bar.logged = topic, now
        line = f"{bar.title}: {detail}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def seconds_since(self, moment: float) -> float:
        """Seconds since a moment of the clock."""
        return self._clock() - moment


@dataclass
class Bar:
    """One thing that goes on."""

    title: str
    bars: Bars
    task: TaskID
    began: float
    topic: str = field(default="", repr=False)
    logged: float = field(default=0.0, repr=False)

    def job(self, job: "Job") -> None:
        """Show a job as it stands."""
        progress, detail = job.progress, describe(job)
        done, total = (progress.done, progress.total) if progress else (0, 0)
        self.bars.draw(self, done, total or None, detail)
        self.bars.log(self, detail, topic=f"{job.state} {progress.phase if progress else ''}")

    def bytes(self, done: int, total: int) -> None:
        """Show a transfer."""
        seconds = self.bars.seconds_since(self.began)
        rate = done / seconds if seconds > 0 else 0.0
        left = f", {duration((total - done) / rate)} left" if 0 < done < total and rate else ""
        detail = f"{size(done)} of {size(total)}, {size(rate)}/s{left}"
        self.bars.draw(self, done, total or None, detail)
        self.bars.log(self, detail, topic="bytes" if done < total else "all bytes")

    def count(self, done: int, total: int, unit: str) -> None:
        """Show how many of a number of things are done."""
        detail = f"{done:,}/{total:,} {unit}"
        self.bars.draw(self, done, total, detail)
        self.bars.log(self, detail, topic=unit)

    def note(self, detail: str) -> None:
        """Show a word where nothing can be counted."""
        self.bars.draw(self, 0, None, detail)
        self.bars.log(self, detail, topic=detail)

    def finish(self, detail: str = "") -> float:
        """It is done; how many seconds it took."""
        seconds = self.bars.seconds_since(self.began)
        text = duration(seconds) + (f"  {detail}" if detail else "")
        self.bars.draw(self, 1, 1, text)
        self.bars.log(self, f"done in {text}", topic="finished")
        return seconds


def describe(job: "Job") -> str:
    """A job's progress in a few words: phase, count, rate, what is left."""
    progress = job.progress
    if job.ended or progress is None or not progress.phase:
        return job.state
    parts = [progress.phase]
    if progress.total:
        parts[0] += f" {progress.done:,}/{progress.total:,} {progress.unit}".rstrip()
    if progress.rate:
        parts.append(f"{progress.rate:,.1f}/s")
    if progress.eta_seconds is not None:
        parts.append(f"{duration(progress.eta_seconds)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people say them: `8 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Bytes as people say them, in powers of 1000: `812 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

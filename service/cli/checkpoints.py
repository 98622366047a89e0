"""Checkpoint files without a service: runs `python -m models.checkpoints` and shows what it says.

Networks need torch, which this process never imports: the child does, and says where it is not.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from service.cli.failures import NotStarted, WrongUsage
from service.cli.session import Session

Checkpoint = Annotated[
    str, typer.Argument(metavar="FILE", help="A file of any family, or an address s3://…")
]
AsFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Of any family.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", dir_okay=False, help="The file to write.")]


def inspect_file(session: Session, what: str, file: Path, family: str | None = None) -> None:
    """Show what a file is.

    Args:
        session: where to show it.
        what: `generator` or `encoder`.
        file: the checkpoint.
        family: of an encoder's codes, where the file does not say.

    Raises:
        WrongUsage: the file cannot be read as that; the message says why.
        NotStarted: torch is not installed.
    """
    words = ["inspect", file, "--as", what, *_family(family)]
    document = run(words)
    session.emit(document, lambda console: _show(console, document))


def convert_file(
    session: Session, what: str, file: Path, out: Path, family: str | None = None
) -> None:
    """Write the same network in our own layout, and show what it is; see `inspect_file`."""
    document = run(["convert", file, out, "--as", what, *_family(family)])
    session.emit(document, lambda console: _show(console, document))


def sample_file(
    session: Session, file: Path, seeds: str, out: Path, psi: float, label: int | None
) -> None:
    """Write a picture of what a generator draws; see `inspect_file`."""
    chosen = [] if label is None else ["--class", label]
    document = run(["sample", file, "--seeds", seeds, "--out", out, "--psi", psi, *chosen])
    session.emit(document, lambda console: console.print(f"Written: {out}", markup=False))


def run(words: Sequence[object]) -> dict[str, Any]:
    """What `python -m models.checkpoints` says.

    Raises:
        WrongUsage: it refused; the message is its own.
        NotStarted: torch is not installed.
    """
    # -P: a folder called `models` where somebody happens to be is not ours.
    command = [sys.executable, "-P", "-m", "models.checkpoints", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        if done.returncode == 2:  # argparse's.
            raise WrongUsage(done.stderr.strip().splitlines()[-1]) from error
        raise RuntimeError(f"reading the checkpoint ended with {done.stderr[-2000:]}") from error
    if said := document.get("error"):
        kind = NotStarted if said["code"] == "torch_missing" else WrongUsage
        raise kind(said["message"])
    return document


def _family(family: str | None) -> list[str]:
    return [] if family is None else ["--family", family]


def _show(console: Console, document: dict[str, Any]) -> None:
    from models.checkpoints.reports import lines_of  # The command line starts without the method.

    lines = list(lines_of(document))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:  # No table: it would cut digests at the screen's edge.
        console.print(f"{name:{width}}  {text}", markup=False, soft_wrap=True)

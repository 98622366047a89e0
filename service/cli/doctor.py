"""`handsoff doctor`: what is wrong with a deployment, in words."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from service.cli.place import HERE, DataDir, opened, settings_of
from service.cli.session import Session, session

if TYPE_CHECKING:
    from service.checkup import Finding

_COLOURS = {"ok": "green", "hint": "yellow", "wrong": "red"}


def doctor(context: typer.Context, data_dir: DataDir = HERE) -> None:
    """Check a deployment: settings, Redis, store, workers, service, access, room on the disk.

    Run it with the service's settings, or beside the data directory of `handsoff up`. Exits with 1
    if something is wrong; hints are no fault.

    Example: handsoff doctor --json
    """
    here = session(context)
    found = list(_findings(here, data_dir))
    rows = [_row(finding) for finding in found]
    here.emit(rows, lambda console: _show(console, rows))
    if any(finding.status == "wrong" for finding in found):
        raise typer.Exit(1)


def _findings(here: Session, data_dir: Path) -> "Iterable[Finding]":
    from service.checkup import Deployment, Finding, Status, check_up
    from service.settings import ServiceSettings
    from workers.settings import WorkerSettings

    wrong: list[Finding] = []
    settings: list[Any] = []
    for kind in (ServiceSettings, WorkerSettings):
        try:
            settings.append(settings_of(kind, data_dir))
        except ValidationError as error:
            wrong += [
                Finding("settings", Status.WRONG, f"{_variable(e['loc'])}: {e['msg']}")
                for e in error.errors()
            ]
    if wrong:
        yield from dict.fromkeys(wrong)  # Some are in both.
        return
    yield Finding("settings", Status.OK, "all can be read")
    service, worker = settings
    with opened(worker) as parts:
        yield from check_up(
            Deployment(service, worker, parts, here.url, here.api_key, here.transport)
        )


def _variable(location: tuple[int | str, ...]) -> str:
    return "HANDSOFF_" + "_".join(str(part) for part in location).upper()


def _row(finding: "Finding") -> dict[str, str]:
    return {
        "check": finding.check,
        "status": str(finding.status),
        "detail": finding.detail,
        "remedy": finding.remedy,
    }


def _show(console: Console, rows: Iterable[dict[str, str]]) -> None:
    for row in rows:
        status = f"[{_COLOURS[row['status']]}]{row['status']:<5}[/]"
        console.print(status, end=" ")
        console.print(f"{row['check']}: {row['detail']}", markup=False, soft_wrap=True)
        if row["remedy"]:
            console.print(f"      {row['remedy']}", markup=False, soft_wrap=True)

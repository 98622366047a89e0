"""What the commands on resources share: options, waiting with a bar, showing what came out."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from service.cli.failures import ExitCode, WrongUsage
from service.cli.progress import Bars
from service.cli.session import Session, table

if TYPE_CHECKING:
    from service.client import Client, Resource

Name = Annotated[str, typer.Option(help="Free text, shown in lists.")]
Licence = Annotated[str, typer.Option(help="Carried into every card made from it.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until it is ready, with a progress bar.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Any other field of the API's configuration; may be repeated.",
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="How many to list, newest first.")]
COLUMNS = ("id", "name", "state", "created_at", "job.id")


def settings(given: Sequence[str] | None, **named: Any) -> dict[str, Any]:
    """Configuration fields: those of named options that were given, and those of `--set`.

    Raises:
        WrongUsage: a `--set` without an equals sign.
    """
    fields = {name: value for name, value in named.items() if value is not None}
    for assignment in given or ():
        name, equals, text = assignment.partition("=")
        if not equals:
            raise WrongUsage(f"--set {assignment}: write FIELD=VALUE, e.g. --set seed=1")
        try:
            fields[name] = json.loads(text)
        except ValueError:
            fields[name] = text  # A word, e.g. distance=perceptual.
    return fields


def settle(session: Session, client: "Client", resource: "Resource", wait: bool) -> "Resource":
    """Wait for a new resource if that is wanted, and print it."""
    if wait and resource.job is not None:
        resource = follow(session, client, resource)
    elif resource.job is not None:
        session.remark(f"Started; follow it with: handsoff jobs watch {resource.job.id}")
    emit(session, resource)
    return resource


def follow(session: Session, client: "Client", resource: "Resource") -> "Resource":
    """Wait for a resource with a bar. Ctrl-C leaves the job alone and says how to find it."""
    assert resource.job is not None
    job = resource.job
    with Bars(session.remarks) as bars:
        bar = bars.add(job.kind or resource.id)
        try:
            ready = client.wait(resource, bar.job)
        except KeyboardInterrupt:
            session.remark(
                f"Job {job.id} goes on. `handsoff jobs watch {job.id}` follows it, "
                f"`handsoff jobs cancel {job.id}` ends it."
            )
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        bar.finish()
    return ready


def emit(session: Session, resource: "Resource") -> None:
    """Print one resource."""
    whole = resource.model_dump(mode="json")
    session.emit(whole, lambda console: _show(console, whole))


def emit_list(session: Session, resources: Sequence["Resource"]) -> None:
    """Print resources."""
    session.emit_table([each.model_dump(mode="json") for each in resources], COLUMNS)


def _show(console: Console, resource: Mapping[str, Any]) -> None:
    """A resource for people: what it is, and the figures of its result."""
    head = {name: resource.get(name) for name in ("id", "name", "licence", "state", "created_at")}
    job = resource.get("job") or {}
    lines = {**head, "job": job.get("id"), **(resource.get("parents") or {})}
    lines |= _figures(resource.get("result") or {})
    shown = [{"": name, " ": value} for name, value in lines.items() if value not in (None, "")]
    console.print(table(shown, ("", " ")))


def _figures(result: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The plain values of a result by dotted name; of a list only how long it is."""
    figures: dict[str, Any] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            figures |= _figures(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and not isinstance(value[0], str | int):
            figures[f"{prefix}{name}"] = f"{len(value)} entries"
        else:
            figures[f"{prefix}{name}"] = value
    return figures

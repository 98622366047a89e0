"""The `handsoff` command: its parts put together, and how it ends."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from service.cli import (
    admin,
    datasets,
    doctor,
    encoders,
    generations,
    generators,
    jobs,
    keys,
    label_generators,
    local,
    removal,
    webhooks,
)
from service.cli.session import DEFAULT_URL, Session

if TYPE_CHECKING:
    import httpx

EXIT_CODES = (
    "Exit codes: 0 done, 2 wrong usage, 3 refused, 4 service unreachable or broken, 5 job failed, "
    "6 job cancelled, 7 not in time, 8 corrupt download, 9 cannot start here, 10 demo went wrong, "
    "130 interrupted, 1 anything else."
)

app = typer.Typer(
    name="handsoff",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("handsoff"))
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="HANDSOFF_URL", help="The service; may stand anywhere.")
    ] = DEFAULT_URL,
    api_key: Annotated[
        str | None, typer.Option(envvar="HANDSOFF_API_KEY", help="Where the service wants one.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout, nothing else; may stand anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Labelled datasets from a StyleGAN2 and a few labelled images.

    `handsoff up` starts everything on this machine; `handsoff demo` shows it from end to end.
    """
    del version  # Its callback has done what it is for.
    shared = context.obj if isinstance(context.obj, Session) else Session()
    shared.url, shared.api_key, shared.as_json = url, api_key, as_json
    context.obj = shared


app.command()(local.up)
app.command()(local.demo)
removal.add_delete(generators.app, "generator", "gen")
removal.add_delete(encoders.app, "encoder", "enc")
removal.add_delete(datasets.app, "dataset", "dst")
removal.add_delete(label_generators.inversions, "inversion", "inv")
removal.add_delete(label_generators.app, "label-generator", "lbl")
app.add_typer(generators.app, name="generator")
app.add_typer(encoders.app, name="encoder")
app.add_typer(datasets.app, name="dataset")
app.add_typer(label_generators.inversions, name="inversion")
app.add_typer(label_generators.app, name="label-generator")
app.command()(generations.generate)
app.command()(generations.evaluate)
app.command()(generations.fetch)
app.command()(removal.delete)
app.add_typer(jobs.app, name="jobs")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(keys.app, name="keys")
app.add_typer(admin.app, name="admin")
app.command()(doctor.doctor)


def run(
    arguments: Sequence[str] | None = None, transport: "httpx.BaseTransport | None" = None
) -> NoReturn:
    """Run a command line and exit; see `service.cli.failures` for the codes.

    Args:
        arguments: those of the process when left out.
        transport: in place of the network; for tests.
    """
    words = _shared_options_first(list(sys.argv[1:] if arguments is None else arguments))
    shared = Session(as_json="--json" in words, transport=transport)
    try:
        app(words, prog_name="handsoff", obj=shared)
    except Exception as error:
        from service.cli.failures import EXPECTED, report

        if not isinstance(error, EXPECTED) or os.environ.get("HANDSOFF_TRACEBACK"):
            raise
        sys.exit(report(error, shared))
    sys.exit(0)


def _shared_options_first(words: list[str]) -> list[str]:
    """Let --json and --url stand anywhere, also behind the command, where people write them."""
    first: list[str] = []
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--json" or word.startswith("--url="):
            first.append(word)
        elif word == "--url" and words:
            first += [word, words.pop(0)]
        else:
            rest.append(word)
    return first + rest


if __name__ == "__main__":
    run()

"""`handsoff generator …`: StyleGAN2 checkpoints on the service."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.progress import Bars
from service.cli.session import session
from service.cli.work import Licence, Limit, Name, Wait, emit, emit_list, settle

app = typer.Typer(no_args_is_help=True, help="StyleGAN2 generators.")
Id = Annotated[str, typer.Argument(metavar="GENERATOR", help="Its id, gen_…")]


@app.command()
def register(
    context: typer.Context,
    checkpoint: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A StyleGAN2 file of any family.")
    ],
    name: Name = "",
    licence: Licence = "",
    wait: Wait = True,
) -> None:
    """Upload a checkpoint and register it. It is read, never executed.

    Example: handsoff generator register ffhq.pkl --name FFHQ --licence "CC BY-NC-SA 4.0"
    """
    here = session(context)
    with here.client() as client:
        with Bars(here.remarks) as bars:
            bar = bars.add(f"upload {checkpoint.name}")
            upload = client.uploads.create(checkpoint, bar.bytes)
            bar.finish()
        generator = client.generators.create(upload, name=name, licence=licence)
        settle(here, client, generator, wait)


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20) -> None:
    """List generators, newest first.

    Example: handsoff generator list
    """
    here = session(context)
    with here.client() as client:
        emit_list(here, list(client.generators.list(limit)))


@app.command()
def show(context: typer.Context, generator: Id) -> None:
    """Show a generator and its card.

    Example: handsoff generator show gen_01…
    """
    here = session(context)
    with here.client() as client:
        emit(here, client.generators.get(generator))


@app.command()
def preview(
    context: typer.Context,
    generator: Id,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("preview.png"),
) -> None:
    """Write a picture of what a generator draws.

    Example: handsoff generator preview gen_01… --out ffhq.png
    """
    here = session(context)
    with here.client() as client:
        out.write_bytes(client.generators.preview(generator))
    here.emit({"path": str(out)}, lambda console: console.print(f"Written: {out}"))

"""`handsoff generator …`: StyleGAN2 checkpoints, on the service and in files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.checkpoints import (
    AsFile,
    Checkpoint,
    Out,
    convert_file,
    inspect_file,
    sample_file,
)
from service.cli.failures import WrongUsage
from service.cli.progress import Bars
from service.cli.session import Session, session
from service.cli.work import Licence, Limit, Name, Wait, emit, emit_list, settle

if TYPE_CHECKING:
    from service.client import Client, Upload

app = typer.Typer(no_args_is_help=True, help="StyleGAN2 generators.")
Id = Annotated[str, typer.Argument(metavar="GENERATOR", help="Its id, gen_…")]


@app.command()
def register(
    context: typer.Context,
    checkpoint: Checkpoint,
    name: Name = "",
    licence: Licence = "",
    wait: Wait = True,
) -> None:
    """Register a checkpoint: a file, or an s3:// address. It is read, never executed.

    Example: handsoff generator register ffhq.pkl --name FFHQ --licence "CC BY-NC-SA 4.0"
    """
    here = session(context)
    with here.client() as client:
        place = placed(here, client, checkpoint)
        generator = client.generators.create(place, name=name, licence=licence)
        settle(here, client, generator, wait)


def placed(here: Session, client: "Client", checkpoint: str) -> "Upload | str":
    """Where the service finds a checkpoint: an address stays one, a file is uploaded, with a bar.

    Raises:
        WrongUsage: there is no such file.
    """
    if checkpoint.startswith("s3://"):
        return checkpoint
    file = Path(checkpoint)
    if not file.is_file():
        raise WrongUsage(f"{checkpoint} is no file; give a checkpoint, or an address s3://…")
    with Bars(here.remarks) as bars:
        bar = bars.add(f"upload {file.name}")
        upload = client.uploads.create(file, bar.bytes)
        bar.finish()
    return upload


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


@app.command()
def inspect(context: typer.Context, file: AsFile) -> None:
    """Say what a checkpoint is; no service is needed. It is read, never executed.

    Example: handsoff generator inspect ffhq.pkl
    """
    inspect_file(session(context), "generator", file)


@app.command()
def convert(context: typer.Context, file: AsFile, out: Out) -> None:
    """Write the same generator as safetensors; no service is needed.

    Example: handsoff generator convert ffhq.pkl ffhq.safetensors
    """
    convert_file(session(context), "generator", file, out)


@app.command()
def sample(
    context: typer.Context,
    file: AsFile,
    seeds: Annotated[str, typer.Option(help="As 0-15 or 3,7,9.")] = "0-15",
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("sheet.png"),
    psi: Annotated[float, typer.Option(help="Truncation; 1 is none.")] = 1.0,
    label: Annotated[
        int | None, typer.Option("--class", min=0, help="Of a conditional generator.")
    ] = None,
) -> None:
    """Write a picture of what a checkpoint draws; no service is needed.

    Example: handsoff generator sample ffhq.pkl --seeds 0-15 --psi 0.7
    """
    sample_file(session(context), file, seeds, out, psi, label)

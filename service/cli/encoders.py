"""`handsoff encoder …`: pSp, e4e and ReStyle encoders, on the service and in files."""

from typing import Annotated

import typer

from service.cli.checkpoints import AsFile, Out, convert_file, inspect_file
from service.cli.checkpoints import Checkpoint as Place
from service.cli.generators import placed
from service.cli.session import session
from service.cli.work import Licence, Limit, Name, Wait, emit, emit_list, settle

app = typer.Typer(no_args_is_help=True, help="Encoders: where inversions may start.")
Family = Annotated[
    str | None, typer.Option(help="psp or e4e, for files that do not say how they are meant.")
]


@app.command()
def register(
    context: typer.Context,
    checkpoint: Place,
    name: Name = "",
    licence: Licence = "",
    family: Family = None,
    decoder: Annotated[
        bool, typer.Option("--decoder", help="Also register the generator inside the file.")
    ] = False,
    wait: Wait = True,
) -> None:
    """Register an encoder's file, or an s3:// address. It is read, never executed.

    Example: handsoff encoder register restyle_e4e_ffhq.pt --decoder
    """
    here = session(context)
    with here.client() as client:
        place = placed(here, client, checkpoint)
        encoder = client.encoders.create(
            place, name=name, licence=licence, family=family, register_decoder=decoder
        )
        settle(here, client, encoder, wait)


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20) -> None:
    """List encoders, newest first.

    Example: handsoff encoder list
    """
    here = session(context)
    with here.client() as client:
        emit_list(here, list(client.encoders.list(limit)))


@app.command()
def show(
    context: typer.Context,
    encoder: Annotated[str, typer.Argument(metavar="ENCODER", help="Its id, enc_…")],
) -> None:
    """Show an encoder and its card.

    Example: handsoff encoder show enc_01…
    """
    here = session(context)
    with here.client() as client:
        emit(here, client.encoders.get(encoder))


@app.command()
def inspect(context: typer.Context, file: AsFile, family: Family = None) -> None:
    """Say what an encoder's file is; no service is needed. It is read, never executed.

    Example: handsoff encoder inspect restyle_e4e_ffhq.pt
    """
    inspect_file(session(context), "encoder", file, family)


@app.command()
def convert(context: typer.Context, file: AsFile, out: Out, family: Family = None) -> None:
    """Write the same encoder as safetensors; no service is needed.

    Example: handsoff encoder convert restyle_e4e_ffhq.pt encoder.safetensors
    """
    convert_file(session(context), "encoder", file, out, family)

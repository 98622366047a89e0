"""`handsoff encoder …`: pSp, e4e and ReStyle encoders, on the service and in files; training."""

from typing import Annotated

import typer

from service.cli.checkpoints import AsFile, Out, convert_file, inspect_file
from service.cli.checkpoints import Checkpoint as Place
from service.cli.generators import placed
from service.cli.session import session
from service.cli.work import (
    Licence,
    Limit,
    Name,
    Settings,
    Wait,
    emit,
    emit_list,
    settings,
    settle,
)

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


@app.command()
def train(
    context: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="GENERATOR", help="Its id, gen_…")],
    dataset: Annotated[
        str | None,
        typer.Option(help="A dataset's id, dst_…; its images are learnt from too, labels aside."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="resnet34, ir-se50, or small for images of 64 pixels or so.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    more: Settings = None,
    name: Name = "",
    wait: Wait = True,
) -> None:
    """Train a ReStyle encoder for a generator.

    Example: handsoff encoder train gen_01… --backbone small --steps 2000 --set batch=16
    """
    here = session(context)
    config = settings(more, backbone=backbone, steps=steps)
    with here.client() as client:
        made = client.encoders.train(generator, dataset=dataset, name=name, **config)
        settle(here, client, made, wait)


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

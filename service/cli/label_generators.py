"""`handsoff label-generator …` and `handsoff inversion …`: learning to label what is drawn."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.failures import WrongUsage
from service.cli.session import session
from service.cli.work import Limit, Name, Settings, Wait, emit, emit_list, settings, settle

app = typer.Typer(no_args_is_help=True, help="Ensembles that label what a generator draws.")
inversions = typer.Typer(no_args_is_help=True, help="Latents of a dataset's images.")
Dataset = Annotated[str | None, typer.Option(help="A dataset's id, dst_…")]
Generator = Annotated[str | None, typer.Option(help="A generator's id, gen_…")]
Encoder = Annotated[
    str | None, typer.Option(help="An encoder's id, enc_…; the search starts from its guess.")
]
Distance = Annotated[
    str | None,
    typer.Option(help="lpips (needs the ImageNet trunk) or perceptual (a random trunk)."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Of everything random.")]
Kind = Annotated[
    str | None, typer.Option(help="Which labels are learnt: segmentation, keypoints or depth.")
]
Members = Annotated[int | None, typer.Option(min=1, help="Networks in the ensemble.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps at most.")]
Like = Annotated[
    str | None, typer.Option(help="A label generator's id, lbl_…, to train again, changed.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Key of an image to leave out; may be repeated.")
]
MaxDistance = Annotated[
    float | None,
    typer.Option(help="Leave out images that are farther from their reconstruction."),
]
DropWorst = Annotated[
    float | None,
    typer.Option(help="Leave out so many of the farthest: their number, or share below 1."),
]


@inversions.command("create")
def create_inversion(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(help="A dataset's id, dst_…")],
    generator: Annotated[str, typer.Option(help="A generator's id, gen_…")],
    steps: Annotated[int | None, typer.Option(min=0, help="Optimisation steps at most.")] = None,
    distance: Distance = None,
    encoder: Encoder = None,
    latents: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file of latents found elsewhere."),
    ] = None,
    seed: Seed = None,
    more: Settings = None,
    name: Name = "",
    wait: Wait = True,
) -> None:
    """Find the latents of a dataset's images in a generator.

    Example: handsoff inversion create --dataset dst_01… --generator gen_01… --steps 300
    """
    here = session(context)
    config = settings(more, steps=steps, distance=distance, seed=seed)
    with here.client() as client:
        made = client.inversions.create(
            dataset, generator, encoder=encoder, latents=latents, name=name, **config
        )
        settle(here, client, made, wait)


@inversions.command("list")
def list_inversions(context: typer.Context, limit: Limit = 20) -> None:
    """List inversions, newest first.

    Example: handsoff inversion list
    """
    here = session(context)
    with here.client() as client:
        emit_list(here, list(client.inversions.list(limit)))


@inversions.command("show")
def show_inversion(
    context: typer.Context,
    inversion: Annotated[str, typer.Argument(help="Its id, inv_…")],
) -> None:
    """Show an inversion and its report.

    Example: handsoff inversion show inv_01…
    """
    here = session(context)
    with here.client() as client:
        emit(here, client.inversions.get(inversion))


@app.command()
def create(
    context: typer.Context,
    inversion: Annotated[str | None, typer.Option(help="An inversion's id, inv_…")] = None,
    dataset: Dataset = None,
    generator: Generator = None,
    encoder: Encoder = None,
    distance: Distance = None,
    kind: Kind = None,
    members: Members = None,
    steps: Steps = None,
    seed: Seed = None,
    like: Like = None,
    exclude: Exclude = None,
    max_distance: MaxDistance = None,
    drop_worst: DropWorst = None,
    more: Settings = None,
    name: Name = "",
    wait: Wait = True,
) -> None:
    """Train on an inversion; or on a dataset and a generator, whose inversion is made first.

    Examples:
    handsoff label-generator create --inversion inv_01… --members 10

    handsoff label-generator create --dataset dst_01… --generator gen_01… --kind keypoints

    handsoff label-generator create --like lbl_01… --exclude face_000010
    """
    of_inversion = {"--distance": distance, "--encoder": encoder}
    given = [option for option, value in of_inversion.items() if value is not None]
    if given and inversion is not None:
        options = " and ".join(given)
        raise WrongUsage(f"{options}: of the inversion that is made first; not with --inversion")
    here = session(context)
    with here.client() as client:
        made = client.label_generators.create(
            inversion,
            dataset=dataset,
            generator=generator,
            encoder=encoder,
            inversion_config=settings(None, distance=distance) or None,
            like=like,
            exclude=exclude or None,
            max_distance=max_distance,
            drop_worst=drop_worst,
            kind=kind,
            name=name,
            **settings(more, members=members, max_steps=steps, seed=seed),
        )
        settle(here, client, made, wait)


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20) -> None:
    """List label generators, newest first.

    Example: handsoff label-generator list
    """
    here = session(context)
    with here.client() as client:
        emit_list(here, list(client.label_generators.list(limit)))


@app.command()
def show(
    context: typer.Context,
    label_generator: Annotated[str, typer.Argument(help="Its id, lbl_…")],
) -> None:
    """Show a label generator and its card.

    Example: handsoff label-generator show lbl_01…
    """
    here = session(context)
    with here.client() as client:
        emit(here, client.label_generators.get(label_generator))

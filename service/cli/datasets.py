"""`handsoff dataset …`: labelled images on the service."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.failures import WrongUsage
from service.cli.progress import Bars
from service.cli.session import Session, session
from service.cli.work import Licence, Limit, Name, Wait, emit, emit_list, settle

if TYPE_CHECKING:
    from service.client import Client, Resource, Segmentation

app = typer.Typer(no_args_is_help=True, help="Labelled images.")
Id = Annotated[str, typer.Argument(metavar="DATASET", help="Its id, dst_…")]
Images = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Folder of images; with --masks."),
]
Masks = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Folder of masks of the same names."),
]
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


@app.command()
def create(
    context: typer.Context,
    classes: Annotated[
        str | None, typer.Option(help="Class names in the order of their ids, with commas.")
    ] = None,
    label: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="JSON with classes, palette, ignore_index."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A zip of images/ and masks/."),
    ] = None,
    images: Images = None,
    masks: Masks = None,
    name: Name = "",
    licence: Licence = "",
    wait: Wait = True,
) -> None:
    """Make a dataset: from an archive, from two folders, or empty, to `add` to and to `seal`.

    Examples:
    handsoff dataset create --classes background,face --images images/ --masks masks/

    handsoff dataset create --label classes.json --archive faces.zip --licence CC0
    """
    here = session(context)
    spec = _label(classes, label)
    pairs = _pairs(images, masks)
    with here.client() as client:
        dataset = _created(here, client, spec, archive, name, licence)
        if pairs:
            _add(here, client, dataset.id, pairs)
            dataset = client.datasets.seal(dataset)
        settle(here, client, dataset, wait)


@app.command()
def add(
    context: typer.Context,
    dataset: Id,
    images: Annotated[Path, typer.Option(exists=True, help="A folder of images, or one image.")],
    masks: Annotated[
        Path, typer.Option(exists=True, help="A folder of masks of the same names, or one mask.")
    ],
) -> None:
    """Add images with their masks to an open dataset.

    Example: handsoff dataset add dst_01… --images images/ --masks masks/
    """
    here = session(context)
    pairs = [(images, masks)] if images.is_file() else _pairs(images, masks)
    with here.client() as client:
        _add(here, client, dataset, pairs)
        emit(here, client.datasets.get(dataset))


@app.command()
def seal(context: typer.Context, dataset: Id, wait: Wait = True) -> None:
    """Close a dataset: it is checked as a whole and then ready.

    Example: handsoff dataset seal dst_01…
    """
    here = session(context)
    with here.client() as client:
        settle(here, client, client.datasets.seal(dataset), wait)


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20) -> None:
    """List datasets, newest first.

    Example: handsoff dataset list
    """
    here = session(context)
    with here.client() as client:
        emit_list(here, list(client.datasets.list(limit)))


@app.command()
def show(context: typer.Context, dataset: Id) -> None:
    """Show a dataset and its manifest.

    Example: handsoff dataset show dst_01… --json
    """
    here = session(context)
    with here.client() as client:
        emit(here, client.datasets.get(dataset))


def _label(classes: str | None, label: Path | None) -> "Segmentation":
    """What the masks mean, from either option.

    Raises:
        WrongUsage: none or both of the options, or a file that is no label.
    """
    from service.client import Segmentation

    if (classes is None) == (label is None):
        raise WrongUsage(
            "say what the masks mean, with either --classes a,b,c or --label FILE.json"
        )
    if classes is not None:
        return Segmentation(classes=tuple(name.strip() for name in classes.split(",")))
    assert label is not None
    try:
        return Segmentation.model_validate(json.loads(label.read_text()))
    except ValueError as error:
        raise WrongUsage(
            f'{label}: write JSON like {{"classes": ["background", "face"]}}'
        ) from error


def _pairs(images: Path | None, masks: Path | None) -> Sequence[tuple[Path, Path]]:
    """Images and masks of the same name, sorted; both folders must match exactly.

    Raises:
        WrongUsage: one of the options is missing, a folder is empty, or a partner is.
    """
    if images is None and masks is None:
        return []
    if images is None or masks is None:
        raise WrongUsage("--images and --masks belong together")
    left, right = _pictures(images), _pictures(masks)
    for names, others, folder in ((left, right, masks), (right, left, images)):
        alone = sorted(names.keys() - others.keys())
        if alone:
            raise WrongUsage(f"{names[alone[0]]} has no partner in {folder} ({len(alone)} in all)")
    return [(left[name], right[name]) for name in sorted(left)]


def _pictures(folder: Path) -> Mapping[str, Path]:
    """The picture files of a folder, by name without ending."""
    found = {file.stem: file for file in folder.iterdir() if file.suffix.lower() in PICTURES}
    if not found:
        raise WrongUsage(f"{folder} holds no pictures ({', '.join(sorted(PICTURES))})")
    return found


def _created(
    here: Session,
    client: "Client",
    spec: "Segmentation",
    archive: Path | None,
    name: str,
    licence: str,
) -> "Resource":
    """A new dataset, its archive uploaded with a bar where there is one."""
    if archive is None:
        return client.datasets.create(spec, name=name, licence=licence)
    with Bars(here.remarks) as bars:
        bar = bars.add(f"upload {archive.name}")
        upload = client.uploads.create(archive, bar.bytes)
        bar.finish()
    return client.datasets.create(spec, archive=upload, name=name, licence=licence)


def _add(here: Session, client: "Client", dataset: str, pairs: Sequence[tuple[Path, Path]]) -> None:
    """Send pairs, with a bar."""
    with Bars(here.remarks) as bars:
        bar = bars.add("images")
        for number, pair in enumerate(pairs, 1):
            client.datasets.add(dataset, [pair])
            bar.count(number, len(pairs), "images")
        bar.finish(f"{len(pairs)} images")

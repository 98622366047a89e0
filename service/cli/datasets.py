"""`handsoff dataset …`: labelled images on the service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.failures import WrongUsage
from service.cli.labels import Fit, OnFault, fit_of, items_of, labels_of
from service.cli.progress import Bars
from service.cli.session import Session, session
from service.cli.work import Licence, Limit, Name, Settings, Wait, emit, emit_list, settings, settle

if TYPE_CHECKING:
    from service.client import Client, Resource

ADDRESS = "s3://"
app = typer.Typer(no_args_is_help=True, help="Labelled images.")
Id = Annotated[str, typer.Argument(metavar="DATASET", help="Its id, dst_…")]
Images = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Folder of images; with folders of labels."),
]
Masks = Annotated[
    Path | None,
    typer.Option(exists=True, help="Masks of the same names: ids as .png or .npy."),
]
Keypoints = Annotated[
    Path | None,
    typer.Option(exists=True, help='Keypoints of the same names: .json {"points": [[x, y, v]]}.'),
]
Depth = Annotated[
    Path | None,
    typer.Option(exists=True, help="Depth of the same names: .npy, or 16-bit .png."),
]
Classes = Annotated[
    str | None, typer.Option(help="Class names in the order of their ids, with commas.")
]
LabelFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="JSON of one label, or a list of kinds."),
]
Domain = Annotated[
    str | None, typer.Option(help="A preset that says labels, merge and fit, e.g. faces-8.")
]
Archive = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A zip, tar or tar.gz, or its address s3://…"),
]
Layout = Annotated[
    str | None, typer.Option(help="Of the archive, by name, e.g. coco; told by its files.")
]
FaultRule = Annotated[
    OnFault | None, typer.Option(help="Refuse all for one bad file, or go on without it.")
]
Fitting = Annotated[
    Fit | None, typer.Option(help="How images are brought onto the generator's canvas.")
]
Canvas = Annotated[
    str | None, typer.Option(metavar="HEIGHTxWIDTH", help="The generator's, in pixels.")
]
Landmarks = Annotated[
    str | None,
    typer.Option(help="Names of points to align by, for datasets without keypoints."),
]


@app.command()
def create(
    context: typer.Context,
    classes: Classes = None,
    label: LabelFile = None,
    domain: Domain = None,
    archive: Archive = None,
    images: Images = None,
    masks: Masks = None,
    keypoints: Keypoints = None,
    depth: Depth = None,
    layout: Layout = None,
    on_fault: FaultRule = None,
    fit: Fitting = None,
    canvas: Canvas = None,
    landmarks: Landmarks = None,
    more: Settings = None,
    name: Name = "",
    licence: Licence = "",
    wait: Wait = True,
) -> None:
    """Make a dataset: from an archive, from folders, or empty, to `add` to and to `seal`.

    Examples:
    handsoff dataset create --classes background,face --images images/ --masks masks/

    handsoff dataset create --domain faces-8 --archive celebamask.zip --on-fault skip

    handsoff dataset create --label kinds.json --archive cars.tar.gz --fit pad --canvas 512x512

    handsoff dataset create --domain cars-10 --archive s3://sets/cars.zip
    """
    here = session(context)
    labels = labels_of(classes, label, domain)
    items = items_of(image=images, label=masks, keypoints=keypoints, depth=depth)
    fields = settings(
        more,
        labels=labels,
        domain=domain,
        layout=layout,
        on_fault=on_fault,
        fit=fit_of(fit, canvas, landmarks),
    )
    with here.client() as client:
        dataset = _created(here, client, archive, {**fields, "name": name, "licence": licence})
        if items:
            _add(here, client, dataset.id, items)
            dataset = client.datasets.seal(dataset)
        settle(here, client, dataset, wait)


@app.command()
def add(
    context: typer.Context,
    dataset: Id,
    images: Annotated[Path, typer.Option(exists=True, help="A folder of images, or one image.")],
    masks: Masks = None,
    keypoints: Keypoints = None,
    depth: Depth = None,
) -> None:
    """Add images with their labels to an open dataset: folders of all, or one file of each.

    Example: handsoff dataset add dst_01… --images images/ --masks masks/ --depth depth/
    """
    here = session(context)
    items = items_of(image=images, label=masks, keypoints=keypoints, depth=depth)
    with here.client() as client:
        _add(here, client, dataset, items)
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


def _created(
    here: Session,
    client: "Client",
    archive: str | None,
    fields: Mapping[str, Any],
) -> "Resource":
    """A new dataset, its archive uploaded with a bar where it is a file."""
    if archive is None or archive.startswith(ADDRESS):
        return client.datasets.create(archive=archive, **fields)
    file = Path(archive)
    if not file.is_file():
        raise WrongUsage(f"--archive {archive}: there is no such file")
    with Bars(here.remarks) as bars:
        bar = bars.add(f"upload {file.name}")
        upload = client.uploads.create(file, bar.bytes)
        bar.finish()
    return client.datasets.create(archive=upload, **fields)


def _add(
    here: Session, client: "Client", dataset: str, items: Sequence[Mapping[str, Path]]
) -> None:
    """Send items, with a bar."""
    with Bars(here.remarks) as bars:
        bar = bars.add("images")
        for number, item in enumerate(items, 1):
            client.datasets.add(dataset, [item])
            bar.count(number, len(items), "images")
        bar.finish(f"{len(items)} images")

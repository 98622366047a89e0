"""`handsoff dataset …`: labelled images on the service."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    typer.Option(
        exists=True, help='Keypoints of the same names: .json {"points": \\[\\[x, y, v]]}.'
    ),
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
    typer.Option(
        metavar="PLACE",
        help="A folder (sent as a zip); a zip, tar or tar.gz; or the address of an archive, "
        "s3://…, or of a folder, s3://…/ with a / at its end.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of a folder send only the files whose path below it is like this: * is anything, "
        "a / too, ? one character, [0-4] one of those. May be repeated.",
    ),
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
    only: Only = None,
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

    handsoff dataset create --domain cars-10 --archive s3://sets/cars/

    Ten faces of thirty thousand:
    handsoff dataset create --domain faces-8 --archive CelebAMask-HQ
    --only 'CelebA-HQ-img/1?.jpg' --only 'CelebAMask-HQ-mask-anno/0/0001?_*'
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
        described = {**fields, "name": name, "licence": licence}
        dataset = _created(here, client, archive, only or (), described)
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
    only: Sequence[str],
    fields: Mapping[str, Any],
) -> "Resource":
    """A new dataset, its archive uploaded with a bar where it is a file or a folder."""
    from service.client._resources import is_address

    place = None if archive is None or is_address(archive) else Path(archive)
    if only and (place is None or not place.is_dir()):
        raise WrongUsage("--only chooses files of a folder: name one with --archive FOLDER")
    if place is None:
        return client.datasets.create(archive=archive, **fields)
    if not (place.is_file() or place.is_dir()):
        raise WrongUsage(f"--archive {archive}: there is no such file or folder")
    with Bars(here.remarks) as bars, _as_file(bars, place, only) as file:
        bar = bars.add(f"upload {file.name}")
        upload = client.uploads.create(file, bar.bytes)
        bar.finish()
    return client.datasets.create(archive=upload, **fields)


@contextmanager
def _as_file(bars: Bars, place: Path, only: Sequence[str]) -> Iterator[Path]:
    """A file as it is, or a folder as a zip, packed with a bar."""
    from service.client._packing import packed

    if not place.is_dir():
        yield place
        return
    bar = bars.add(f"pack {place.resolve().name}")
    with packed(place, only, bar.bytes) as file:
        bar.finish()
        yield file


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

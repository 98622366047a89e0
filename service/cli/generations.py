"""`handsoff generate`, `handsoff evaluate`, `handsoff fetch`: what all the rest is for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from service.cli.failures import WrongUsage
from service.cli.progress import Bars, duration, size
from service.cli.session import Session, session, table
from service.cli.work import Name, Settings, Wait, settings, settle

if TYPE_CHECKING:
    from service.client import Client, Estimate, Resource

Folder = Annotated[
    Path | None,
    typer.Option("--out", "-o", file_okay=False, help="Then fetch it into here."),
]
Count = Annotated[int, typer.Option("--count", "-n", min=1, help="Labelled images to make.")]
LabelGenerators = Annotated[
    list[str] | None,
    typer.Argument(help="Label generators' ids, lbl_…, of one generator; one for each kind."),
]
MoreLabelGenerators = Annotated[
    list[str] | None,
    typer.Option("--label-generator", help="The same; may be repeated."),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed makes the same images.")]
Psi = Annotated[float | None, typer.Option(help="Truncation; 1 is none.")]
Drop = Annotated[float | None, typer.Option(help="Share of the most uncertain to leave out.")]
UncertaintyMode = Annotated[
    str | None,
    typer.Option(help="paper: keep all, and mark which ones the authors' ranks keep."),
]
ClassMix = Annotated[
    str | None,
    typer.Option(help="Class of a conditional generator, e.g. 3; or weights, e.g. 0.5,0.5,0."),
]
ShardSize = Annotated[int | None, typer.Option(min=1, help="Samples in a shard.")]
ImageFormat = Annotated[str | None, typer.Option(help="png, jpg or webp.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what it would take, in time and bytes.")
]


def generate(
    context: typer.Context,
    count: Count,
    label_generator: LabelGenerators = None,
    more_label_generators: MoreLabelGenerators = None,
    seed: Seed = 0,
    psi: Psi = None,
    drop: Drop = None,
    uncertainty_mode: UncertaintyMode = None,
    labels: ClassMix = None,
    shard_size: ShardSize = None,
    image_format: ImageFormat = None,
    dry_run: DryRun = False,
    out: Folder = None,
    more: Settings = None,
    name: Name = "",
    wait: Wait = True,
) -> None:
    """Make labelled images, in shards.

    Examples:
    handsoff generate lbl_01… --count 10000 --seed 1 --out faces-10k

    handsoff generate lbl_01… --count 1000000 --dry-run

    handsoff generate --label-generator lbl_01… --label-generator lbl_02… --count 10000
    """
    named = [*(label_generator or ()), *(more_label_generators or ())]
    if not named:
        raise WrongUsage("name a label generator: handsoff generate lbl_…")
    here = session(context)
    params = settings(
        more,
        psi=psi,
        drop=drop,
        uncertainty_mode=uncertainty_mode,
        labels=_class_mix(labels),
        shard_size=shard_size,
        image_format=image_format,
    )
    with here.client() as client:
        if dry_run:
            estimate = client.generations.dry_run(named, count, seed=seed, **params)
            _emit_estimate(here, estimate)
            return
        made = client.generations.create(named, count, name=name, seed=seed, **params)
        made = settle(here, client, made, wait or out is not None)
        if out is not None:
            _fetch(here, client, made, out)


def _class_mix(text: str | None) -> int | list[float] | None:
    """One class, or a weight for each.

    Raises:
        WrongUsage: neither.
    """
    try:
        if text is None or "," not in text:
            return None if text is None else int(text)
        return [float(weight) for weight in text.split(",")]
    except ValueError as error:
        problem = f"--labels {text}: write a class like 3, or weights like 0.5,0.5,0"
        raise WrongUsage(problem) from error


def evaluate(
    context: typer.Context,
    validation: Annotated[str, typer.Option(help="Dataset that chooses the checkpoint.")],
    test: Annotated[str, typer.Option(help="Dataset that it is tested on.")],
    generation: Annotated[str | None, typer.Option(help="Train on this, gnn_…")] = None,
    dataset: Annotated[str | None, typer.Option(help="Or train on this, dst_…")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of the labels: segmentation, keypoints or depth.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random.")] = None,
    more: Settings = None,
    name: Name = "",
    wait: Wait = True,
) -> None:
    """Train a small network on generated or on real labels and test it on real ones.

    Examples:
    handsoff evaluate --generation gnn_01… --validation dst_01… --test dst_02…

    handsoff evaluate --dataset dst_01… --validation dst_02… --test dst_03… --kind depth
    """
    here = session(context)
    with here.client() as client:
        made = client.evaluations.create(
            generation=generation,
            dataset=dataset,
            validation=validation,
            test=test,
            kind=kind,
            name=name,
            **settings(more, steps=steps, seed=seed),
        )
        settle(here, client, made, wait)


def fetch(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="The id of a ready resource, e.g. gnn_…")],
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where its files go.")],
    parallel: Annotated[int, typer.Option(min=1, max=32, help="Connections at a time.")] = 4,
) -> None:
    """Download all files of a resource: verified, resumable, the manifest last.

    Example: handsoff fetch gnn_01… faces-10k
    """
    here = session(context)
    with here.client() as client:
        _fetch(here, client, resource, folder, parallel)
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    here.emit(
        {"folder": str(folder), "files": files},
        lambda console: console.print(f"{len(files)} files in {folder}"),
    )


def _fetch(
    here: Session,
    client: "Client",
    resource: "Resource | str",
    folder: Path,
    parallel: int = 4,
) -> None:
    with Bars(here.remarks) as bars:
        bar = bars.add(f"fetch into {folder}")
        client.fetch(resource, folder, bar.bytes, parallel)
        bar.finish()


def _emit_estimate(here: Session, estimate: "Estimate") -> None:
    whole = estimate.model_dump(mode="json")
    here.emit(whole, lambda console: _show_estimate(console, whole))


def _show_estimate(console: Console, estimate: dict[str, Any]) -> None:
    """What a generation would cost, for people."""
    seconds, count, free = (estimate.get(name) for name in ("seconds", "bytes", "free_bytes"))
    lines = {
        "samples": estimate["samples"],
        "shards": estimate["shards"],
        "images drawn": estimate.get("candidates_expected"),
        "time": "not known yet" if seconds is None else duration(seconds),
        "size": "not known yet" if count is None else size(count),
        "free in the store": "not known" if free is None else size(free),
    }
    console.print(table([{"": name, " ": value} for name, value in lines.items()], ("", " ")))

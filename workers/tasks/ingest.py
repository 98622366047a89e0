"""Makes a dataset ready: reads what was sent, judges every file, writes the manifest last.

Either the items lie in the dataset already, normalised by the API, or an archive or a folder of a
bucket is read into items. One picture is held at a time, and a few small ones for the sheet that
shows what was done.
"""

from collections.abc import Iterator, Mapping, Sequence

from models.data.formats.registry import layout_of, read_archive
from models.data.intake import Intake, Kept
from models.data.labelled import Labelled
from models.data.manifest import DatasetItem, DatasetManifest, ItemFile, LeftOut
from models.data.overlays import ingest_sheet, thumbnail
from models.data.problems import Problems
from models.data.sample import File, read_labelled
from models.data.statistics import counter_of
from models.errors import InvalidDataset, InvalidImage
from models.labels import LabelSpec
from workers import items, keys
from workers.errors import ObjectNotFound, TaskFailed
from workers.items import StoredFile
from workers.params import DatasetParams
from workers.tasks import sources
from workers.tasks.context import TaskContext
from workers.tasks.outputs import publish_picture

SHEET = "previews/sheet.png"
SHOWN = 32
"""Items on the sheet, at most."""


def run(context: TaskContext) -> None:
    """Write the dataset's items, a sheet of some of them, and the manifest.

    Raises:
        TaskFailed: `invalid_dataset`, with `details.files`; `upload_missing`; or `source_…`.
    """
    final = keys.FINAL["datasets"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(DatasetParams)
    intake, ledger = _intake(params), _Ledger(params.labels)
    try:
        for kept in intake.kept(_read(context, params)):
            ledger.add(kept, _files(context, params, kept.item))
    except InvalidDataset as error:
        if params.has_file:
            _remove_items(context)
        raise _refusal(error) from error
    manifest = DatasetManifest(
        labels=params.labels,
        name=context.resource.name,
        licence=context.resource.licence,
        items=tuple(ledger.items),
        statistics={kind: counter.statistics() for kind, counter in ledger.counters.items()},
        left_out=tuple(LeftOut(file=file, problem=what) for file, what in intake.left_out),
        sheet=publish_picture(context, ingest_sheet(ledger.shown, params.labels), SHEET),
    )
    context.put_json(final, manifest.model_dump(mode="json"))


class _Ledger:
    """What is remembered of the items while they pass.

    Attributes:
        items: their entries in the manifest.
        counters: count their labels, by kind.
        shown: the first of them, small.
    """

    def __init__(self, labels: tuple[LabelSpec, ...]) -> None:
        self._labels = labels
        self.items: list[DatasetItem] = []
        self.counters = {spec.kind: counter_of(spec) for spec in labels}
        self.shown: list[Labelled] = []

    def add(self, kept: Kept, files: dict[str, ItemFile]) -> None:
        """Note an item, and its files by role."""
        item = kept.item
        for kind, counter in self.counters.items():
            counter.add(item.labels[kind])
        if len(self.shown) < SHOWN:
            self.shown.append(thumbnail(item, self._labels))
        height, width = item.image.shape[:2]
        entry = DatasetItem(
            key=item.key,
            image=files[items.IMAGE],
            labels={kind: files[kind] for kind in self.counters},
            height=height,
            width=width,
            fit=kept.fit,
            tiny=dict(kept.tiny),
        )
        self.items.append(entry)


def _intake(params: DatasetParams) -> Intake:
    return Intake(
        labels=params.labels,
        reading=params.reading,
        onto=(params.fit.policy, params.fit.canvas) if params.fit else None,
        cleans=params.tiny_classes == "clean",
        skips=params.on_fault == "skip",
    )


def _read(context: TaskContext, params: DatasetParams) -> Iterator[Labelled]:
    """Every labelled picture as it was sent; faults are raised after the last one."""
    if not params.has_file:
        yield from _sent(context, params)
        return
    layout = layout_of(params.layout) if params.layout else None
    source = sources.dataset(context, params)
    for done, item in enumerate(read_archive(source, params.reading, layout=layout)):
        context.report("unpacking", done, 0, "images")
        yield item


def _sent(context: TaskContext, params: DatasetParams) -> Iterator[Labelled]:
    """The items that were sent one by one."""
    prefix, problems = context.key(keys.ITEMS), Problems(params.reading.most_faults)
    names = (entry.key.removeprefix(prefix) for entry in context.store.list(prefix))
    item_keys = sorted({name.partition(".")[0] for name in names})
    if not item_keys:
        problems.add("items", "the dataset is empty; upload items before sealing it")
    for done, key in enumerate(item_keys):
        context.report("checking", done, len(item_keys), "images")
        try:
            item = _sent_item(context, key, params.reading.labels)
        except InvalidImage as error:
            problems.note(error)
        else:
            yield item
    problems.check()


def _sent_item(context: TaskContext, key: str, labels: Sequence[LabelSpec]) -> Labelled:
    """An item that was sent.

    Raises:
        InvalidImage: one of its files is missing or damaged.
    """
    files: dict[str, File] = {}
    for role, path in items.paths(key, labels).items():
        word = items.called(role, labels)
        name = key if role == items.IMAGE else f"{key} ({word})"
        try:
            files[role] = name, context.store.get(context.key(path))
        except ObjectNotFound as error:
            raise InvalidImage(key, f"has no {word}; upload the item again") from error
    return read_labelled(key, files[items.IMAGE], files, labels)


def _files(context: TaskContext, params: DatasetParams, item: Labelled) -> dict[str, ItemFile]:
    """An item's files by role; written, unless they are there as they are to be kept."""
    if params.has_file:
        return _written(context, items.stored(item, params.labels))
    if params.fit is not None or params.tiny_classes == "clean":
        return _written(context, items.stored(item, params.labels, keys.FITTED))
    places = items.paths(item.key, params.labels)
    return {
        role: StoredFile(path, context.store.get(context.key(path))).entry
        for role, path in places.items()
    }


def _written(context: TaskContext, files: Mapping[str, StoredFile]) -> dict[str, ItemFile]:
    for file in files.values():
        context.store.put(context.key(file.path), file.data, file.content_type)
    return {role: file.entry for role, file in files.items()}


def _remove_items(context: TaskContext) -> None:
    """Leave nothing of an archive that is refused."""
    context.fence()  # A late worker must not touch what another made of the same archive.
    for entry in list(context.store.list(context.key(keys.ITEMS))):
        context.store.delete(entry.key)


def _refusal(error: InvalidDataset) -> TaskFailed:
    files = [{"file": file, "problem": problem} for file, problem in error.problems]
    return TaskFailed("invalid_dataset", str(error), {"files": files, "complete": error.complete})

"""Makes a dataset ready: reads what was uploaded, judges every file, writes the manifest last.

Either the items lie in the dataset already, normalised by the API, or an uploaded archive is
unpacked into items. A dataset with any bad file is refused as a whole, with the files named.
"""

import hashlib
from collections.abc import Iterator

from models.data.formats.registry import read_archive
from models.data.images import Pixels, encode_png
from models.data.manifest import DatasetItem, DatasetManifest, ItemDigests
from models.data.problems import Problems
from models.data.sample import Sample, read_sample
from models.data.summary import ClassCounts
from models.errors import InvalidDataset, InvalidImage
from models.labels import LabelSpec
from workers import keys
from workers.errors import ObjectNotFound, TaskFailed
from workers.params import DatasetParams
from workers.tasks.context import TaskContext

Checked = tuple[DatasetItem, Pixels]


def run(context: TaskContext) -> None:
    """Write the dataset's manifest.

    Raises:
        TaskFailed: `invalid_dataset`, with `details.files`; or `upload_missing`.
    """
    final = keys.FINAL["datasets"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(DatasetParams)
    items, counts = list[DatasetItem](), ClassCounts(params.label)
    try:
        for item, mask in _checked(context, params):
            items.append(item)
            counts.add(mask)
    except InvalidDataset as error:
        raise _refusal(error) from error
    manifest = DatasetManifest(
        label=params.label,
        name=context.resource.name,
        licence=context.resource.licence,
        items=tuple(items),
        statistics=counts.statistics(),
    )
    context.put_json(final, manifest.model_dump(mode="json"))


def _checked(context: TaskContext, params: DatasetParams) -> Iterator[Checked]:
    """Every item with its mask, sorted by key."""
    if params.upload_id is None:
        return _uploaded(context, params.label)
    return _unpacked(context, params.upload_id, params.label)


def _uploaded(context: TaskContext, label: LabelSpec) -> Iterator[Checked]:
    """The items that were uploaded one by one."""
    prefix, problems = context.key("items/"), Problems()
    names = [entry.key.removeprefix(prefix) for entry in context.store.list(prefix)]
    item_keys = sorted({name.removesuffix(".png").removesuffix(".mask") for name in names})
    if not item_keys:
        problems.add("items", "the dataset is empty; upload items before sealing it")
    for done, key in enumerate(item_keys):
        context.report("checking", done, len(item_keys), "images")
        image_path, mask_path = keys.item(key)
        try:
            image = _item_file(context, image_path, key, "image")
            mask = _item_file(context, mask_path, key, "mask")
            sample = read_sample(key, (key, image), (f"{key} (mask)", mask), label)
        except InvalidImage as error:
            problems.note(error)
        else:
            yield _item(sample, image, mask), sample.mask
    problems.check()


def _item_file(context: TaskContext, path: str, key: str, role: str) -> bytes:
    try:
        return context.store.get(context.key(path))
    except ObjectNotFound as error:
        raise InvalidImage(key, f"has no {role}; upload the item again") from error


def _unpacked(context: TaskContext, upload_id: str, label: LabelSpec) -> Iterator[Checked]:
    """The items of an uploaded archive, each written as it is yielded; none stay if one is bad."""
    archive = context.scratch / "archive"
    try:
        context.store.get_file(context.parent_key("uploads", upload_id, "content"), archive)
    except ObjectNotFound as error:
        problem = f"upload {upload_id} holds no bytes; PUT the archive, then create the dataset"
        raise TaskFailed("upload_missing", problem) from error
    try:
        for done, sample in enumerate(read_archive(archive, label)):
            context.report("unpacking", done, 0, "images")
            image, mask = encode_png(sample.image), encode_png(sample.mask)
            for path, data in zip(keys.item(sample.key), (image, mask), strict=True):
                context.store.put(context.key(path), data, "image/png")
            yield _item(sample, image, mask), sample.mask
    except InvalidDataset:
        context.fence()  # A late worker must not touch what another made of the same upload.
        for entry in list(context.store.list(context.key("items/"))):
            context.store.delete(entry.key)
        raise


def _item(sample: Sample, image: bytes, mask: bytes) -> DatasetItem:
    """The manifest's entry of a sample whose stored files are `image` and `mask`."""
    image_path, mask_path = keys.item(sample.key)
    height, width = sample.mask.shape
    digests = ItemDigests(
        image=hashlib.sha256(image).hexdigest(), mask=hashlib.sha256(mask).hexdigest()
    )
    return DatasetItem(
        key=sample.key,
        image=image_path,
        mask=mask_path,
        height=height,
        width=width,
        sha256=digests,
    )


def _refusal(error: InvalidDataset) -> TaskFailed:
    files = [{"file": file, "problem": problem} for file, problem in error.problems]
    return TaskFailed("invalid_dataset", str(error), {"files": files, "complete": error.complete})

"""The labelled images of an open dataset: judged as they come, stored as the trainers read them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from threading import BoundedSemaphore
from typing import Self

from redis import Redis

from models.data.formats.single import read_single
from models.data.labelled import Labelled
from models.data.sample import item_key
from models.errors import InvalidDataset
from models.labels import LabelSpec
from service.errors import DatasetEmpty, DatasetSealed, FieldError, ItemExists, Unprocessable
from service.locks import held
from service.resources import Resources, View, job_id_of
from service.room import Room
from service.schemas import ItemBody
from workers import items, keys
from workers.errors import NotFound
from workers.items import StoredFile
from workers.jobs import JobKind
from workers.params import DatasetParams
from workers.resources import Resource
from workers.storage.base import ObjectStore

# Pictures decoded at once: 150 MB each at the most.
_DECODERS = 4
PARTS: Mapping[str, str] = {"segmentation": "label", "keypoints": "keypoints", "depth": "depth"}
"""What the part of a form is called that brings a label of each kind."""


@dataclass(frozen=True)
class SentFile:
    """A file as a form brings it."""

    name: str
    data: bytes


class Items:
    """Adds, removes and seals the items of datasets.

    What is written for one dataset is written under its lock, so that no item slips in behind
    the seal and two of one key cannot mix.

    Args:
        store: the bucket.
        resources: the datasets.
        redis: where the locks are.
        room: how much of the store may be filled.
    """

    def __init__(self, store: ObjectStore, resources: Resources, redis: Redis, room: Room) -> None:
        self._store = store
        self._resources = resources
        self._redis = redis
        self._room = room
        self._decoders = BoundedSemaphore(_DECODERS)

    def judge(
        self,
        tenant: str,
        dataset_id: str,
        key: str | None,
        image: SentFile,
        labels: Mapping[str, SentFile],
    ) -> "Item":
        """An item, read and found good; nothing is stored yet.

        Args:
            tenant: whose dataset it is.
            dataset_id: the dataset.
            key: the item's name; by default its image's, without the extension.
            image: PNG, JPEG or WebP.
            labels: by kind; see `models.data.formats.single`.

        Raises:
            NotFound: there is no such dataset.
            DatasetSealed: it does not change any more.
            Unprocessable: a label is missing, or of a kind that the dataset has not.
            InvalidImage: one of the files cannot be used.
            InsufficientStorage: the store has too little room.
        """
        dataset = self._open_dataset(tenant, dataset_id)
        reading = _params(dataset).reading
        _check_kinds(dataset_id, reading.labels, labels)
        name = item_key(key or PurePath(image.name).stem)
        files = {kind: (label.name, label.data) for kind, label in labels.items()}
        with self._decoders:
            try:
                read = read_single(name, (image.name, image.data), files, reading)
            except InvalidDataset as error:
                raise Unprocessable(str(error), "make a dataset with other options") from error
            item = Item.of(dataset, read, reading.labels)
        self._room.require(item.bytes, f"item {name!r}")
        return item

    def add(self, item: "Item") -> tuple[ItemBody, bool]:
        """Store an item; whether the very same was there before.

        Raises:
            DatasetSealed: the dataset does not change any more.
            ItemExists: another item has the key.
        """
        with self._locked(item.dataset):
            return item.body, self._write(item)

    def remove(self, tenant: str, dataset_id: str, key: str) -> None:
        """Remove an item.

        Raises:
            NotFound: there is no such dataset, or no such item in it.
            DatasetSealed: it does not change any more.
        """
        dataset = self._open_dataset(tenant, dataset_id)
        places = _places(dataset, item_key(key))
        with self._locked(dataset):
            if all(self._store.size(place) is None for place in places):
                raise NotFound(f"dataset {dataset_id} has no item {key[:80]!r}")
            for place in places:
                self._store.delete(place)

    def check_sealable(self, tenant: str, dataset_id: str) -> Resource:
        """The dataset, if it can be sealed.

        Raises:
            NotFound: there is no such dataset.
            DatasetSealed: it was sealed before.
            DatasetEmpty: it has no items.
        """
        dataset = self._open_dataset(tenant, dataset_id)
        if not any(self._store.list(_place(dataset, keys.ITEMS))):
            raise _empty(dataset)
        return dataset

    def seal(self, tenant: str, dataset_id: str) -> View:
        """Close a dataset, and start the job that makes it ready; raises as `check_sealable`."""
        dataset = self.check_sealable(tenant, dataset_id)
        with self._locked(dataset):
            if not self._whole_items(dataset):
                raise _empty(dataset)
            sealed = dataset.model_copy(update={"job_id": job_id_of(dataset.id)})
            return self._resources.submit(sealed, JobKind.INGEST)

    def _write(self, item: "Item") -> bool:
        files = {_place(item.dataset, file.path): file for file in item.files.values()}
        if all(self._store.size(place) is not None for place in files):
            if all(self._store.get(place) == file.data for place, file in files.items()):
                return True
            raise ItemExists(
                f"dataset {item.dataset.id} has another item {item.body.key!r}",
                "send it under another `key`, or DELETE the one that is there",
                [FieldError("/key", "taken by another item")],
            )
        for place, file in files.items():
            self._store.put(place, file.data, file.content_type)
        return False

    def _whole_items(self, dataset: Resource) -> set[str]:
        """The keys of all items, once parts of items that a crash left behind are removed."""
        found: dict[str, list[str]] = {}
        for info in self._store.list(_place(dataset, keys.ITEMS)):
            found.setdefault(info.key.rpartition("/")[2].partition(".")[0], []).append(info.key)
        broken = [key for key, places in found.items() if set(places) != set(_places(dataset, key))]
        for key in broken:
            for place in found.pop(key):
                self._store.delete(place)
        return set(found)

    def _open_dataset(self, tenant: str, dataset_id: str) -> Resource:
        dataset = self._resources.load(tenant, "datasets", dataset_id)
        # With a job's name but without the job, a crash cut the sealing short: it may be repeated.
        if dataset.job_id is not None and self._resources.find(tenant, "datasets", dataset_id):
            raise DatasetSealed(
                f"dataset {dataset_id} is sealed and does not change any more",
                "make a new dataset: POST /v1/datasets",
            )
        return dataset

    @contextmanager
    def _locked(self, dataset: Resource) -> Iterator[None]:
        name = f"handsoff:lock:{dataset.tenant}:{dataset.id}"
        with held(self._redis, name):
            self._open_dataset(dataset.tenant, dataset.id)  # Still?
            yield


@dataclass(frozen=True)
class Item:
    """An item of a dataset, as it is stored.

    Attributes:
        files: by role; see `workers.items`.
    """

    dataset: Resource
    files: Mapping[str, StoredFile]
    body: ItemBody

    @classmethod
    def of(cls, dataset: Resource, read: Labelled, labels: Sequence[LabelSpec]) -> Self:
        """A labelled picture as an item."""
        files = items.stored(read, labels)
        height, width = read.image.shape[:2]
        body = ItemBody(
            key=read.key,
            image=files[items.IMAGE].entry,
            labels={spec.kind: files[spec.kind].entry for spec in labels},
            height=height,
            width=width,
        )
        return cls(dataset, files, body)

    @property
    def bytes(self) -> int:
        """The room that it takes."""
        return sum(len(file.data) for file in self.files.values())


def _empty(dataset: Resource) -> DatasetEmpty:
    return DatasetEmpty(
        f"dataset {dataset.id} has no items",
        f"add some first: POST /v1/datasets/{dataset.id}/items",
    )


def _place(dataset: Resource, path: str) -> str:
    return keys.inside(dataset.tenant, dataset.collection, dataset.id, path)


def _places(dataset: Resource, key: str) -> list[str]:
    """Where all files of an item lie."""
    paths = items.paths(key, _params(dataset).reading.labels)
    return [_place(dataset, path) for path in paths.values()]


def _params(dataset: Resource) -> DatasetParams:
    return DatasetParams.model_validate(dataset.spec)


def _check_kinds(dataset_id: str, labels: Sequence[LabelSpec], sent: Mapping[str, object]) -> None:
    """Refuse labels that the dataset has not, and the lack of those that it has.

    Raises:
        Unprocessable: with every such part of the form.
    """
    wanted = [spec.kind for spec in labels]
    there = " and ".join(PARTS[kind] for kind in wanted)
    errors = [
        FieldError(f"/{PARTS[kind]}", f"{dataset_id} has no {kind}; send {there}")
        for kind in sent
        if kind not in wanted
    ] + [
        FieldError(f"/{PARTS[kind]}", f"is missing: every item of {dataset_id} needs its {kind}")
        for kind in wanted
        if kind not in sent
    ]
    if errors:
        detail = "; ".join(f"{error.pointer[1:]}: {error.detail}" for error in errors)
        raise Unprocessable(detail, f"send image, {there}", errors)

"""The labelled images of an open dataset: judged as they come, stored as the trainers read them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from threading import BoundedSemaphore
from typing import Self

from redis import Redis

from models.data.images import encode_png
from models.data.sample import Sample, item_key, read_sample
from service.errors import DatasetEmpty, DatasetSealed, FieldError, ItemExists
from service.resources import Resources, View, job_id_of
from service.room import Room
from service.schemas import ItemBody
from workers import keys
from workers.errors import NotFound
from workers.jobs import JobKind
from workers.params import DatasetParams
from workers.resources import Resource
from workers.storage.base import ObjectStore

# Pictures decoded at once: 150 MB each at the most.
_DECODERS = 4
_LOCK_SECONDS = 60
_LOOK_AGAIN_SECONDS = 0.01


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
        self, tenant: str, dataset_id: str, key: str | None, image: SentFile, mask: SentFile
    ) -> "Item":
        """An item, read and found good; nothing is stored yet.

        Args:
            tenant: whose dataset it is.
            dataset_id: the dataset.
            key: the item's name; by default its image's, without the extension.
            image: PNG, JPEG or WebP.
            mask: a PNG of class ids, of the image's size.

        Raises:
            NotFound: there is no such dataset.
            DatasetSealed: it does not change any more.
            InvalidImage: one of the files cannot be used.
            InsufficientStorage: the store has too little room.
        """
        dataset = self._open_dataset(tenant, dataset_id)
        label = DatasetParams.model_validate(dataset.spec).label
        name = item_key(key or PurePath(image.name).stem)
        with self._decoders:
            files = (image.name, image.data), (mask.name, mask.data)
            item = Item.of(dataset, read_sample(name, *files, label))
        self._room.require(len(item.image) + len(item.mask), f"item {name!r}")
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
        places = [_place(dataset, path) for path in keys.item(item_key(key))]
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
        if not any(self._store.list(_place(dataset, "items/"))):
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
        image, mask = (_place(item.dataset, path) for path in keys.item(item.body.key))
        if self._store.size(image) is not None and self._store.size(mask) is not None:
            there = self._store.get(image), self._store.get(mask)
            if there == (item.image, item.mask):
                return True
            raise ItemExists(
                f"dataset {item.dataset.id} has another item {item.body.key!r}",
                "send it under another `key`, or DELETE the one that is there",
                [FieldError("/key", "taken by another item")],
            )
        self._store.put(image, item.image, "image/png")
        self._store.put(mask, item.mask, "image/png")
        return False

    def _whole_items(self, dataset: Resource) -> set[str]:
        """The keys of all items, once halves of items that a crash left behind are removed."""
        found: dict[str, list[str]] = {}
        for info in self._store.list(_place(dataset, "items/")):
            found.setdefault(info.key.rpartition("/")[2].partition(".")[0], []).append(info.key)
        for place in [places[0] for places in found.values() if len(places) == 1]:
            self._store.delete(place)
        return {key for key, places in found.items() if len(places) == 2}

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
        with self._redis.lock(
            name, timeout=_LOCK_SECONDS, blocking_timeout=_LOCK_SECONDS, sleep=_LOOK_AGAIN_SECONDS
        ):
            self._open_dataset(dataset.tenant, dataset.id)  # Still?
            yield


@dataclass(frozen=True)
class Item:
    """An item of a dataset, as it is stored."""

    dataset: Resource
    image: bytes
    mask: bytes
    body: ItemBody

    @classmethod
    def of(cls, dataset: Resource, sample: Sample) -> Self:
        """A sample as an item."""
        image, mask = encode_png(sample.image), encode_png(sample.mask)
        image_path, mask_path = keys.item(sample.key)
        height, width = sample.mask.shape
        body = ItemBody(
            key=sample.key,
            image=image_path,
            mask=mask_path,
            height=height,
            width=width,
            sha256={"image": _sha256(image), "mask": _sha256(mask)},
        )
        return cls(dataset, image, mask, body)


def _empty(dataset: Resource) -> DatasetEmpty:
    return DatasetEmpty(
        f"dataset {dataset.id} has no items",
        f"add some first: POST /v1/datasets/{dataset.id}/items",
    )


def _place(dataset: Resource, path: str) -> str:
    return keys.inside(dataset.tenant, dataset.collection, dataset.id, path)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""The JSON documents that describe datasets, shards and generations. Pure: shapes and sums.

A dataset's and a generation's `manifest.json` are written last: with them the whole is there.
Digests are SHA-256 in hex, sizes are bytes, paths are relative to the manifest's own folder.
"""

import json
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from models.data.shards import ShardInfo
from models.labels import LabelSpec


class Document(BaseModel):
    """The base of all: frozen, and an unknown field is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ItemDigests(Document):
    """SHA-256 of an item's two files."""

    image: str
    mask: str


class DatasetItem(Document):
    """One labelled picture: `image` is an RGB PNG, `mask` an 8-bit grey PNG of class ids."""

    key: str
    image: str
    mask: str
    height: int
    width: int
    sha256: ItemDigests


class DatasetStatistics(Document):
    """What a dataset's labels hold, by class name; pixels to be ignored are left out.

    Attributes:
        class_pixel_share: of all labelled pixels, the share in 0..1 that a class has.
        images_per_class: in how many images a class has at least one pixel.
    """

    class_pixel_share: dict[str, float]
    images_per_class: dict[str, int]


class DatasetManifest(Document):
    """A dataset: its items are sorted by key, and that is the order of everything made of it."""

    schema_version: int = 1
    label: LabelSpec
    name: str = ""
    licence: str = ""
    items: tuple[DatasetItem, ...]
    statistics: DatasetStatistics


class SampleInfo(Document):
    """What a shard says about each of its samples (`{key}.json`).

    Attributes:
        index: number of the sample in its generation, from 0.
        seed: of the whole generation; with `shard` and `candidate` it names the latent.
        shard, candidate: which shard, and which of the candidates drawn for it.
        score: uncertainty of the labels; higher is less certain.
        psi: truncation; 1 is none.
        class_pixel_share: of this image's pixels, the share in 0..1 of each class by name.
        label: which of its classes a conditional generator drew; left out by all others.
    """

    index: int
    seed: int
    shard: int
    candidate: int
    score: float
    psi: float
    height: int
    width: int
    class_pixel_share: dict[str, float]
    label: int | None = None

    def to_json(self) -> bytes:
        """The one byte sequence for these values; floats have a point even when they are whole."""
        fields = self.model_dump(exclude_none=True)
        text = json.dumps(fields, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return text.encode()


class SampleRow(SampleInfo):
    """A sample and where its bytes lie: [offset, offset + bytes) of its shard (see `shards`)."""

    offset: int
    bytes: int


class FileEntry(Document):
    """A file, by its path, and what it must be found to be."""

    path: str
    bytes: int
    sha256: str


class ShardEntry(FileEntry):
    """A shard of `samples` samples."""

    samples: int


class ShardFragment(ShardEntry):
    """What the worker that made a shard leaves beside it, in `shards/{shard:06d}.json`.

    Attributes:
        candidates: how many were drawn to find `samples` good ones.
        rows: the samples, in the shard's order.
    """

    schema_version: int = 1
    candidates: int
    rows: tuple[SampleRow, ...]

    @classmethod
    def of(cls, path: str, info: ShardInfo, candidates: int, samples: Sequence[SampleInfo]) -> Self:
        """The fragment of a shard just written, whose samples were `samples` in this order."""
        rows = tuple(
            SampleRow(**sample.model_dump(), offset=start, bytes=end - start)
            for sample, (start, end) in zip(samples, info.offsets, strict=True)
        )
        return cls(
            path=path,
            samples=info.samples,
            bytes=info.bytes,
            sha256=info.sha256,
            candidates=candidates,
            rows=rows,
        )

    @property
    def entry(self) -> ShardEntry:
        """This shard as a manifest lists it."""
        return ShardEntry(
            path=self.path, bytes=self.bytes, sha256=self.sha256, samples=self.samples
        )


class GenerationStatistics(Document):
    """What a generation's labels hold: the mean over samples of each class's share, by name."""

    class_pixel_share: dict[str, float]


class GenerationManifest(Document):
    """A finished generation.

    Attributes:
        candidates: how many were drawn; those that are not samples were too uncertain.
        dropped_share: of the candidates, the share in 0..1 that was left out.
        files: all other files but this one.
        lineage: digests of everything it was made from.
        versions: of the libraries that decide bits.
        plan: all settings of the computation; a shard made again with them is the same bytes.
    """

    schema_version: int = 1
    samples: int = Field(ge=1)
    candidates: int
    dropped_share: float
    shards: tuple[ShardEntry, ...]
    files: tuple[FileEntry, ...]
    label: LabelSpec
    psi: float
    seed: int
    name: str = ""
    licence: str = ""
    lineage: dict[str, Any]
    statistics: GenerationStatistics
    versions: dict[str, str]
    plan: dict[str, Any]

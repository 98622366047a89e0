"""The JSON documents that describe datasets, shards and generations. Pure: shapes and sums.

A dataset's and a generation's `manifest.json` are written last: with them the whole is there.
Digests are SHA-256 in hex, sizes are bytes, paths are relative to the manifest's own folder.
"""

import json
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from models.data.document import Document
from models.data.fitting import Fit
from models.data.shards import ShardInfo
from models.data.statistics import LabelStatistics
from models.labels import LabelSpec


class ItemFile(Document):
    """A file of an item."""

    path: str
    sha256: str


class DatasetItem(Document):
    """One labelled picture.

    Attributes:
        image: an RGB PNG.
        labels: by kind, each as `models.data.kinds` stores it: a mask is an 8-bit grey PNG of
            class ids, keypoints are JSON, depth is a NumPy file.
        height, width: of the image, of its masks and of its depth.
        fit: how it was brought onto the generator's canvas; none if it is as it came.
        tiny: classes of too few pixels, and how many those were, by name; see `tiny_classes`.
    """

    key: str
    image: ItemFile
    labels: dict[str, ItemFile]
    height: int
    width: int
    fit: Fit | None = None
    tiny: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _of_masks_alone(cls, given: Any) -> Any:
        """Items of the first schema have two files, and their digests apart."""
        if not (isinstance(given, dict) and isinstance(given.get("mask"), str)):
            return given
        image, mask = (
            {"path": given[role], "sha256": given["sha256"][role]} for role in ("image", "mask")
        )
        rest = {name: given[name] for name in ("key", "height", "width")}
        return {**rest, "image": image, "labels": {"segmentation": mask}}


class LeftOut(Document):
    """A file that could not be used, and why."""

    file: str
    problem: str


class DatasetManifest(Document):
    """A dataset: its items are sorted by key, and that is the order of everything made of it.

    Attributes:
        labels: what the labels mean; every item has one of each.
        statistics: what they hold, by kind.
        left_out: what was at fault where the user chose to go on without it.
        sheet: path of a picture of some items and their labels.
    """

    schema_version: int = 2
    labels: tuple[LabelSpec, ...] = Field(min_length=1)
    name: str = ""
    licence: str = ""
    items: tuple[DatasetItem, ...]
    statistics: dict[str, LabelStatistics]
    left_out: tuple[LeftOut, ...] = ()
    sheet: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_masks_alone(cls, given: Any) -> Any:
        """Manifests of the first schema have one label, a segmentation."""
        if not (isinstance(given, dict) and "label" in given):
            return given
        rest = {name: value for name, value in given.items() if name != "label"}
        statistics = {"segmentation": {"kind": "segmentation", **given["statistics"]}}
        return {**rest, "labels": (given["label"],), "statistics": statistics}

    def spec_of(self, kind: str) -> LabelSpec | None:
        """What the labels of a kind mean, if there are such."""
        return next((spec for spec in self.labels if spec.kind == kind), None)


class Figures(Document):
    """Numbers that sum up labels, a field for each kind; kinds that are not there are left out.

    Attributes:
        class_pixel_share: masks: of the pixels, the share in 0..1 of each class by name.
        keypoint_confidence: keypoints: how high the peak of each point is, by name; about 0..1.
        depth: depth maps: `smallest`, `mean` and `largest` depth in its unit, and the
            `labelled_share` in 0..1 of the pixels.
    """

    class_pixel_share: dict[str, float] | None = None
    keypoint_confidence: dict[str, float] | None = None
    depth: dict[str, float] | None = None

    @model_serializer(mode="wrap")
    def _without_other_kinds(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        absent = {name for name in _LEFT_OUT if fields.get(name, 0) is None}
        return {name: value for name, value in fields.items() if name not in absent}

    @property
    def by_field(self) -> dict[str, dict[str, float]]:
        """The fields that are there, by name."""
        found = {name: getattr(self, name) for name in Figures.model_fields}
        return {name: value for name, value in found.items() if value is not None}


_LEFT_OUT = (*Figures.model_fields, "scores")


class SampleInfo(Figures):
    """What a shard says about each of its samples (`{key}.json`).

    Attributes:
        index: number of the sample in its generation, from 0.
        seed: of the whole generation; with `shard` and `candidate` it names the latent.
        shard, candidate: which shard, and which of the candidates drawn for it.
        score: uncertainty of the label; higher is less certain. With labels of several kinds, of
            the first.
        scores: with labels of several kinds, of each by kind; their units differ.
        psi: truncation; 1 is none.
        label: which of its classes a conditional generator drew; left out by all others.
    """

    index: int
    seed: int
    shard: int
    candidate: int
    score: float
    scores: dict[str, float] | None = None
    psi: float
    height: int
    width: int
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


class GenerationStatistics(Figures):
    """What a generation's labels hold: the means of its samples' figures."""


class GenerationManifest(Document):
    """A finished generation.

    Attributes:
        candidates: how many were drawn; those that are not samples were too uncertain.
        dropped_share: of the candidates, the share in 0..1 that was left out.
        files: all other files but this one.
        label: what the labels mean; with several kinds, the first.
        labels: of each kind.
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
    labels: tuple[LabelSpec, ...] = ()
    psi: float
    seed: int
    name: str = ""
    licence: str = ""
    lineage: dict[str, Any]
    statistics: GenerationStatistics
    versions: dict[str, str]
    plan: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, given: Any) -> Any:
        """Manifests of the time when there was one kind name it once."""
        if isinstance(given, dict) and "label" in given and not given.get("labels"):
            return {**given, "labels": (given["label"],)}
        return given

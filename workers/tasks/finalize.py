"""Makes a generation ready: adds up its shards and writes what describes them, manifest last.

Everything it writes follows from the plan, the fragments and the label generator's card, so that
running it again writes the same bytes.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from models.data.card import generation_card
from models.data.images import encode_png
from models.data.manifest import FileEntry, GenerationManifest, ShardFragment
from models.data.overview import labelled_overview
from models.data.ranks import kept_by_rank
from models.data.sample import labelled_of
from models.data.shards import END, read_shard
from models.data.summary import GenerationTally
from models.data.table import write_table
from models.labels import LabelSpec
from workers import keys
from workers.errors import ObjectNotFound, TaskFailed
from workers.params import GenerationParams
from workers.tasks.context import TaskContext
from workers.tasks.fragments import StoredFragment, fault_of

_PREVIEWED = 16

Kept = NDArray[np.bool_]
"""bool [samples]."""

# What is published beside the shards, and as what.
_FILES = (
    ("README.md", "text/markdown; charset=utf-8"),
    ("metadata.parquet", "application/vnd.apache.parquet"),
    ("previews/overview.png", "image/png"),
)


class _Plan(BaseModel):
    """What is needed of plan.json here; the manifest carries all of it."""

    count: int
    shard_size: int
    psi: float
    seed: int
    versions: dict[str, str] = {}

    @property
    def shards(self) -> int:
        """How many shards there must be."""
        return -(-self.count // self.shard_size)


class _Card(BaseModel):
    """What is needed of a label generator's card.json."""

    label: LabelSpec
    ensemble: dict[str, str]
    licence: str = ""
    lineage: dict[str, Any] = {}


def run(context: TaskContext) -> None:
    """Write the generation's table, overview, card and manifest.

    Raises:
        TaskFailed: `incomplete_generation`: a shard is missing, or is not what its maker wrote.
        Retryable: a shard has other bytes than its maker wrote, though as many.
    """
    final = keys.FINAL["generations"]
    if context.store.size(context.key(final)) is not None:
        return
    params = context.params(GenerationParams)
    plan, cards = _document(context, "plan.json"), _label_cards(context, params)
    labels = [card.label for card in cards.values()]
    needed = _Plan.model_validate(plan)
    tally = _write_table(context, needed, labels, _kept(context, needed, params))
    size = _write_overview(context, labels)
    manifest = _manifest(context, plan, cards, tally)
    readme = generation_card(manifest, params.image_format, size)
    (context.scratch / "README.md").write_text(readme, "utf-8", newline="\n")
    files = tuple(_publish(context, path, kind) for path, kind in _FILES)
    whole = manifest.model_copy(update={"files": files})
    context.put_json(final, whole.model_dump(mode="json"))


def _document(context: TaskContext, path: str) -> dict[str, Any]:
    """A JSON document of the generation."""
    try:
        document: dict[str, Any] = json.loads(context.store.get(context.key(path)))
    except ObjectNotFound as error:
        raise _incomplete(f"{path} is not there") from error
    return document


def _label_cards(context: TaskContext, params: GenerationParams) -> dict[str, _Card]:
    """The label generators' cards by id, in the order that was asked for."""
    return {each: _label_card(context, each) for each in params.label_generator_ids}


def _label_card(context: TaskContext, label_generator: str) -> _Card:
    collection = "label-generators"
    key = context.parent_key(collection, label_generator, keys.FINAL[collection])
    try:
        return _Card.model_validate_json(context.store.get(key))
    except ObjectNotFound as error:
        raise _incomplete(f"its label generator {label_generator} is not there") from error


def _kept(context: TaskContext, plan: _Plan, params: GenerationParams) -> Kept | None:
    """Which samples the authors' ranks keep, those of each kind of label; None in default mode."""
    if params.uncertainty.mode != "paper":
        return None
    of_shards = [_scores(_fragment(context, index)) for index in range(plan.shards)]
    scores = np.concatenate(of_shards, axis=1)  # [kinds, samples]
    kept: Kept = np.all([kept_by_rank(each, params.uncertainty.drop) for each in scores], axis=0)
    return kept


def _scores(fragment: ShardFragment) -> NDArray[np.float64]:
    """How uncertain a shard's samples are: [kinds, samples]."""
    return np.array([[*(row.scores or {"": row.score}).values()] for row in fragment.rows]).T


def _write_table(
    context: TaskContext, plan: _Plan, labels: Sequence[LabelSpec], kept: Kept | None
) -> GenerationTally:
    """Write the table of all samples to the scratch folder; what they add up to."""
    tally = GenerationTally()
    fragments = tally.watching(_fragments(context, plan.shards))
    write_table(context.scratch / "metadata.parquet", fragments, labels, kept)
    if tally.samples != plan.count:
        raise _incomplete(f"its shards hold {tally.samples} samples; {plan.count} were planned")
    return tally


def _fragments(context: TaskContext, shards: int) -> Iterator[ShardFragment]:
    """What is known of each shard, once the shard itself was found to be there, and whole."""
    for index in range(shards):
        context.report("adding up", index, shards, "shards")
        fragment = _fragment(context, index)
        if fault := fault_of(context, fragment):
            raise _incomplete(fault)
        yield fragment


def _fragment(context: TaskContext, index: int) -> StoredFragment:
    return StoredFragment.model_validate(_document(context, keys.fragment(index)))


def _write_overview(context: TaskContext, labels: Sequence[LabelSpec]) -> tuple[int, int]:
    """Write a picture of the first samples to the scratch folder; (H, W) of a sample."""
    fragment = _fragment(context, 0)
    first, last = fragment.rows[0], fragment.rows[:_PREVIEWED][-1]
    key = context.key(fragment.path)
    data = b"".join(context.store.stream(key, end=last.offset + last.bytes)) + END
    read = [labelled_of(sample, labels) for sample in read_shard(io.BytesIO(data))]
    shown = [(some.image, [some.labels[spec.kind] for spec in labels]) for some in read]
    target = context.scratch / "previews" / "overview.png"
    target.parent.mkdir()
    target.write_bytes(encode_png(labelled_overview(shown, labels)))
    return first.height, first.width


def _manifest(
    context: TaskContext,
    plan: dict[str, Any],
    cards: Mapping[str, _Card],
    tally: GenerationTally,
) -> GenerationManifest:
    """The manifest, but for the files beside the shards."""
    needed = _Plan.model_validate(plan)
    labels = tuple(card.label for card in cards.values())
    sources = {each: {**card.lineage, **card.ensemble} for each, card in cards.items()}
    return GenerationManifest(
        samples=tally.samples,
        candidates=tally.candidates,
        dropped_share=tally.dropped_share,
        shards=tuple(tally.shards),
        files=(),
        label=labels[0],
        labels=labels,
        psi=needed.psi,
        seed=needed.seed,
        name=context.resource.name,
        licence=context.resource.licence or _licence(cards),
        lineage={"label_generators": sources},
        statistics=tally.statistics(),
        versions=needed.versions,
        plan=plan,
    )


def _licence(cards: Mapping[str, _Card]) -> str:
    """All licences that hold for the labels."""
    return "; ".join(dict.fromkeys(card.licence for card in cards.values() if card.licence))


def _publish(context: TaskContext, path: str, content_type: str) -> FileEntry:
    """Put a file of the scratch folder into the generation."""
    source = context.scratch / path
    with source.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    context.store.put_file(context.key(path), source, content_type)
    return FileEntry(path=path, bytes=source.stat().st_size, sha256=digest)


def _incomplete(problem: str) -> TaskFailed:
    message = f"the generation is incomplete: {problem}; start a new one"
    return TaskFailed("incomplete_generation", message)

"""`metadata.parquet`: one row per generated sample, to choose samples without opening shards.

Equal rows give equal bytes (with one version of pyarrow, which names itself in the file).

    index, seed, shard, candidate, score, psi, height, width, label
                        as in `manifest.SampleInfo`; `label` is null where the generator knows none
    scores              struct, one float64 per kind of label; only where there are several
    class_pixel_share   struct, one float64 per class by name; only where there are masks
    keypoint_confidence struct, one float64 per point by name; only where there are keypoints
    depth               struct of float64, see `manifest.Figures`; only where there is depth
    kept                bool, whether the authors' ranks keep the sample; only in their mode
    path, offset, bytes where the sample lies: a range of bytes of the shard at `path`
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.data.kinds import kind_of
from models.data.manifest import ShardFragment
from models.labels import LabelSpec

_FIELDS = (
    ("index", pa.int64()),
    ("seed", pa.int64()),
    ("shard", pa.int64()),
    ("candidate", pa.int64()),
    ("score", pa.float64()),
    ("psi", pa.float64()),
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("label", pa.int32()),
)


def write_table(
    path: Path,
    fragments: Iterable[ShardFragment],
    labels: Sequence[LabelSpec],
    kept: NDArray[np.bool_] | None = None,
) -> None:
    """Write the rows of all fragments, one row group a shard; only one is held at a time.

    Args:
        path: where to; a file that is there is replaced.
        fragments: in the order of their shards.
        labels: of the samples; every row must have the figures of each.
        kept: bool [samples], by their index; left out where nothing is to be said of it.
    """
    schema = _schema(labels, kept is not None)
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6") as writer:
        for fragment in fragments:
            rows = [{**row.model_dump(), "path": fragment.path} for row in fragment.rows]
            if kept is not None:
                rows = [{**row, "kept": bool(kept[row["index"]])} for row in rows]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def kept_in(path: Path) -> set[int]:
    """Indices of the samples that a table marks as kept; it must have that column."""
    table = pq.read_table(path, columns=["index", "kept"])
    return set(table.filter(table["kept"])["index"].to_pylist())


def _schema(labels: Sequence[LabelSpec], says_kept: bool) -> pa.Schema:
    kinds = [kind_of(spec) for spec in labels]
    scores = [("scores", _floats([spec.kind for spec in labels]))] if len(labels) > 1 else []
    figures = [(kind.figure, _floats(kind.names)) for kind in kinds]
    kept = [("kept", pa.bool_())] if says_kept else []
    place = [("path", pa.string()), ("offset", pa.int64()), ("bytes", pa.int64())]
    return pa.schema([*_FIELDS, *scores, *figures, *kept, *place])


def _floats(names: Sequence[str]) -> pa.DataType:
    return pa.struct([(name, pa.float64()) for name in names])

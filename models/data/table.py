"""`metadata.parquet`: one row per generated sample, to choose samples without opening shards.

Equal rows give equal bytes (with one version of pyarrow, which names itself in the file).

    index, seed, shard, candidate, score, psi, height, width, label
                        as in `manifest.SampleInfo`; `label` is null where the generator knows none
    class_pixel_share   struct, one float64 per class by name
    path, offset, bytes where the sample lies: a range of bytes of the shard at `path`
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.data.manifest import ShardFragment

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


def write_table(path: Path, fragments: Iterable[ShardFragment], classes: Sequence[str]) -> None:
    """Write the rows of all fragments, one row group a shard; only one is held at a time.

    Args:
        path: where to; a file that is there is replaced.
        fragments: in the order of their shards.
        classes: names by id; every row must have a share for each.
    """
    schema = _schema(classes)
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6") as writer:
        for fragment in fragments:
            rows = [{**row.model_dump(), "path": fragment.path} for row in fragment.rows]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _schema(classes: Sequence[str]) -> pa.Schema:
    shares = pa.struct([(name, pa.float64()) for name in classes])
    place = [("path", pa.string()), ("offset", pa.int64()), ("bytes", pa.int64())]
    return pa.schema([*_FIELDS, ("class_pixel_share", shares), *place])

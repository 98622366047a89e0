import numpy as np
import pyarrow.parquet as pq
from support import generations

from models.data.table import kept_in, write_table
from models.labels import DepthSpec, KeypointsSpec

LABELS = [generations.SPEC]


def test_has_a_row_per_sample(tmp_path):
    """
    Rows are the samples in order, with all that is known of each and where it lies.
    """
    fragments = generations.write_generation(tmp_path, 5)
    write_table(tmp_path / "m.parquet", fragments, LABELS)

    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()

    expected = [
        {**row.model_dump(), "path": fragment.path}
        for fragment in fragments
        for row in fragment.rows
    ]
    assert expected == rows


def test_has_a_row_group_per_shard(tmp_path):
    """
    A reader that wants one shard's rows reads one group.
    """
    write_table(tmp_path / "m.parquet", generations.write_generation(tmp_path, 7), LABELS)

    assert pq.ParquetFile(tmp_path / "m.parquet").num_row_groups == 3


def test_can_be_filtered_by_class(tmp_path):
    """
    Class shares are columns of their own within a struct, under the classes' names.
    """
    write_table(tmp_path / "m.parquet", generations.write_generation(tmp_path, 4), LABELS)

    columns = pq.read_table(tmp_path / "m.parquet", columns=["class_pixel_share"]).flatten()

    assert [
        f"class_pixel_share.{name}" for name in generations.SPEC.classes
    ] == columns.column_names


def test_equal_rows_give_equal_bytes(tmp_path):
    """
    The table of a generation that is finished twice is the same file.
    """
    fragments = generations.write_generation(tmp_path, 5)
    for name in ("one", "other"):
        write_table(tmp_path / name, iter(fragments), LABELS)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_kinds_have_columns_of_their_own(tmp_path):
    """
    Scores and figures of each kind are structs; kinds that are not there have no column.
    """
    path = tmp_path / "m.parquet"
    (fragment,) = generations.write_generation(tmp_path, 1)
    figures = {"keypoint_confidence": {"nose": 0.5}, "scores": {"keypoints": 1.0, "depth": 2.0}}
    depth = {"smallest": 1.0, "mean": 2.0, "largest": 3.0, "labelled_share": 0.5}
    row = fragment.rows[0].model_copy(update={**figures, "depth": depth, "class_pixel_share": None})

    labels = [KeypointsSpec(names=("nose",)), DepthSpec()]
    write_table(path, [fragment.model_copy(update={"rows": (row,)})], labels)

    (read,) = pq.read_table(path).to_pylist()
    assert {**figures, "depth": depth} == {name: read[name] for name in (*figures, "depth")}
    assert "class_pixel_share" not in read


def test_marks_what_is_kept(tmp_path):
    """
    Where ranks decide, a column says it of each sample, across shards, and is read back.
    """
    path, kept = tmp_path / "m.parquet", np.array([True, False, False, True, True])
    write_table(path, generations.write_generation(tmp_path, 5), LABELS, kept)

    assert kept.tolist() == pq.read_table(path)["kept"].to_pylist()
    assert kept_in(path) == {0, 3, 4}

import pyarrow.parquet as pq
from support import generations

from models.data.table import write_table

CLASSES = generations.SPEC.classes


def test_has_a_row_per_sample(tmp_path):
    """
    Rows are the samples in order, with all that is known of each and where it lies.
    """
    fragments = generations.write_generation(tmp_path, 5)
    write_table(tmp_path / "m.parquet", fragments, CLASSES)

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
    write_table(tmp_path / "m.parquet", generations.write_generation(tmp_path, 7), CLASSES)

    assert pq.ParquetFile(tmp_path / "m.parquet").num_row_groups == 3


def test_can_be_filtered_by_class(tmp_path):
    """
    Class shares are columns of their own within a struct, under the classes' names.
    """
    write_table(tmp_path / "m.parquet", generations.write_generation(tmp_path, 4), CLASSES)

    columns = pq.read_table(tmp_path / "m.parquet", columns=["class_pixel_share"]).flatten()

    assert [f"class_pixel_share.{name}" for name in CLASSES] == columns.column_names


def test_equal_rows_give_equal_bytes(tmp_path):
    """
    The table of a generation that is finished twice is the same file.
    """
    fragments = generations.write_generation(tmp_path, 5)
    for name in ("one", "other"):
        write_table(tmp_path / name, iter(fragments), CLASSES)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()

import os
import zipfile

import numpy as np
import pytest

from models.data.formats.registry import read_archive
from models.data.labelled import Reading
from models.labels import SegmentationSpec
from tests.benchmarks.ingest import WORKER, Look, MemoryCurve, peaks_of_tenths
from tests.benchmarks.photographs import CLASSES, PAIR_BYTES, SIZE, write_zip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """
    A zip of three pairs.
    """
    path = tmp_path_factory.mktemp("photographs") / "pairs.zip"
    write_zip(path, 3)
    return path


class TestPhotographs:
    def test_the_zip_is_a_dataset_of_different_pictures(self, pairs):
        """
        The plain folder's reader finds each pair; no two pictures or masks are the same, and all
        classes are in every mask.
        """
        reading = Reading(labels=(SegmentationSpec(classes=CLASSES),))

        items = list(read_archive(pairs, reading))

        assert [item.key for item in items] == ["00000", "00001", "00002"]
        assert {item.image.shape for item in items} == {(SIZE, SIZE, 3)}
        assert len({item.image.tobytes() for item in items}) == 3
        assert len({item.labels["segmentation"].tobytes() for item in items}) == 3
        for item in items:
            assert len(np.unique(item.labels["segmentation"])) == len(CLASSES)

    def test_pairs_are_as_large_as_is_said(self, pairs):
        """
        What 5,000 of them take is known before they are made.
        """
        with zipfile.ZipFile(pairs) as archive:
            sizes = [entry.compress_size for entry in archive.infolist()]
        assert all(
            0.9 * PAIR_BYTES < image + mask < 1.05 * PAIR_BYTES
            for image, mask in zip(sizes[::2], sizes[1::2], strict=True)
        )

    def test_the_same_bytes_each_time(self, pairs, tmp_path):
        """
        Another zip of the same pairs is the same file.
        """
        write_zip(tmp_path / "again.zip", 3)

        assert (tmp_path / "again.zip").read_bytes() == pairs.read_bytes()


class TestPeaks:
    def test_each_tenth_has_its_own(self):
        """
        A look counts for the tenth in which it falls: from its beginning to before its end.
        """
        looks = [Look(100.0, 5), Look(100.9, 7), Look(101.0, 6), Look(109.99, 9)]

        found = peaks_of_tenths(looks, 100, 110)

        assert found == [7, 6, *[None] * 7, 9]

    def test_what_was_before_and_after_does_not_count(self):
        """
        The worker's start and its end are no part of the run.
        """
        looks = [Look(99.9, 50), Look(105.0, 5), Look(110.0, 60)]

        assert peaks_of_tenths(looks, 100, 110) == [None] * 5 + [5] + [None] * 4


def test_a_curve_remembers_every_look():
    """
    A small look after a large one is kept as it was.
    """
    pids = {WORKER: os.getpid()}
    curve = MemoryCurve(lambda: pids)

    curve.measure()
    pids.clear()
    curve.measure()

    assert [look.size > 0 for look in curve.looks] == [True, False]
    assert curve.looks[0].at <= curve.looks[1].at

import numpy as np
import pytest
from pydantic import TypeAdapter

from models.data.statistics import BINS, LabelStatistics, counter_of, pixel_shares
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

MASK = SegmentationSpec(classes=("a", "b", "c"), ignore_index=255)
POINTS = KeypointsSpec(names=("eye", "tail"))
DEPTH = DepthSpec(smallest=0.1, largest=10)


def counted(spec, *labels):
    """
    The statistics of some labels.
    """
    counter = counter_of(spec)
    for label in labels:
        counter.add(label)
    return counter.statistics()


def depth(*values):
    """
    A depth map one pixel high.
    """
    return np.array([values], dtype=np.float32)


class TestMasks:
    def test_shares_and_images(self):
        """
        Shares are of the pixels of all masks, whatever their sizes; images are counted once.
        """
        one = np.array([[0, 0, 1, 255]], dtype=np.uint8)
        other = np.array([[0], [0]], dtype=np.uint8)

        found = counted(MASK, one, other)

        assert found.class_pixel_share == {"a": 0.8, "b": 0.2, "c": 0.0}
        assert found.images_per_class == {"a": 2, "b": 1, "c": 0}

    @pytest.mark.parametrize("ignored", [2, 255])
    def test_what_is_ignored_is_left_out(self, ignored):
        """
        Pixels of the ignore_index count in no sum, also if it is the id of a class.
        """
        spec = MASK.model_copy(update={"ignore_index": ignored})

        found = counted(spec, np.array([[0, 1, ignored, ignored]], dtype=np.uint8))

        assert found.class_pixel_share == {"a": 0.5, "b": 0.5, "c": 0.0}
        assert found.images_per_class == {"a": 1, "b": 1, "c": 0}

    def test_nothing_has_no_shares(self):
        """
        Without a labelled pixel all shares are zero.
        """
        assert counted(MASK).class_pixel_share == {"a": 0.0, "b": 0.0, "c": 0.0}

    def test_shares_of_one(self):
        """
        A mask's shares sum to one.
        """
        shares = pixel_shares(np.array([[0, 1], [2, 2]], dtype=np.uint8), MASK)

        assert shares == {"a": 0.25, "b": 0.25, "c": 0.5}


class TestKeypoints:
    def test_each_point_is_counted_by_its_visibility(self):
        """
        Seen, hidden and unlabelled add up to the images, for every point.
        """
        labels = [
            np.array([(1, 1, eye), (2, 2, tail)], dtype=np.float32)
            for eye, tail in [(2, 0), (2, 1), (1, 0)]
        ]

        found = counted(POINTS, *labels)

        assert found.images == 3
        assert found.points["eye"].model_dump() == {"seen": 2, "hidden": 1, "unlabelled": 0}
        assert found.points["tail"].model_dump() == {"seen": 0, "hidden": 1, "unlabelled": 2}


class TestDepth:
    def test_range_mean_and_share_are_of_what_is_labelled(self):
        """
        Pixels without a depth count in the share alone, also across maps of other sizes.
        """
        found = counted(DEPTH, depth(1, 2, np.nan, np.nan), depth(6), depth(np.nan, np.nan, np.nan))

        assert (found.images, found.labelled_share) == (3, 3 / 8)
        assert (found.smallest, found.mean, found.largest) == (1, 3, 6)

    @pytest.mark.parametrize("log", [False, True])
    def test_every_labelled_pixel_is_in_one_bin(self, log):
        """
        The histogram is NumPy's own, over even steps of the depth or of its logarithm, and the
        ends of the range, which float32 cannot hold exactly, are in it.
        """
        spec = DEPTH.model_copy(update={"log": log})
        values = np.random.default_rng(0).uniform(0.1, 10, (8, 50)).astype(np.float32)
        values[0, :2] = 0.1, 10

        found = counted(spec, values[:3], values[3:])

        assert (found.edges[0], found.edges[-1]) == pytest.approx((0.1, 10))
        scale = np.log if log else np.asarray
        assert np.diff(scale(found.edges)) == pytest.approx(np.ptp(scale([0.1, 10])) / BINS)
        counts, _ = np.histogram(scale(values), scale(found.edges).astype(np.float32))
        assert counts.tolist() == list(found.counts)
        assert sum(found.counts) == 400

    def test_the_smallest_float32_of_a_range_counts(self):
        """
        A depth that lies below the range by rounding alone is in the first bin.
        """
        spec = DepthSpec(smallest=0.7, largest=1)
        assert float(np.float32(0.7)) < 0.7

        assert counted(spec, depth(0.7)).counts[0] == 1

    def test_nothing_has_no_range(self):
        """
        Without a labelled pixel there is no mean, and no warning about it.
        """
        found = counted(DEPTH, depth(np.nan))

        assert (found.smallest, found.mean, found.largest) == (None, None, None)
        assert found.labelled_share == 0


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        (MASK, np.zeros((2, 2), np.uint8)),
        (POINTS, np.zeros((2, 3), np.float32)),
        (DEPTH, depth(1, np.nan)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_statistics_survive_json(spec, label):
    """
    A document of any kind is read back as what it was.
    """
    found = counted(spec, label)

    assert found == TypeAdapter(LabelStatistics).validate_json(found.model_dump_json())

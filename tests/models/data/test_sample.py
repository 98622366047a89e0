import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.images import encode_png
from models.data.kinds import kind_of
from models.data.sample import MAX_KEY, item_key, labelled_of, read_labelled
from models.data.shards import ShardSample
from models.errors import InvalidImage
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

SPEC = SegmentationSpec(classes=("a", "b"))


class TestItemKey:
    @pytest.mark.parametrize(
        ("stem", "key"),
        [
            ("0001", "0001"),
            ("left_eye-2", "left_eye-2"),
            ("IMG 001.v2", "img-001-v2"),
            ("(1) a", "1-a"),
        ],
    )
    def test_stays_readable(self, stem, key):
        """
        A key is the file's own name as far as tar readers can take it.
        """
        assert key == item_key(stem)

    @settings(deadline=None)
    @given(st.text(min_size=1, max_size=300))
    def test_is_always_a_key(self, stem):
        """
        Any name gives a key of few characters, always the same one, and a key gives itself.
        """
        key = item_key(stem)

        assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        assert 1 <= len(key) <= MAX_KEY
        assert key == item_key(stem) == item_key(key)

    @pytest.mark.parametrize(
        ("one", "other"), [("写真", "画像"), ("x" * 90, "x" * 91), ("é", "è"), ("aé", "aè")]
    )
    def test_names_of_other_alphabets_stay_apart(self, one, other):
        """
        Where letters are lost, keys still differ.
        """
        assert item_key(one) != item_key(other)


class TestLabelledOf:
    LABELS = (SPEC, KeypointsSpec(names=("nose",)), DepthSpec())
    ARRAYS = (
        np.ones((2, 3), np.uint8),
        np.float32([[1, 2, 2]]),
        np.full((2, 3), 4, np.float32),
    )

    def sample(self, **changed):
        """
        A sample of a shard with labels of all kinds.
        """
        kinds = [kind_of(spec) for spec in self.LABELS]
        pairs = zip(kinds, self.ARRAYS, strict=True)
        members = {kind.member: kind.encode(array) for kind, array in pairs}
        picture = encode_png(np.zeros((2, 3, 3), np.uint8))
        return ShardSample("k", {"png": picture, "json": b"{}", **members, **changed})

    def test_reads_every_kind(self):
        """
        What was written into a shard comes back, by kind.
        """
        found = labelled_of(self.sample(), self.LABELS)

        assert found.image.shape == (2, 3, 3)
        for spec, array in zip(self.LABELS, self.ARRAYS, strict=True):
            np.testing.assert_array_equal(array, found.labels[spec.kind])

    def test_names_the_file_at_fault(self):
        """
        A label that does not fit is called as it is in the shard.
        """
        broken = self.sample(**{"depth.npy": b"nothing"})

        with pytest.raises(InvalidImage, match=r"^k\.depth\.npy: is no whole \.npy file"):
            labelled_of(broken, self.LABELS)


class TestReadLabelled:
    def test_reads_what_was_stored(self):
        """
        An image and its labels become arrays, called by the image's name.
        """
        image, mask = np.zeros((2, 3, 3), np.uint8), np.ones((2, 3), np.uint8)

        found = read_labelled(
            "k", ("i", encode_png(image)), {"segmentation": ("m", encode_png(mask))}, [SPEC]
        )

        assert (found.key, found.origin) == ("k", "i")
        np.testing.assert_array_equal(image, found.image)
        np.testing.assert_array_equal(mask, found.labels["segmentation"])

    def test_names_the_file_at_fault(self):
        """
        An error calls the mask by the mask's name.
        """
        image, mask = encode_png(np.zeros((2, 3, 3), np.uint8)), np.ones((3, 2), np.uint8)

        with pytest.raises(InvalidImage, match=r"^m: has 3 x 2 pixels, but its image 2 x 3"):
            read_labelled("k", ("i", image), {"segmentation": ("m", encode_png(mask))}, [SPEC])

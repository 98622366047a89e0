import numpy as np
import pytest
from support import generations

from models.data.summary import ClassCounts, GenerationTally, pixel_shares
from models.labels import SegmentationSpec

SPEC = SegmentationSpec(classes=("a", "b", "c"))


class TestClassCounts:
    def test_counts_pixels_and_images(self):
        """
        Shares are of the pixels of all masks, whatever their sizes; images are counted once.
        """
        counts = ClassCounts(SPEC)
        counts.add(np.array([[0, 0, 1, 1]], dtype=np.uint8))
        counts.add(np.array([[0], [0], [0], [0], [0], [0]], dtype=np.uint8))

        found = counts.statistics()

        assert found.class_pixel_share == {"a": 0.8, "b": 0.2, "c": 0.0}
        assert found.images_per_class == {"a": 2, "b": 1, "c": 0}

    @pytest.mark.parametrize("ignored", [2, 255])
    def test_leaves_out_what_is_ignored(self, ignored):
        """
        Pixels of the ignore_index count in no sum, also if it is the id of a class.
        """
        counts = ClassCounts(SPEC.model_copy(update={"ignore_index": ignored}))
        counts.add(np.array([[0, 1, ignored, ignored]], dtype=np.uint8))

        assert counts.statistics().class_pixel_share == {"a": 0.5, "b": 0.5, "c": 0.0}
        assert counts.statistics().images_per_class == {"a": 1, "b": 1, "c": 0}

    def test_nothing_has_no_shares(self):
        """
        Without a labelled pixel all shares are zero.
        """
        assert ClassCounts(SPEC).statistics().class_pixel_share == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_pixel_shares_are_of_one_mask():
    """
    A mask's shares sum to one.
    """
    shares = pixel_shares(np.array([[0, 1], [2, 2]], dtype=np.uint8), SPEC)

    assert shares == {"a": 0.25, "b": 0.25, "c": 0.5}


def test_a_generation_adds_up(tmp_path):
    """
    Samples, candidates and mean shares are those of all shards together, each let through.
    """
    fragments = generations.write_generation(tmp_path, 7)
    tally = GenerationTally()

    assert fragments == list(tally.watching(fragments))
    assert (tally.samples, tally.candidates) == (7, 10)
    assert pytest.approx(tally.dropped_share) == 0.3
    masks = np.stack([generations.content(index)[1] for index in range(7)])
    expected = {name: (masks == k).mean() for k, name in enumerate(generations.SPEC.classes)}
    assert expected == pytest.approx(tally.statistics().class_pixel_share)

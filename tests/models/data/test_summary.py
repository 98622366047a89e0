import numpy as np
import pytest
from support import generations

from models.data.summary import GenerationTally


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

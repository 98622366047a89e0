import json

import numpy as np
import pytest

from models.data.manifest import SampleInfo
from models.data.sample import labelled_of
from models.data.sample_encoding import Generated, Place, encode_sample
from models.labels import DepthSpec, SegmentationSpec

SPECS = (SegmentationSpec(classes=("a", "b")), DepthSpec())
PLACE = Place(index=41, seed=2, shard=3, candidate=7, psi=0.5)


def generated(specs=SPECS, **changes):
    """
    An image of noise with labels of these kinds.
    """
    stream = np.random.default_rng(0)
    labels = {
        "segmentation": stream.integers(0, 2, (4, 6), dtype=np.uint8),
        "depth": stream.random((4, 6), dtype=np.float32) + 1,
    }
    facts = {
        "place": PLACE,
        "image": stream.integers(0, 256, (4, 6, 3), dtype=np.uint8),
        "labels": {spec.kind: labels[spec.kind] for spec in specs},
        "scores": {spec.kind: 0.25 * n for n, spec in enumerate(specs, 1)},
    }
    return Generated(**{**facts, **changes})


def test_what_was_encoded_can_be_read_back():
    """
    Image and labels are those that were given, under the number in the generation.
    """
    made = generated()

    sample, _ = encode_sample(made, SPECS, "png")

    read = labelled_of(sample, SPECS)
    assert sample.key == "000000041"
    np.testing.assert_array_equal(read.image, made.image)
    for kind, label in made.labels.items():
        np.testing.assert_array_equal(read.labels[kind], label)


def test_the_sample_says_where_it_comes_from():
    """
    Its JSON has the place, the size, the class if there is one, and the first label's score.
    """
    sample, info = encode_sample(generated(label=5), SPECS, "png")

    assert SampleInfo.model_validate_json(sample.members["json"]) == info
    assert (info.index, info.seed, info.shard, info.candidate, info.psi) == (41, 2, 3, 7, 0.5)
    assert (info.height, info.width, info.label) == (4, 6, 5)
    assert (info.score, info.scores) == (0.25, {"segmentation": 0.25, "depth": 0.5})


@pytest.mark.parametrize(("specs", "expected"), [(SPECS[:1], False), (SPECS, True)])
def test_scores_by_kind_are_for_several_kinds(specs, expected):
    """
    With a single kind there is its score and nothing else; nor a class that nobody knows.
    """
    sample, _ = encode_sample(generated(specs), specs, "png")

    document = json.loads(sample.members["json"])
    assert expected == ("scores" in document)
    assert "label" not in document

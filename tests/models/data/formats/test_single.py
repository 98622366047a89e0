import json

import numpy as np
import pytest
from support.layouts_folders import PARTS, SIZE, grey16, ids, npy, picture

from models.data.formats.single import MAX_BYTES, read_single
from models.data.images import encode_png
from models.data.kinds import kind_of
from models.data.labelled import Reading
from models.errors import InvalidDataset, InvalidImage
from models.labels import DepthSpec, KeypointsSpec

POINTS = KeypointsSpec(names=("nose", "chin"))
DEPTH = DepthSpec(largest=10)
ALL = Reading(labels=(PARTS, POINTS, DEPTH), options={"depth_scale": "1000"})
TRIPLES = [[1, 2.5, 2], [0, 3, 1]]
FILES = {
    "segmentation": ("m.png", encode_png(ids())),
    "keypoints": ("k.json", json.dumps({"points": TRIPLES}).encode()),
    "depth": ("d.png", grey16(2500)),
}


def read(reading=ALL, **changed):
    """
    A picture with labels of all kinds, some of the files changed.
    """
    return read_single("one", ("i.png", picture()), FILES | changed, reading)


def test_reads_every_kind():
    """
    A mask, points and depth in files of their own belong to one picture.
    """
    item = read()

    assert (item.key, item.origin, list(item.labels)) == (
        "one",
        "i.png",
        ["segmentation", "keypoints", "depth"],
    )
    np.testing.assert_array_equal(item.labels["segmentation"], ids())
    assert item.labels["keypoints"].tolist() == [[2.5, 1, 2], [3, 0, 1]]
    np.testing.assert_array_equal(item.labels["depth"], np.full(SIZE, 2.5, np.float32))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"points": TRIPLES}).encode(),
        json.dumps({"0001": TRIPLES}).encode(),
        kind_of(POINTS).encode(np.float32([[2.5, 1, 2], [3, 0, 1]])),
    ],
    ids=["points", "an entry of keypoints.json", "as a dataset stores them"],
)
def test_keypoints_may_be_written_in_three_ways(data):
    """
    Whoever has keypoints.json or a file of another dataset need not rewrite it.
    """
    labels = read(keypoints=("k.json", data)).labels

    assert labels["keypoints"].tolist() == [[2.5, 1, 2], [3, 0, 1]]


def test_masks_may_be_arrays_or_colours():
    """
    What the plain folder reads is read here too.
    """
    coloured = np.zeros((*SIZE, 3), np.uint8)
    coloured[-1] = (255, 0, 0)
    colours = {(0, 0, 0): "background", (255, 0, 0): "skin"}
    reading = Reading(labels=(PARTS,), colours=colours)

    by_id = read(segmentation=("m.npy", npy(ids().astype(int))))
    by_colour = read(reading, segmentation=("m.png", encode_png(coloured)))

    for item in (by_id, by_colour):
        np.testing.assert_array_equal(item.labels["segmentation"], ids())


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        ("segmentation", encode_png(ids(size=(4, 5))), "4 x 5 pixels, but its image 4 x 6"),
        ("keypoints", b"[]", "must hold"),
        ("keypoints", b'{"points": [[1', "is not readable JSON"),
        ("keypoints", b'{"a": [], "b": []}', "must hold {"),
        ("keypoints", b'{"points": [[1, 2, 2]]}', "has 1 keypoints, but the label 2"),
        ("keypoints", b'{"keypoints": [1, 2, 2], "names": ["nose"]}', "the label has nose, chin"),
        ("keypoints", bytes(MAX_BYTES + 1), "over 1,048,576"),
        ("depth", npy(np.full(SIZE, np.nan)), "has no depth from 0.001 to 10 m"),
    ],
)
def test_the_file_at_fault_is_named(kind, data, problem):
    """
    What cannot be used is refused under its own name.
    """
    with pytest.raises(InvalidImage) as caught:
        read(**{kind: ("bad.file", data)})

    assert caught.value.name == "bad.file"
    assert problem in caught.value.problem


def test_an_option_that_means_nothing_is_a_fault_of_the_dataset():
    """
    No file could be read with it.
    """
    with pytest.raises(InvalidDataset, match="depth_scale is '-1'"):
        read(Reading(labels=(DEPTH,), options={"depth_scale": "-1"}))

from dataclasses import replace

import numpy as np
import pytest
from support.labelled_pictures import MASK, POINTS, SPECS, item

from models.data.fitting import Align, AlignFace, Canvas, Pad
from models.data.intake import Intake
from models.data.labelled import Reading
from models.errors import InvalidDataset
from models.labels import SegmentationSpec

CANVAS = Canvas(height=32, width=48)


def intake(labels=SPECS, read=SPECS, most=None, **how):
    """
    An intake of what was read, of which some kinds are kept.
    """
    return Intake(labels, Reading(labels=read, most_faults=most), **how)


def reading(*items, faults=(), complete=True):
    """
    Items as a layout gives them, with faults after the last.
    """
    yield from items
    if faults:
        raise InvalidDataset(list(faults), complete=complete)


def named(key, **how):
    """
    An item with a key and an origin.
    """
    return replace(item(**how), key=key, origin=f"{key}.png")


def test_items_pass_as_they_are():
    """
    Without a fit nothing changes, and there is no record of one.
    """
    one = named("a")

    (kept,) = intake().kept([one])

    assert (kept.fit, kept.tiny) == (None, {})
    assert kept.item.image is one.image
    assert set(kept.item.labels) == {"segmentation", "keypoints", "depth"}


def test_items_are_fitted_with_all_their_labels():
    """
    Picture and labels come onto the canvas together, and the record says how.
    """
    (kept,) = intake(onto=(Pad(), CANVAS)).kept([named("a", height=60, width=56)])

    assert kept.item.image.shape == (32, 48, 3)
    assert kept.item.labels["segmentation"].shape == (32, 48)
    assert kept.fit.source == (60, 56)
    assert kept.fit.policy == Pad()


def test_landmarks_align_and_are_not_kept():
    """
    Points that were read for the alignment alone are no label of the item.
    """
    whole = intake(labels=(MASK,), read=(MASK, POINTS), onto=(AlignFace(), CANVAS))

    one = named("a")
    del one.labels["depth"]
    (kept,) = whole.kept([one])

    assert set(kept.item.labels) == {"segmentation"}
    assert kept.fit.policy == AlignFace()


@pytest.mark.parametrize("cleans", [False, True])
def test_tiny_classes_are_told_and_perhaps_removed(cleans):
    """
    A class of fewer pixels than make sense is named with its pixels; cleaning turns it into
    background.
    """
    spec = SegmentationSpec(classes=("ground", "speck", "rest"))
    mask = np.full((512, 512), 2, np.uint8)
    mask[:2, :5] = 1
    one = replace(named("a", height=512, width=512), labels={"segmentation": mask})

    (kept,) = intake((spec,), (spec,), cleans=cleans).kept([one])

    assert kept.tiny == {"speck": 10}
    assert (kept.item.labels["segmentation"] == 1).sum() == (0 if cleans else 10)


def test_strictly_one_fault_refuses_all():
    """
    Faults of reading and of fitting come in one error, after the last good item.
    """
    blind = replace(named("b"), labels={**item().labels, "keypoints": np.zeros((5, 3), "f4")})
    items = reading(named("a"), blind, faults=[("c.png", "is red")])
    keys = []

    with pytest.raises(InvalidDataset) as caught:
        keys.extend(kept.item.key for kept in intake(onto=(Align(), CANVAS)).kept(items))

    assert keys == ["a"]
    found = dict(caught.value.problems)
    assert set(found) == {"b.png", "c.png"}
    assert "aligning needs three or more" in found["b.png"]


def test_skipping_goes_on_without_them():
    """
    The good ones are kept, and what was left out is known afterwards.
    """
    gate = intake(skips=True)
    items = reading(named("a"), named("b"), faults=[("c.png", "is red"), ("d.png", "is blue")])

    assert [kept.item.key for kept in gate.kept(items)] == ["a", "b"]
    assert gate.left_out == [("c.png", "is red"), ("d.png", "is blue")]


def test_skipping_needs_something_that_is_left():
    """
    A dataset of nothing but faults is refused with all of them.
    """
    with pytest.raises(InvalidDataset, match=r"^c\.png: is red$"):
        list(intake(skips=True).kept(reading(faults=[("c.png", "is red")])))


def test_nothing_at_all_is_refused():
    """
    A reading without items and without faults is no dataset.
    """
    with pytest.raises(InvalidDataset, match="holds no labelled pictures"):
        list(intake().kept(reading()))


def test_a_reading_that_was_given_up_is_not_skipped_over():
    """
    Where nobody knows what else there was, what was read so far is no dataset.
    """
    gate = intake(skips=True)
    items = reading(named("a"), faults=[("archive", "is too large")], complete=False)

    with pytest.raises(InvalidDataset, match="archive: is too large"):
        list(gate.kept(items))

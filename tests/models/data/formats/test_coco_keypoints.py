import numpy as np
import pytest

from models.data.formats.coco import Coco
from models.data.labelled import Reading
from models.errors import InvalidDataset
from tests.support.layouts_coco import POINTS, SPEC, box, document, image, picture, thing
from tests.support.memory_files import MemoryFiles

FACE = {"id": 5, "name": "face", "keypoints": ["chin", "ear", "nose"], "skeleton": [[1, 3]]}
NOSE_AND_CHIN = [4, 5, 1, 0, 0, 0, 1.25, 2.5, 2]  # In the category's order: chin, ear, nose.


def face(number, of, keypoints=NOSE_AND_CHIN, **more):
    """
    An annotation with keypoints.
    """
    return thing(number, of, None, 5, keypoints=keypoints) | more


def read(annotations, categories=(FACE,), labels=(POINTS,), images=None):
    """
    What a dataset of one picture (6 x 8) with these annotations gives.
    """
    images = images or [image(1)]
    files = {"annotations.json": document(images, annotations, list(categories))}
    pictures = {each["file_name"]: picture() for each in images}
    return list(Coco().read(MemoryFiles(files | pictures), Reading(labels)))


def problem(annotations, **how):
    """
    The one thing that such a dataset is refused for.
    """
    with pytest.raises(InvalidDataset) as caught:
        read(annotations, **how)
    ((file, found),) = caught.value.problems
    assert file == "annotations.json"
    return found


def test_triples_become_rows_in_the_labels_order():
    """
    (x, y, v) becomes (row, column, visibility) without a shift, for COCO counts keypoints from
    the first pixel's centre; points come by name, and those that are not wanted are left.
    """
    (item,) = read([face(7, 1)])

    points = item.labels["keypoints"]
    assert points.dtype == np.float32
    assert points.tolist() == [[2.5, 1.25, 2], [5, 4, 1]]


def test_points_outside_of_the_picture_are_not_labelled():
    """
    A point beyond the outermost pixels, or with visibility 0, is a row of zeros.
    """
    (item,) = read([face(7, 1, [7.5, 3, 2, 0, 0, 0, 7.4, 5.4, 2])])

    assert item.labels["keypoints"].tolist() == [
        [pytest.approx(5.4), pytest.approx(7.4), 2],
        [0, 0, 0],
    ]


def test_a_crowd_without_points_does_not_count():
    """
    Only things of which a point is marked count; others may stand beside them.
    """
    crowd = face(8, 1, [0] * 9, iscrowd=1)

    assert len(read([face(7, 1), crowd, thing(9, 1, [box(0, 0, 2, 2)], 5)])) == 1


def test_masks_and_keypoints_come_together():
    """
    One json gives both kinds; things with keypoints need no segmentation, and a category of
    keypoints that is never drawn needs no class.
    """
    categories = (FACE, {"id": 3, "name": "door"})

    (item,) = read([face(7, 1), thing(8, 1, [box(0, 0, 2, 2)])], categories, labels=(SPEC, POINTS))

    assert item.labels["segmentation"].sum() == 4
    assert item.labels["keypoints"][0].tolist() == [2.5, 1.25, 2]


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (
            [face(7, 1), face(8, 1)],
            "image 1 ('1.png'): has 2 things with keypoints (annotation 7, 8), but one is wanted; "
            "crop to it, or remove the others",
        ),
        ([thing(7, 1, [box(0, 0, 2, 2)], 5)], "image 1 ('1.png'): has no thing with keypoints"),
        ([face(7, 1, [1, 2, 2])], "annotation 7 has keypoints [1, 2, 2], not 9 numbers"),
        ([face(7, 1, "1 2 2")], "annotation 7 has keypoints '1 2 2', not 9 numbers"),
        ([face(7, 1, [1, 2, 3] * 3)], "annotation 7 of image 1 ('1.png'): nose has visibility 3"),
        (
            [face(7, 1, [1, 2, 2, 0, 0, 0, float("nan"), 1, 2])],
            "annotation 7 of image 1 ('1.png'): nose is at (nan, 1.0)",
        ),
        ([face(7, 1, [99, 99, 2] * 3)], "has no keypoint within its picture"),
    ],
)
def test_faults_name_the_annotation(annotations, said):
    """
    Too many things, none, and keypoints that are none are told by their ids.
    """
    assert said in problem(annotations)


@pytest.mark.parametrize(
    ("category", "said"),
    [
        ({"id": 5, "name": "face"}, "no category names its keypoints"),
        (
            {"id": 5, "name": "face", "keypoints": ["nose", "ear"]},
            "no category has all keypoints of the label: category 5 ('face') lacks chin",
        ),
    ],
)
def test_a_lack_of_points_is_told_once(category, said):
    """
    Without a category that has all points, that alone is told, and not once a picture.
    """
    images = [image(1), image(2)]

    assert said in problem([face(7, 1), face(8, 2)], categories=(category,), images=images)

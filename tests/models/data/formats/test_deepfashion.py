import numpy as np
import pytest
from support.layouts_folders import deepfashion, faults, ids, picture, without
from support.memory_files import MemoryFiles

from models.data.formats.deepfashion import NATIVE, DeepFashion
from models.data.images import encode_png
from models.data.labelled import Reading
from models.domains import domain_of
from models.errors import InvalidDataset, InvalidImage
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

POINTS = KeypointsSpec(names=tuple(f"point {index}" for index in range(21)))
MASKS = Reading(labels=(NATIVE,))
BOTH = Reading(labels=(NATIVE, POINTS))
PLACES, SIGHTS = "keypoints/keypoints_loc.txt", "keypoints/keypoints_vis.txt"
MAN, WOMAN = "MEN-id_1_full", "WOMEN-id_2_side"
IMAGE, MASK = f"images/{MAN}.jpg", f"segm/{MAN}_segm.png"
KEYS = ["men-id_1_full", "women-id_2_side"]


def broken(change, *missing, reading=BOTH):
    """
    The faults of the golden dataset with some files changed, and the keys that are read still.
    """
    return faults(DeepFashion(), without(deepfashion() | change, *missing), reading)


def read(contents, reading=BOTH):
    """
    All people of a dataset without faults.
    """
    return list(DeepFashion().read(MemoryFiles(contents), reading))


def rewritten(file, old, new):
    """
    A text file of the golden dataset with something replaced, once.
    """
    text = deepfashion()[file].decode()
    assert old in text
    return {file: text.replace(old, new, 1).encode()}


class TestReads:
    def test_masks_and_keypoints_of_those_who_have_masks(self):
        """
        Points are (row, column), seen (0 in the file, 2 here) or hidden; absent ones are zeros.
        """
        first, second = read(deepfashion())

        assert [first.key, second.key] == KEYS
        np.testing.assert_array_equal(first.labels["segmentation"], ids(13))
        np.testing.assert_array_equal(second.labels["segmentation"], ids(22))
        points = second.labels["keypoints"]
        assert points[:2].tolist() == [[1, 1, 2], [3, 5, 1]]
        assert (points.shape, points.dtype, points[2:].any()) == ((21, 3), np.float32, False)

    def test_keypoints_of_all(self):
        """
        Without masks, everybody's keypoints are read; lines of pictures that are not there are
        passed over.
        """
        assert len(read(deepfashion(), Reading((POINTS,)))) == 3

    def test_masks_alone(self):
        """
        They need no text files.
        """
        assert [item.key for item in read(without(deepfashion(), PLACES, SIGHTS), MASKS)] == KEYS

    def test_merged_by_name(self):
        """
        Classes are merged by the names of the dataset's README.
        """
        assert domain_of("deepfashion-24").native == NATIVE.classes
        people = SegmentationSpec(classes=("nothing", "body", "cloth"))
        body = ("hair", "face", "skin")
        merge = {name: "body" if name in body else "cloth" for name in NATIVE.classes}

        first, second = read(deepfashion(), Reading((people,), merge | {"background": "nothing"}))

        assert np.unique(first.labels["segmentation"]).tolist() == [1]
        assert np.unique(second.labels["segmentation"]).tolist() == [2]

    def test_within_a_folder(self):
        """
        All of it may lie in one folder at the top.
        """
        contents = {f"d/{name}": data for name, data in deepfashion().items()}

        assert [item.key for item in read(contents)] == KEYS


class TestRefuses:
    @pytest.mark.parametrize(
        ("file", "data", "problem"),
        [
            (IMAGE, b"", "is empty"),
            (IMAGE, picture(kind="jpg")[:200], "is damaged"),
            (MASK, encode_png(ids(23)), "holds 24 at (row 3, column 0)"),
            (MASK, encode_png(ids(1, (6, 4))), "has 6 x 4 pixels, but its image 4 x 6"),
            (MASK, encode_png(ids(1))[:45], "is damaged"),
            (MASK, picture(kind="jpg"), "is a JPEG file, which does not keep ids"),
        ],
    )
    def test_files_that_cannot_be_read(self, file, data, problem):
        """
        The fault names the file; the other person is read.
        """
        found, keys = broken({file: data})

        assert list(found) == [file]
        assert problem in found[file]
        assert keys == KEYS[1:]

    @pytest.mark.parametrize(
        ("file", "line", "old", "new", "problem"),
        [
            (PLACES, 2, f"{MAN}.jpg 0 1", f"{MAN}.jpg 0", "has 41 numbers after the picture's"),
            (PLACES, 2, f"{MAN}.jpg 0 1", f"{MAN}.jpg 0 x", "has something that is no number"),
            (PLACES, 2, f"{MAN}.jpg 0 1", f"{MAN}.jpg nan 1", "point 0 is at (nan, 1.0)"),
            (PLACES, 2, f"{MAN}.jpg 0 1 5", f"{MAN}.jpg 9 9 9", "has no keypoint within its pict"),
            (SIGHTS, 1, f"{MAN}.jpg 0 1", f"{MAN}.jpg 3 1", "has a visibility that is not 0"),
            (SIGHTS, 1, f"{MAN}.jpg 0 1", f"{MAN}.jpg 0 1 2", "has 22 numbers after the picture's"),
        ],
    )
    def test_lines_that_cannot_be_read(self, file, line, old, new, problem):
        """
        The fault names the file and the line, from 1.
        """
        found, keys = broken(rewritten(file, old, new))

        assert list(found) == [f"{file}, line {line}"]
        assert problem in found[f"{file}, line {line}"]
        assert keys == KEYS[1:]

    @pytest.mark.parametrize(("file", "what"), [(PLACES, "keypoints"), (SIGHTS, "visibility")])
    def test_people_without_a_line(self, file, what):
        """
        Both text files must have a line for everybody who is read.
        """
        found, keys = broken(rewritten(file, MAN, "another"))

        assert found == {
            IMAGE: f"has no {what}; add {file}: {MAN}, or leave the image out",
        }
        assert keys == KEYS[1:]

    @pytest.mark.parametrize(("file", "what"), [(PLACES, "keypoints"), (SIGHTS, "visibility")])
    def test_text_files_that_are_missing(self, file, what):
        """
        That is one fault, and not one for everybody.
        """
        found, keys = broken({}, file)

        assert found == {file: f"holds no {what}; add {file}: {MAN}"}
        assert keys == []

    def test_a_text_file_that_is_damaged_in_its_archive(self):
        """
        What the archive says of it is told as any fault.
        """
        found, _ = broken({PLACES: InvalidImage(PLACES, "is damaged in the zip")})

        assert found == {PLACES: "is damaged in the zip"}

    def test_a_line_twice(self):
        """
        Of two lines of one picture nobody knows which is meant.
        """
        line = deepfashion()[SIGHTS].splitlines()[0]

        found, _ = broken({SIGHTS: line + b"\n" + deepfashion()[SIGHTS]})

        assert (
            f"would be stored as '{KEYS[0]}', like {SIGHTS}, line 1" in found[f"{SIGHTS}, line 2"]
        )

    def test_masks_without_pictures(self):
        """
        They are told with the picture to add.
        """
        found, keys = broken({}, IMAGE)

        assert f"has no image; add images/{MAN}.png (or .jpg" in found[MASK]
        assert (len(found), keys) == (1, KEYS[1:])

    def test_no_masks_at_all(self):
        """
        Pictures without masks are left out, but not all of them.
        """
        found, keys = broken({}, MASK, f"segm/{WOMAN}_segm.png")

        assert found == {"segm/": f"holds no mask; add segm/{MAN}_segm.png"}
        assert keys == []

    @pytest.mark.parametrize("name", ["segm/a.png", "segm/../a_segm.png", "images/a/b.jpg"])
    def test_names_that_are_not_the_datasets(self, name):
        """
        They may be labels that would be missed; whatever they are, they are never opened.
        """
        files = MemoryFiles(deepfashion() | {name: picture()})

        with pytest.raises(InvalidDataset) as caught:
            list(DeepFashion().read(files, MASKS))

        assert [file for file, _ in caught.value.problems] == [name]
        assert name not in files.opened

    @pytest.mark.parametrize(
        ("reading", "problem"),
        [
            (Reading((DepthSpec(),)), "has no depth, only keypoints, segmentation"),
            (Reading((NATIVE,), options={"split": "a"}), "no option 'split'; it has none"),
            (Reading((NATIVE,), merge={"shirt": "top"}), "merges 'shirt', but its classes are"),
            (Reading((KeypointsSpec(names=("nose",)),)), "has 21 keypoints, but the label names 1"),
            (
                Reading((SegmentationSpec(classes=NATIVE.classes[:-1]),)),
                "its class 'tie', which is none of background, top",
            ),
        ],
    )
    def test_readings_that_cannot_be_had(self, reading, problem):
        """
        What is asked for is judged before any file is opened.
        """
        files = MemoryFiles(deepfashion())

        with pytest.raises(InvalidDataset, match=problem):
            list(DeepFashion().read(files, reading))

        assert files.opened == []


def test_is_known_by_its_files():
    """
    The folder of masks or either text file tells the layout.
    """
    assert DeepFashion().fits(["x/segm/a_segm.png"])
    assert DeepFashion().fits([PLACES])
    assert DeepFashion().fits([f"d/{SIGHTS}"])
    assert not DeepFashion().fits(["images/a.jpg", "keypoints.json", "keypoints_loc.txt"])

import json

import numpy as np
import pytest
from support.layouts_folders import cityscapes, faults, grey16, ids, npy, picture, without
from support.memory_files import MemoryFiles

from models.data.formats.cityscapes import NATIVE, Cityscapes
from models.data.images import encode_png
from models.data.labelled import Reading
from models.domains import domain_of
from models.errors import InvalidDataset
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

DEPTH = DepthSpec()
MASKS = Reading(labels=(NATIVE,))
ALL = Reading(labels=(NATIVE, DEPTH))
PLACE = "train/ulm/ulm_000001_000019"
IMAGE, MASK = f"leftImg8bit/{PLACE}_leftImg8bit.png", f"gtFine/{PLACE}_gtFine_labelIds.png"
DISPARITY, CAMERA = f"disparity/{PLACE}_disparity.png", f"camera/{PLACE}_camera.json"
BONN, ULM = "bonn_000001_000019", "ulm_000001_000019"


def broken(change, *missing, reading=ALL):
    """
    The faults of the golden dataset with some files changed, and the keys that are read still.
    """
    return faults(Cityscapes(), without(cityscapes() | change, *missing), reading)


def read(contents, reading=ALL):
    """
    All scenes of a dataset without faults.
    """
    return list(Cityscapes().read(MemoryFiles(contents), reading))


def camera(baseline=0.25, fx=2000.0):
    """
    A camera's json.
    """
    return json.dumps({"extrinsic": {"baseline": baseline}, "intrinsic": {"fx": fx}}).encode()


class TestReads:
    def test_masks_and_depth_of_all_splits_but_the_test(self):
        """
        Depth is baseline * fx / d with d = (p - 1) / 256: 0.25 m and 2000 pixels at a disparity of
        10 and 20 pixels are 50 and 25 m. 0 is none, and so are 0 pixels and what is too far.
        """
        first, second = read(cityscapes())

        assert [first.key, second.key] == [BONN, ULM]
        np.testing.assert_array_equal(second.labels["segmentation"], ids(7))
        depth = second.labels["depth"]
        expected = [np.nan, np.nan, 50, 25, 500 * 256 / 29999, np.nan]
        np.testing.assert_array_equal(depth, np.float32([expected] * 4))
        assert np.float32 == depth.dtype

    def test_one_split(self):
        """
        The split asked for is read alone, the test's too.
        """
        for split, city in (("train", "ulm"), ("val", "bonn"), ("test", "mainz")):
            reading = Reading((NATIVE,), options={"split": split})

            assert [scene.key.partition("_")[0] for scene in read(cityscapes(), reading)] == [city]

    def test_merged_by_name(self):
        """
        The paper's eight classes, with vehicles among them; plates, which masks of 8 bits cannot
        hold, may be named.
        """
        domain = domain_of("cityscapes-8")
        assert domain.native == NATIVE.classes
        mask = np.array([[0, 7, 8, 11, 17, 21], [23, 24, 26, 33, 6, 31]] * 2, dtype=np.uint8)

        scenes = read(cityscapes() | {MASK: encode_png(mask)}, Reading(domain.labels, domain.merge))

        named = np.array(domain.classes)[scenes[1].labels["segmentation"][:2]].tolist()
        assert named == [
            ["void", "road", "void", "construction", "object", "nature"],
            ["sky", "human", "vehicle", "vehicle", "void", "vehicle"],
        ]

    def test_within_a_folder(self):
        """
        All folders may lie in one at the top.
        """
        contents = {f"cityscapes/{name}": data for name, data in cityscapes().items()}

        assert [scene.key for scene in read(contents)] == [BONN, ULM]

    def test_only_what_is_asked_for(self):
        """
        Without depth, neither disparities nor cameras are needed.
        """
        assert len(read(without(cityscapes(), DISPARITY, CAMERA), MASKS)) == 2


class TestRefuses:
    @pytest.mark.parametrize(
        ("file", "data", "problem"),
        [
            (IMAGE, b"", "is empty"),
            (MASK, encode_png(ids(33)), "holds 34 at (row 3, column 0)"),
            (MASK, encode_png(ids(7, (4, 5))), "has 4 x 5 pixels, but its image 4 x 6"),
            (MASK, encode_png(ids(7))[:45], "is damaged"),
            (MASK, npy(ids(7)), "begins with b'\\x93NUMPY"),
            (DISPARITY, encode_png(ids(1)), "is no grey PNG of 16 bits"),
            (DISPARITY, grey16(9, (2, 6)), "has 2 x 6 pixels, but its image 4 x 6"),
            (DISPARITY, grey16(0), "has no depth from 0.001 to 80 m anywhere"),
            (DISPARITY, npy(np.ones((4, 6))), "begins with b'\\x93NUMPY"),
            (CAMERA, b'{"extrinsic": {', "is not readable JSON, cut short or damaged"),
            (CAMERA, b'{"extrinsic": {}}', "has no extrinsic.baseline and intrinsic.fx"),
            (CAMERA, b"[]", "has no extrinsic.baseline and intrinsic.fx"),
            (CAMERA, camera(baseline=-1), "extrinsic.baseline is -1; it must be a number above 0"),
            (CAMERA, camera(fx="2000"), "intrinsic.fx is '2000'; it must be a number above 0"),
            (CAMERA, camera(fx=float("nan")), "intrinsic.fx is nan"),
        ],
    )
    def test_files_that_cannot_be_read(self, file, data, problem):
        """
        The fault names the file; the other scene is read.
        """
        found, keys = broken({file: data})

        assert list(found) == [file]
        assert problem in found[file]
        assert keys == [BONN]

    @pytest.mark.parametrize(
        ("file", "told", "problem"),
        [
            (IMAGE, [MASK, DISPARITY, CAMERA], "has no image; add leftImg8bit/"),
            (MASK, [IMAGE], "has no mask; add gtFine/"),
            (DISPARITY, [IMAGE], "has no disparity; add disparity/"),
            (CAMERA, [IMAGE], "has no camera; add camera/"),
        ],
    )
    def test_missing_partners(self, file, told, problem):
        """
        Each file that lacks another is told, and the other scene is read.
        """
        found, keys = broken({}, file)

        assert sorted(found) == sorted(told)
        assert all(problem in each for each in found.values())
        assert keys == [BONN]

    @pytest.mark.parametrize(
        "name",
        [
            "gtFine/train/ulm/notes.txt",
            "gtFine/train/ulm_000001_000020_gtFine_labelIds.png",
            "gtFine/train/bonn/ulm_000001_000020_gtFine_labelIds.png",
            "gtFine/train/ulm/ulm_1_2_gtFine_labelIds.png",
            "gtFine/train/ulm/../../../ulm_000001_000020_gtFine_labelIds.png",
            "leftImg8bit/train/ulm/ulm_000001_000020.png",
        ],
    )
    def test_names_that_are_not_the_datasets(self, name):
        """
        They may be labels that would be missed; whatever they are, they are never opened.
        """
        files = MemoryFiles(cityscapes() | {name: picture()})

        with pytest.raises(InvalidDataset, match="is not called as in") as caught:
            list(Cityscapes().read(files, MASKS))

        assert [file for file, _ in caught.value.problems] == [name]
        assert name not in files.opened

    def test_a_scene_twice(self):
        """
        One scene in two splits.
        """
        found, _ = broken({IMAGE.replace("train", "extra"): picture()})

        assert f"would be stored as '{ULM}'" in found[IMAGE]

    @pytest.mark.parametrize(
        ("reading", "problem"),
        [
            (Reading((KeypointsSpec(names=("car",)),)), "has no keypoints, only depth, segment"),
            (Reading((NATIVE,), options={"city": "ulm"}), "no option 'city'; it has split"),
            (Reading((NATIVE,), options={"split": "all"}), "has no images of the split 'all'"),
            (Reading((DEPTH.model_copy(update={"unit": "mm"}),)), "the label's unit is 'mm'"),
            (Reading((NATIVE,), merge={"cars": "car"}), "merges 'cars', but its classes are unl"),
            (
                Reading((SegmentationSpec(classes=NATIVE.classes[:-1]),)),
                "its class 'bicycle', which is none of unlabeled",
            ),
        ],
    )
    def test_readings_that_cannot_be_had(self, reading, problem):
        """
        What is asked for is judged before any file is opened.
        """
        files = MemoryFiles(cityscapes())

        with pytest.raises(InvalidDataset, match=problem):
            list(Cityscapes().read(files, reading))

        assert files.opened == []


def test_is_known_by_its_folders():
    """
    Either of the two main folders tells the layout.
    """
    assert Cityscapes().fits(["x/leftImg8bit/a.png"])
    assert Cityscapes().fits(["gtFine/a.png"])
    assert not Cityscapes().fits(["leftImg8bit.png", "images/a.png", "x/y/gtFine/a.png"])

from itertools import pairwise

import numpy as np
import pytest
from support.layouts_folders import celebamask, faults, ids, painted, picture, without
from support.memory_files import MemoryFiles

from models.data.formats.celebamask import NATIVE, CelebAMask
from models.data.images import encode_png
from models.data.labelled import Reading
from models.domains import domain_of
from models.errors import InvalidDataset
from models.labels import KeypointsSpec, SegmentationSpec

READING = Reading(labels=(NATIVE,))
ANNO = "CelebAMask-HQ/CelebAMask-HQ-mask-anno/"
SKIN, NECK = f"{ANNO}0/00000_skin.png", f"{ANNO}0/00000_neck.png"
WHOLE, FACE = "CelebAMask-HQ/CelebAMask-HQ-mask/12.png", "CelebAMask-HQ/CelebA-HQ-img/0.jpg"


def broken(change, *missing, reading=READING):
    """
    The faults of the golden dataset with some files changed, and the keys that are read still.
    """
    return faults(CelebAMask(), without(celebamask() | change, *missing), reading)


def read(contents, reading=READING):
    """
    All faces of a dataset without faults.
    """
    return list(CelebAMask().read(MemoryFiles(contents), reading))


class TestReads:
    def test_parts_painted_in_order_and_whole_masks(self):
        """
        The neck (17) comes after the skin (1) and lies over it; a mask in one piece is taken as
        it is. Both are brought to their pictures' size.
        """
        first, second = read(celebamask())

        assert [first.key, second.key] == ["00000", "00012"]
        assert first.labels["segmentation"].tolist() == [[1] * 6] * 2 + [[17] * 6] * 2
        assert second.labels["segmentation"].tolist() == [[13] * 6] * 2 + [[14] * 6] * 2
        assert first.image.shape == (4, 6, 3)

    def test_parts_lie_over_those_before_them(self):
        """
        Of two parts in one place, the later one in the README's order is seen.
        """
        faces = without(celebamask(), SKIN, NECK)
        for below, above in pairwise(range(1, 19)):
            parts = {
                f"{ANNO}0/00000_{NATIVE.classes[part]}.png": painted([0, 1], (2, 3))
                for part in (above, below)
            }

            first, _ = read(faces | parts)

            assert (first.labels["segmentation"] == above).all()

    def test_merged_by_name(self):
        """
        The paper's eight classes: what is worn or below the chin is background.
        """
        domain = domain_of("faces-8")
        assert domain.native == NATIVE.classes

        first, second = read(celebamask(), Reading(domain.labels, merge=domain.merge))

        hair = domain.classes.index("hair")
        assert first.labels["segmentation"][:, 0].tolist() == [1, 1, 0, 0]
        assert second.labels["segmentation"][:, 0].tolist() == [hair, hair, 0, 0]

    def test_other_spellings_and_places(self):
        """
        The folder of masks is spelt in two ways, and may have no folders of numbers within.
        """
        contents = {
            "CelebA-HQ-img/5.jpg": picture(),
            "CelebAMaskHQ-mask-anno/00005_nose.png": painted([0]),
            "CelebA-HQ-img/00006.png": picture(),
            "CelebAMaskHQ-mask-anno/0/6.png": encode_png(ids()),
        }

        assert [face.key for face in read(contents)] == ["00005", "00006"]


class TestRefuses:
    @pytest.mark.parametrize(
        ("file", "data", "problem"),
        [
            (SKIN, b"", "is empty; a part's mask must be a PNG"),
            (SKIN, painted([0], (2, 3))[:45], "is damaged"),
            (SKIN, picture(kind="jpg"), "a part's mask must be a PNG file"),
            (SKIN, encode_png(np.arange(18, dtype=np.uint8).reshape(2, 3, 3)), "shows colours"),
            (SKIN, painted([0], (4, 4)), None),
            (WHOLE, encode_png(ids(18, (2, 3))), "holds 19 at (row 1, column 0)"),
            (WHOLE, encode_png(ids(1, (3, 3))), "has 3 x 3 pixels, but its image 4 x 6"),
            (WHOLE, picture(), "has 3 channels of one grey"),
            (WHOLE, encode_png(ids(1))[:40], "is damaged"),
            (WHOLE, b"GIF89a", "begins with b'GIF89a'"),
            (FACE, b"text", "begins with b'text'"),
        ],
    )
    def test_files_that_cannot_be_read(self, file, data, problem):
        """
        The fault names the file; the other face is read.
        """
        found, keys = broken({file: data})

        if problem is None:  # Which of two parts has the wrong size, their order tells.
            file, problem = NECK, "has 2 x 3 pixels, but the parts before it 4 x 4"
        assert list(found) == [file]
        assert problem in found[file]
        assert keys == (["00000"] if file == WHOLE else ["00012"])

    def test_faces_without_masks_and_masks_without_faces(self):
        """
        Each is told with the file to add.
        """
        found, keys = broken({}, SKIN, NECK, "CelebAMask-HQ/CelebA-HQ-img/12.jpg")

        assert "has no mask; add CelebAMask-HQ/CelebAMask-HQ-mask/00000_skin.png" in found[FACE]
        assert "has no image; add CelebAMask-HQ/CelebA-HQ-img/00012.png" in found[WHOLE]
        assert (len(found), keys) == (2, [])

    def test_unknown_parts(self):
        """
        A part that is none of the eighteen is told with all that there are.
        """
        found, keys = broken({f"{ANNO}0/00000_beard.png": painted([0], (2, 3))})

        problem = found[f"{ANNO}0/00000_beard.png"]
        assert problem.startswith("is of an unknown part, 'beard'; parts are skin, nose, eye_g")
        assert (len(found), keys) == (1, ["00012"])

    @pytest.mark.parametrize(
        "name", ["0/notes.txt", "0/1/00000_hat.png", "00000_skin.jpg", "skin.png"]
    )
    def test_files_that_belong_nowhere(self, name):
        """
        They may be labels that would be missed.
        """
        found, _ = broken({f"{ANNO}{name}": b""})

        assert "is called neither 00000_skin.png nor 0.png" in found[f"{ANNO}{name}"]

    def test_a_part_twice(self):
        """
        The same part of the same face in two folders.
        """
        found, keys = broken({f"{ANNO}1/0_skin.png": painted([0], (2, 3))})

        assert found == {
            f"{ANNO}1/0_skin.png": f"is the same part of the same face as {SKIN}; "
            "keep one of the two"
        }
        assert keys == ["00012"]

    def test_a_face_twice(self):
        """
        Two pictures of one number.
        """
        found, _ = broken({"CelebAMask-HQ/CelebA-HQ-img/00.jpg": picture()})

        assert "would be stored as '00000', like CelebAMask-HQ/CelebA-HQ-img/0" in str(found)

    def test_faces_without_a_number(self):
        """
        Masks are found by number.
        """
        found, _ = broken({"CelebAMask-HQ/CelebA-HQ-img/me.jpg": picture()})

        assert found == {
            "CelebAMask-HQ/CelebA-HQ-img/me.jpg": "is not called by a number, as in 0.jpg; "
            "rename or remove it"
        }

    def test_paths_that_lead_elsewhere(self):
        """
        They are never opened.
        """
        name = f"{ANNO}../00000_hat.png"

        found, _ = broken({name: painted([0], (2, 3))})

        assert "is called neither" in found[name]

    @pytest.mark.parametrize(
        ("reading", "problem"),
        [
            (Reading((KeypointsSpec(names=("eye",)),)), "has no keypoints, only segmentation"),
            (Reading((NATIVE,), options={"a": "b"}), "no option 'a'; it has none"),
            (Reading((NATIVE,), merge={"lips": "mouth"}), "merges 'lips', but its classes are"),
            (
                Reading((SegmentationSpec(classes=NATIVE.classes[:-1]),)),
                "its class 'cloth', which is none of background, skin",
            ),
        ],
    )
    def test_readings_that_cannot_be_had(self, reading, problem):
        """
        What is asked for is judged before any file is opened.
        """
        files = MemoryFiles(celebamask())

        with pytest.raises(InvalidDataset, match=problem):
            list(CelebAMask().read(files, reading))

        assert files.opened == []


def test_is_known_by_its_folders():
    """
    Each of the four spellings tells the layout.
    """
    assert CelebAMask().fits(["CelebAMaskHQ-mask-anno/0/00000_skin.png"])
    assert CelebAMask().fits(["x/CelebAMask-HQ-mask/0.png"])
    assert not CelebAMask().fits(["masks/0.png", "CelebA-HQ-img/0.jpg"])

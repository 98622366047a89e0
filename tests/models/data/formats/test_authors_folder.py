import numpy as np
import pytest
from support.layouts_folders import PARTS, SIZE, authors, faults, ids, npy, picture, without
from support.memory_files import MemoryFiles

from models.data.formats.authors_folder import AuthorsFolder
from models.data.labelled import Reading
from models.errors import InvalidDataset
from models.labels import DepthSpec, SegmentationSpec

READING = Reading(labels=(PARTS,))


def broken(change, *missing, reading=READING):
    """
    The faults of the golden folder with some files changed, and the keys that are read still.
    """
    contents = without(authors() | change, *(f"training/{name}" for name in missing))
    return faults(AuthorsFolder(), contents, reading)


def test_pairs_pictures_and_masks_by_number():
    """
    Masks are squeezed, and take their pictures' size by nearest neighbour.
    """
    first, second = AuthorsFolder().read(MemoryFiles(authors()), READING)

    assert [first.key, second.key] == ["0", "1"]
    np.testing.assert_array_equal(first.labels["segmentation"], ids())
    enlarged = np.kron([[0, 1, 2], [1, 1, 0]], np.ones((2, 2)))
    np.testing.assert_array_equal(second.labels["segmentation"], enlarged)
    assert np.uint8 == second.labels["segmentation"].dtype
    assert second.image.shape == (*SIZE, 3)


def test_ids_of_classes_of_their_own():
    """
    With names for the masks' ids they are merged by name.
    """
    reading = Reading(
        (SegmentationSpec(classes=("background", "head")),),
        merge={"face": "head", "hair": "head"},
        options={"native": "background, face, hair"},
    )

    _, second = AuthorsFolder().read(MemoryFiles(authors()), reading)

    expected = np.kron([[0, 1, 1], [1, 1, 0]], np.ones((2, 2)))
    np.testing.assert_array_equal(second.labels["segmentation"], expected)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no whole .npy file: it is empty"),
        (b"\x93NUMPY", "is no whole .npy file"),
        (picture(), "is no whole .npy file: it begins with b'\\x89PNG"),
        (npy(ids())[:-5], "is cut off or damaged: has 19 bytes of numbers"),
        (npy(ids())[:40], "is damaged: its header is not numpy's"),
        (npy(ids(2)), "holds 3 at (row 3, column 0)"),
        (npy(ids().astype(float)), "holds float64 numbers; save it as whole numbers"),
        (npy([None]), "holds '|O', not plain numbers"),
        (npy([0, 1]), "has shape (2,); it must be (height, width)"),
        (npy(np.zeros((4, 6, 3), int)), "has shape (4, 6, 3)"),
        (npy(np.zeros((0, 6), int)), "is empty: its shape is (0, 6)"),
    ],
)
def test_masks_that_cannot_be_read(data, problem):
    """
    The fault names the file; the other item is read.
    """
    found, keys = broken({"training/image_mask1.npy": data})

    assert list(found) == ["training/image_mask1.npy"]
    assert problem in found["training/image_mask1.npy"]
    assert keys == ["0"]


def test_missing_partners():
    """
    Pictures and masks without each other are told with the name to add.
    """
    found, keys = broken({}, "image_0.png", "image_mask1.npy")

    assert "add training/image_0.png (or" in found["training/image_mask0.npy"]
    assert "add training/image_mask1.npy, or" in found["training/image_1.jpg"]
    assert (len(found), keys) == (2, [])


def test_a_number_twice():
    """
    Two files of one number cannot both be meant.
    """
    found, keys = broken(
        {"training/image_00.png": picture(), "training/image_mask01.npy": npy(ids())}
    )

    assert found == {
        "training/image_00.png": "would be stored as '0', like training/image_0.png; "
        "rename one of them",
        "training/image_mask1.npy": "would be stored as '1', like training/image_mask01.npy; "
        "rename one of them",
    }
    assert keys == []


@pytest.mark.parametrize("name", ["image_mask_3.npy", "image_x.png", "image2.png", "image_1.npy"])
def test_names_that_are_nearly_right(name):
    """
    They may be labels that would be missed.
    """
    found, keys = broken({f"training/{name}": picture()})

    assert "is called neither image_0.png" in found[f"training/{name}"]
    assert (len(found), keys) == (1, ["0", "1"])


def test_masks_in_two_folders():
    """
    One folder is read at a time.
    """
    found, _ = broken({"test/image_mask0.npy": npy(ids())})

    assert found == {
        "archive": "has masks in test/ and training/; keep one folder of pictures and masks"
    }


@pytest.mark.parametrize("name", ["training/../image_mask7.npy", "../image_mask0.npy"])
def test_paths_that_lead_elsewhere(name):
    """
    They tell no folder and are never opened.
    """
    files = MemoryFiles(authors() | {name: npy(ids())})

    assert len(list(AuthorsFolder().read(files, READING))) == 2
    assert name not in files.opened
    assert not AuthorsFolder().fits([name])


@pytest.mark.parametrize(
    ("reading", "problem"),
    [
        (Reading((DepthSpec(),)), "this layout has no depth, only segmentation"),
        (Reading((PARTS,), options={"split": "test"}), "no option 'split'; it has native"),
        (Reading((PARTS,), options={"native": "a"}), "is no list of class names: Tuple should"),
        (Reading((PARTS,), options={"native": "skin, nose"}), "its class 'nose', which is none of"),
        (
            Reading((PARTS,), options={"native": "skin, hair"}, merge={"lip": "skin"}),
            "merges 'lip', but its classes are skin, hair",
        ),
        (
            Reading((PARTS,), options={"native": "skin, hair"}, merge={"hair": "wig"}),
            "its class 'hair' becomes 'wig', which is none of",
        ),
    ],
)
def test_readings_that_cannot_be_had(reading, problem):
    """
    What is asked for is judged before any file is opened.
    """
    files = MemoryFiles(authors())

    with pytest.raises(InvalidDataset, match=problem):
        list(AuthorsFolder().read(files, reading))

    assert files.opened == []


def test_is_known_by_its_masks():
    """
    One mask, wherever it lies, tells the layout.
    """
    assert AuthorsFolder().fits(["a/b/image_mask0.npy"])
    assert not AuthorsFolder().fits(["image_0.png", "image_mask.npy", "mask0.npy"])

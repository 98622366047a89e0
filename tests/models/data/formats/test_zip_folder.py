import zipfile

import numpy as np
import pytest

from models.data.formats.registry import LAYOUTS, read_archive
from models.data.images import encode_image, encode_png
from models.errors import InvalidDataset
from models.labels import SegmentationSpec

SPEC = SegmentationSpec(classes=("background", "face"))
IMAGE = encode_png(np.full((3, 2, 3), 7, dtype=np.uint8))
MASK = encode_png(np.array([[0, 1], [1, 0], [0, 0]], dtype=np.uint8))


def zipped(tmp_path, members):
    """
    A zip of the given contents by name.
    """
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read(tmp_path, members):
    """
    The samples that a zip of these members gives.
    """
    return list(read_archive(zipped(tmp_path, members), SPEC))


def problems(tmp_path, members):
    """
    What such a zip is refused with, by file.
    """
    with pytest.raises(InvalidDataset) as caught:
        read(tmp_path, members)
    return dict(caught.value.problems)


@pytest.mark.parametrize("top", ["", "faces/"])
def test_pairs_files_of_one_stem(tmp_path, top):
    """
    Images and masks of one stem are a sample, at the top or in one folder; by key in order.
    """
    members = {
        f"{top}images/b.PNG": IMAGE,
        f"{top}masks/b.png": MASK,
        f"{top}masks/a 1.png": MASK,
        f"{top}images/a 1.jpeg": encode_image(np.zeros((3, 2, 3), np.uint8), "jpg"),
        f"{top}LICENCE.txt": b"free",
    }

    samples = read(tmp_path, members)

    assert [sample.key for sample in samples] == ["a-1", "b"]
    assert np.unique(samples[1].image.reshape(-1, 3), axis=0).tolist() == [[7, 7, 7]]
    assert samples[1].mask.tolist() == [[0, 1], [1, 0], [0, 0]]


def test_missing_partners_are_named(tmp_path):
    """
    An image without a mask, and a mask without an image, are told with the name to add.
    """
    members = {"d/images/a.jpg": IMAGE, "d/masks/b.png": MASK}

    assert problems(tmp_path, members) == {
        "d/images/a.jpg": "has no mask; add d/masks/a.png, or leave the image out",
        "d/masks/b.png": "has no image; add d/images/b.png (or .jpg, .webp), or leave the mask out",
    }


def test_every_bad_file_is_told(tmp_path):
    """
    Faults in several files, of the layout and within pictures, come in one error; good samples
    before and between them are given first.
    """
    members = {
        "images/a.png": IMAGE,
        "masks/a.png": MASK,
        "images/b.png": b"text",
        "masks/b.png": MASK,
        "images/c.png": IMAGE,
        "masks/c.png": encode_png(np.full((3, 2), 2, dtype=np.uint8)),
        "images/notes.txt": b"",
        "images/train/d.png": IMAGE,
        "images/e.png": IMAGE,
        "masks/e.png": MASK,
    }
    samples = read_archive(zipped(tmp_path, members), SPEC)

    assert [next(samples).key, next(samples).key] == ["a", "e"]
    with pytest.raises(InvalidDataset) as caught:
        next(samples)
    found = dict(caught.value.problems)
    assert found["images/train/d.png"] == "lies too deep; move it into images/"
    assert "is not called .png" in found["images/notes.txt"]
    assert "begins with b'text'" in found["images/b.png"]
    assert "holds 2 at (row 0, column 0)" in found["masks/c.png"]
    assert len(found) == 4


def test_stems_that_become_one_key_are_refused(tmp_path):
    """
    Two files that would be stored under one key are refused with both names.
    """
    members = {"images/A.png": IMAGE, "images/a.jpg": IMAGE, "masks/a.png": MASK}

    assert problems(tmp_path, members) == {
        "images/a.jpg": "would be stored as 'a', like images/A.png; rename one of them"
    }


def test_two_datasets_in_one_zip_are_refused(tmp_path):
    """
    One zip is one dataset.
    """
    found = problems(tmp_path, {"x/images/a.png": IMAGE, "y/masks/a.png": MASK})

    assert found == {"archive": "has images/ or masks/ in x/ and y/; keep one dataset in a zip"}


@pytest.mark.parametrize(
    ("members", "holds"),
    [
        ({}, "It holds no files"),
        ({"Images/a.png": IMAGE, "Masks/a.png": MASK}, "It holds Images/a.png, Masks/a.png"),
        ({"a/b/images/a.png": IMAGE}, "It holds a/b/images/a.png"),
    ],
)
def test_an_unknown_layout_is_told_with_what_was_found(tmp_path, members, holds):
    """
    A zip of another layout is refused with the layouts there are and the first of its files.
    """
    found = problems(tmp_path, members)

    assert found["archive"].startswith("must hold images/… and masks/…")
    assert found["archive"].endswith(holds)


def test_layouts_say_what_they_look_like():
    """
    Each registered layout can be named in an error.
    """
    assert all(layout.looks_like for layout in LAYOUTS)
    assert not any(layout.fits([]) for layout in LAYOUTS)

import io
import tarfile
import zipfile

import pytest
from support.layouts_coco import box, document, image, thing
from support.layouts_coco import picture as coco_picture
from support.layouts_folders import (
    PARTS,
    authors,
    celebamask,
    cityscapes,
    deepfashion,
    folder,
)

from models.data.formats.registry import LAYOUTS, layout_of, read_archive
from models.data.labelled import Reading
from models.errors import InvalidDataset

MASKS = Reading(labels=(PARTS,))
COCO = document([image(1)], [thing(1, 1, [box(0, 0, 2, 2)])])
SETS = {
    "celebamask": celebamask(),
    "cityscapes": cityscapes(),
    "deepfashion": deepfashion(),
    "car-parts": {"trainingset/annotations.json": COCO, "trainingset/JPEGImages/1.png": b""},
    "label-studio": {"result.json": COCO, "images/1.png": b""},
    "coco": {"annotations.json": COCO, "1.png": coco_picture()},
    "handsoff": authors(),
    "folder": folder(),
}
"""A dataset of each layout, by its name."""


def zipped(path, contents):
    """
    A zip of the given contents by name.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def tarred(path, contents, mode="w"):
    """
    The same as a tar.
    """
    with tarfile.open(path, mode) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def laid_out(path, contents):
    """
    The same as a folder.
    """
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize(
    "packed",
    [zipped, tarred, lambda path, contents: tarred(path, contents, "w:gz"), laid_out],
    ids=["zip", "tar", "tar.gz", "folder"],
)
def test_reads_whatever_it_is_packed_in(tmp_path, packed):
    """
    A zip, a tar, a tar.gz and a folder of the same files are the same dataset.
    """
    items = list(read_archive(packed(tmp_path / "a", folder()), MASKS))

    assert [item.key for item in items] == ["a", "b"]
    assert [item.origin for item in items] == ["faces/images/a.png", "faces/images/b.jpg"]


@pytest.mark.parametrize("name", SETS)
def test_every_layout_is_told_by_its_files(name):
    """
    The first layout that fits a dataset is the one it is of.
    """
    assert next(each.name for each in LAYOUTS if each.fits(sorted(SETS[name]))) == name


def test_every_layout_is_tried():
    """
    Each layout that is registered is in the test above, has a name of its own and a description,
    and takes no archive without files for its own.
    """
    assert [layout.name for layout in LAYOUTS] == list(SETS)
    assert all(layout.looks_like for layout in LAYOUTS)
    assert not any(layout.fits([]) for layout in LAYOUTS)


def test_a_layout_can_be_named(tmp_path):
    """
    Where two would fit, the user's word counts.
    """
    path = zipped(tmp_path / "a.zip", {**authors(), "training/images/notes.txt": b""})

    items = list(read_archive(path, MASKS, layout=layout_of("handsoff")))

    assert [item.key for item in items] == ["0", "1"]
    with pytest.raises(InvalidDataset, match=r"training/images/notes\.txt"):
        list(read_archive(path, MASKS, layout=layout_of("folder")))


def test_an_unknown_name_is_told_with_those_there_are():
    """
    Nobody has to guess what layouts are called.
    """
    with pytest.raises(ValueError, match=r"no layout 'pascal'; there are celebamask, .*, folder$"):
        layout_of("pascal")


@pytest.mark.parametrize(
    ("contents", "holds"),
    [
        ({}, "It holds no files"),
        ({"Images/a.png": b"", "Masks/a.png": b""}, "It holds Images/a.png, Masks/a.png"),
        ({"a/b/images/a.png": b""}, "It holds a/b/images/a.png"),
    ],
)
def test_an_unknown_layout_is_told_with_what_was_found(tmp_path, contents, holds):
    """
    Files of another layout are refused with the layouts there are and the first of the files.
    """
    with pytest.raises(InvalidDataset) as caught:
        list(read_archive(zipped(tmp_path / "a.zip", contents), MASKS))

    ((name, problem),) = caught.value.problems
    assert name == "archive"
    assert "images/… with masks/…" in problem
    assert problem.endswith(holds)


@pytest.mark.parametrize("most", [3, None])
def test_faults_end_the_reading_only_where_they_may(tmp_path, most):
    """
    With a limit a dataset of faults is given up early; without one the good item at its end is
    still found.
    """
    contents = {f"images/{n}.png": b"text" for n in range(60)} | {
        f"masks/{n}.png": b"text" for n in range(60)
    }
    good = {f"{n[6:]}": data for n, data in folder().items() if "a.png" in n}
    contents |= {name.replace("a.png", "z.png"): data for name, data in good.items()}
    keys = []

    reading = Reading(labels=(PARTS,), most_faults=most)
    with pytest.raises(InvalidDataset) as caught:
        keys.extend(i.key for i in read_archive(zipped(tmp_path / "a.zip", contents), reading))

    assert len(caught.value.problems) == (most or 60)
    assert keys == ([] if most else ["z"])
    assert caught.value.complete == (most is None)

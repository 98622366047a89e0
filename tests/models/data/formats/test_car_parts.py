import pytest

from models.data.formats.car_parts import CarParts
from models.data.labelled import Reading
from models.errors import InvalidDataset
from tests.support.layouts_coco import SPEC, box, document, image, picture, thing
from tests.support.memory_files import MemoryFiles


def entry(number, name, **more):
    """
    A picture's entry as COCO-Annotator writes it.
    """
    tool = {"dataset_id": 1, "category_ids": [], "events": [], "deleted": False}
    return image(number, name, path=f"JPEGImages/{name}", **tool) | more


def car_set(folder, *entries):
    """
    A set with one door on each picture.
    """
    things = [
        thing(10 * each["id"], each["id"], [box(0, 0, 2, 2)], isbbox=False, color="#fff")
        for each in entries
    ]
    files = {f"{folder}JPEGImages/{each['file_name']}": picture() for each in entries}
    return files | {f"{folder}annotations.json": document(list(entries), things)}


WHOLE = car_set("trainingset/", entry(1, "train1.jpg"), entry(2, "train2.jpg")) | car_set(
    "testset/", entry(401, "car1.jpg")
)


def read(members, **options):
    """
    What the layout gives of these files.
    """
    return list(CarParts().read(MemoryFiles(members), Reading((SPEC,), options=options)))


@pytest.mark.parametrize(
    ("split", "keys"), [("trainingset", ["train1", "train2"]), ("testset", ["car1"])]
)
@pytest.mark.parametrize("top", ["", "Car-Parts/"])
def test_reads_one_of_its_sets(top, split, keys):
    """
    Of the whole, the set that the user says is read, wherever it lies.
    """
    members = {f"{top}{name}": content for name, content in WHOLE.items()}

    items = read(members, split=split)

    assert CarParts().fits(list(members))
    assert [item.key for item in items] == keys
    assert items[0].origin == f"{top}{split}/JPEGImages/{keys[0]}.jpg"
    assert int(items[0].labels["segmentation"].sum()) == 4


@pytest.mark.parametrize("folder", ["", "trainingset/"])
def test_a_set_alone_needs_no_choice(folder):
    """
    A set may come alone, in its folder or without it.
    """
    assert len(read(car_set(folder, entry(1, "train1.jpg")))) == 1


def test_training_and_test_pictures_are_not_mixed():
    """
    Without a choice between the sets, or with one that is not there, they are named.
    """
    for options in ({}, {"split": "val"}):
        with pytest.raises(InvalidDataset, match="holds sets in testset and trainingset; say"):
            read(WHOLE, **options)


def test_without_a_set_there_is_nothing_to_read():
    """
    A json without its folder of pictures is another layout's.
    """
    members = {"annotations.json": b"", "images/a.jpg": b""}

    assert not CarParts().fits(list(members))
    with pytest.raises(InvalidDataset, match=r"holds no annotations.json beside a folder JPEG"):
        read(members)


def test_pictures_of_the_other_set_are_never_meant():
    """
    A name is looked up in its own set alone, though the other one has such a file.
    """
    members = WHOLE | {"testset/JPEGImages/train2.jpg": picture()}
    del members["trainingset/JPEGImages/train2.jpg"]

    with pytest.raises(InvalidDataset, match=r"image 2 .*: there is no file 'train2.jpg'"):
        read(members, split="trainingset")


def test_a_path_may_be_left_out():
    """
    Without a `path`, the `file_name` says enough.
    """
    members = car_set("", image(1, "a.jpg"))

    assert [item.key for item in read(members)] == ["a"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("JPEGImages/b.jpg", "its path 'JPEGImages/b.jpg' is of another file"),
        ("../JPEGImages/a.jpg", "points outside of the dataset"),
        (7, "path: input should be a valid string"),
    ],
)
def test_a_path_must_be_of_the_same_file(path, problem):
    """
    A `path` that is none, leads out, or is of another file than `file_name` is a fault.
    """
    members = car_set("", entry(1, "a.jpg", path=path))

    with pytest.raises(InvalidDataset) as caught:
        read(members)
    assert problem in caught.value.problems[0][1]


def test_the_sets_are_told_apart_by_an_option_alone():
    """
    The layout has no choice between jsons beside that between its sets.
    """
    with pytest.raises(InvalidDataset, match="has no option 'annotations'; it has split, unann"):
        read(WHOLE, annotations="annotations.json")

import json

import numpy as np
import pytest
from PIL import Image
from support.layouts_folders import PARTS, SIZE, faults, folder, grey16, ids, npy, picture, without
from support.memory_files import MemoryFiles
from support.picture_files import saved

from models.data.formats.folder import PlainFolder
from models.data.images import encode_image, encode_png
from models.data.labelled import Reading
from models.errors import InvalidDataset, InvalidImage
from models.labels import DepthSpec, KeypointsSpec

POINTS = KeypointsSpec(names=("nose", "chin"))
DEPTH = DepthSpec(largest=10)
MASKS = Reading(labels=(PARTS,))
ALL = Reading(labels=(PARTS, POINTS, DEPTH), options={"depth_scale": "1000"})
RED, GREEN = (255, 0, 0), (0, 255, 0)


def read(contents, reading=ALL):
    """
    All items of a dataset without faults.
    """
    return list(PlainFolder().read(MemoryFiles(contents), reading))


def broken(change, reading=ALL):
    """
    The faults of the golden folder with some files changed, and the keys that are read still.
    """
    return faults(PlainFolder(), folder() | change, reading)


def points_file(**more):
    """
    The golden folder's keypoints with some entries changed.
    """
    points = json.loads(folder()["faces/keypoints.json"])
    return {"faces/keypoints.json": json.dumps(points | more).encode()}


def coco_file(*changes):
    """
    The golden folder's keypoints as a COCO json, its points in another order, with changes.

    A change is a list's name, the place in it, and fields of that entry.
    """
    points = json.loads(folder()["faces/keypoints.json"])
    size = {"height": SIZE[0], "width": SIZE[1]}
    document = {
        "images": [
            {"id": i, "file_name": f"raw/{stem}.tif", **size} for i, stem in enumerate(points)
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": [*chin, *nose]}
            for i, (nose, chin) in enumerate(points.values())
        ],
        "categories": [{"id": 1, "name": "face", "keypoints": ["chin", "nose"]}],
    }
    for name, place, fields in changes:
        document[name][place].update(fields)
    return {"faces/keypoints.json": json.dumps(document).encode()}


class TestReads:
    def test_all_kinds_at_once(self):
        """
        Masks, keypoints and depth of one stem belong to one picture, in whatever file format.
        """
        first, second = read(folder())

        assert [first.key, second.key] == ["a", "b"]
        assert [first.origin, second.origin] == ["faces/images/a.png", "faces/images/b.jpg"]
        assert (first.image == 7).all()
        np.testing.assert_array_equal(first.labels["segmentation"], ids())
        np.testing.assert_array_equal(second.labels["segmentation"], ids(1))
        assert np.uint8 == second.labels["segmentation"].dtype
        assert first.labels["keypoints"].tolist() == [[2.5, 1, 2], [3, 0, 1]]
        assert second.labels["keypoints"].tolist() == [[0, 5, 2], [0, 0, 0]]
        np.testing.assert_array_equal(first.labels["depth"], np.full(SIZE, 2.5, np.float32))
        np.testing.assert_array_equal(second.labels["depth"], np.full(SIZE, 1.5, np.float32))
        assert np.float32 == second.labels["depth"].dtype

    def test_keypoints_of_a_coco_json(self):
        """
        They are the same as in the short form; its pictures are found by their names alone.
        """
        for given, own in zip(read(folder() | coco_file()), read(folder()), strict=True):
            assert given.labels["keypoints"].tolist() == own.labels["keypoints"].tolist()

    def test_only_what_is_asked_for(self):
        """
        Other kinds are neither opened nor judged.
        """
        files = MemoryFiles(folder() | {"faces/depth/stray.txt": b"", "faces/keypoints.json": b"{"})

        items = list(PlainFolder().read(files, MASKS))

        assert [set(item.labels) for item in items] == [{"segmentation"}] * 2
        assert all("/images/" in name or "/masks/" in name for name in files.opened)

    def test_at_the_top_and_with_names_of_any_kind(self):
        """
        The folders may lie at the top; names become keys that any file system takes.
        """
        contents = {"images/IMG 1.PNG": picture(), "masks/img 1.png": encode_png(ids())}

        assert [item.key for item in read(contents, MASKS)] == ["img-1"]

    def test_palette_masks_by_index(self):
        """
        A palette PNG's indices are class ids, unless colours are given a meaning.
        """
        image = Image.fromarray(ids(1), "P")
        image.putpalette([0, 0, 0, *RED, *GREEN])
        contents = {"images/a.png": picture(), "masks/a.png": saved(image)}

        (by_index,) = read(contents, MASKS)
        (by_colour,) = read(contents, Reading((PARTS,), colours={RED: "hair", GREEN: "skin"}))

        np.testing.assert_array_equal(by_index.labels["segmentation"], ids(1))
        np.testing.assert_array_equal(by_colour.labels["segmentation"], 3 - ids(1))

    def test_depth_where_there_is_some(self):
        """
        What is no number, is `invalid` in the file, or lies out of range, becomes NaN.
        """
        values = np.full(SIZE, 2.0)
        values[0] = [np.nan, np.inf, 0, -5, 11, 10]

        (item,) = read(
            {"images/a.png": picture(), "depth/a.npy": npy(values)},
            Reading((DEPTH.model_copy(update={"invalid": 2.0}),)),
        )

        found = item.labels["depth"]
        assert found[0, 5] == 10
        assert np.isnan(found).sum() == found.size - 1

    def test_depth_in_png_is_judged_before_it_is_scaled(self):
        """
        `invalid` is what a file holds, and not what becomes of it.
        """
        contents = {"images/a.png": picture(), "depth/a.png": grey16([[3000, 3, 0, 500, 1, 1]])}
        depth = DepthSpec(invalid=3.0, smallest=0)

        (item,) = read(contents, Reading((depth,), options={"depth_scale": "1000"}))

        expected = np.array([3, np.nan, 0, 0.5, 0.001, 0.001], dtype=np.float32)
        np.testing.assert_array_equal(item.labels["depth"][0], expected)


class TestRefuses:
    def test_missing_partners(self):
        """
        A picture without a label, and a label without a picture, are told with the name to add.
        """
        contents = without(folder(), "faces/masks/a.png", "faces/images/b.jpg")

        found, keys = faults(PlainFolder(), contents, MASKS)

        pictures = "faces/images/b.png (or .jpg, .jpeg, .webp)"
        assert found == {
            "faces/images/a.png": "has no mask; add faces/masks/a.png (or .npy), "
            "or leave the image out",
            "faces/masks/b.npy": f"has no image; add {pictures}, or leave the mask out",
        }
        assert keys == []

    @pytest.mark.parametrize(
        ("names", "file", "problem"),
        [
            (["masks/a.png", "masks/b.npy"], "faces/masks/", "holds no mask; add faces/masks/a"),
            (["keypoints.json"], "faces/keypoints.json", "holds no keypoints; add faces/keyp"),
            (["images/a.png", "images/b.jpg"], "faces/images/", "holds no image"),
        ],
    )
    def test_a_kind_that_is_missing_once_and_not_for_each_picture(self, names, file, problem):
        """
        Where a whole folder or the json is missing, one fault says so.
        """
        contents = without(folder(), *(f"faces/{name}" for name in names))

        found, keys = faults(PlainFolder(), contents, ALL)

        assert (list(found), keys) == ([file], [])
        assert problem in found[file]

    @pytest.mark.parametrize(
        ("file", "data", "problem"),
        [
            ("masks/a.png", b"text", "begins with b'text'"),
            ("masks/a.png", encode_png(ids())[:50], "is damaged"),
            ("masks/a.png", encode_png(ids(2)), "holds 3 at (row 3, column 0)"),
            ("masks/a.png", encode_png(ids(size=(4, 5))), "4 x 5 pixels, but its image 4 x 6"),
            ("masks/b.npy", npy(ids())[:-1], "is cut off or damaged"),
            ("masks/b.npy", npy(np.zeros(SIZE)), "holds float64 numbers; save it as whole"),
            ("masks/b.npy", npy(np.full(SIZE, -1)), "holds -1 at (row 0, column 0)"),
            ("masks/b.npy", npy(np.full(SIZE, 65536)), "holds 65536 at (row 0, column 0)"),
            ("masks/b.npy", npy(np.zeros((2, *SIZE), int)), "has shape (2, 4, 6)"),
            ("masks/b.npy", npy(np.zeros((6, 4), int)), "6 x 4 pixels, but its image 4 x 6"),
            ("masks/b.npy", npy([{}]), "holds '|O', not plain numbers"),
            ("depth/b.npy", npy(np.full(SIZE, np.nan)), "has no depth from 0.001 to 10 m"),
            ("depth/b.npy", npy(np.full(SIZE, 2000.0)), "has no depth from 0.001 to 10 m"),
            ("depth/b.npy", npy(np.ones((3, 3))), "3 x 3 pixels, but its image 4 x 6"),
            ("depth/b.npy", npy(np.ones(SIZE, int)), "holds int64 numbers; save it as floating"),
            ("depth/a.png", encode_png(ids(1)), "is no grey PNG of 16 bits"),
            ("depth/a.png", grey16(1, (2, 2)), "2 x 2 pixels, but its image 4 x 6"),
            ("depth/a.png", grey16(1)[:48], "is damaged"),
            ("images/a.png", b"", "is empty"),
            ("images/b.jpg", picture(kind="jpg")[:300], "is damaged"),
        ],
    )
    def test_files_that_cannot_be_read(self, file, data, problem):
        """
        The fault names the file; the other item is read.
        """
        found, keys = broken({f"faces/{file}": data})

        assert list(found) == [f"faces/{file}"]
        assert problem in found[f"faces/{file}"]
        assert [{"a": "b", "b": "a"}[file.partition(".")[0][-1]]] == keys

    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            ([[1, 2, 2]], "has 1 keypoints, but the label 2"),
            ([[1, 2, 3], [1, 2, 2]], "nose has visibility 3; it must be 0, 1 or 2"),
            ([[1, 2, 2], [1, float("nan"), 2]], "chin is at (1.0, nan)"),
            ([[1, 2], [1, 2]], "is no list of points"),
            ([[1, 2, 2], [1, 2]], "is no list of points"),
            ({"x": 1}, "is no list of points"),
            ([["1", 2, 2], [1, 2, 2]], "is no list of points"),
            ([[10**400, 2, 2], [1, 2, 2]], "is no list of points"),
            ([[9, 9, 2], [1, 2, 0]], "has no keypoint within its picture"),
        ],
    )
    def test_points_that_are_none(self, entry, problem):
        """
        The fault names the json and the entry.
        """
        found, keys = broken(points_file(a=entry))

        assert list(found) == ["faces/keypoints.json: a"]
        assert problem in found["faces/keypoints.json: a"]
        assert keys == ["b"]

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b'{"a": [[1, 2,', "is not readable JSON, cut short or damaged"),
            (b"[" * 100_000, "is not readable JSON"),
            (b"\xff\xfe\x00", "is not readable JSON"),
            (b"[]", 'must hold {"a": [[12, 7.5, 2], …], …}'),
        ],
    )
    def test_a_json_that_is_none(self, data, problem):
        """
        Without its json no picture has keypoints: that is one fault.
        """
        found, keys = broken({"faces/keypoints.json": data})

        assert (list(found), keys) == (["faces/keypoints.json"], [])
        assert problem in found["faces/keypoints.json"]

    @pytest.mark.parametrize(
        ("change", "file", "problem"),
        [
            (
                ("images", 0, {"height": 5}),
                ": image 0 ('raw/a.tif')",
                "pixels, but faces/keypoints",
            ),
            (("annotations", 0, {"keypoints": [1, 2]}), "", "annotation 0 has keypoints [1, 2]"),
            (("annotations", 0, {"category_id": 9}), "", "category_id 9 is not in categories"),
            (("annotations", 0, {"keypoints": [0] * 6}), "", "has no thing with keypoints"),
            (("annotations", 0, {"keypoints": [99, 1, 2] * 2}), "", "no keypoint within its pic"),
        ],
    )
    def test_a_coco_json_with_a_fault(self, change, file, problem):
        """
        The fault names the json and the entry; the other picture is read.
        """
        found, keys = broken(coco_file(change))

        assert problem in found[f"faces/keypoints.json{file}"]
        assert keys == ["b"]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (("categories", 0, {"keypoints": ["nose", "ear"]}), "lacks chin; name them alike"),
            (("categories", 0, {"keypoints": []}), "no category names its keypoints"),
        ],
    )
    def test_a_coco_json_without_the_points_wanted(self, change, problem):
        """
        That is one fault, and no picture has keypoints.
        """
        found, keys = broken(coco_file(change))

        assert (list(found), keys) == (["faces/keypoints.json"], [])
        assert problem in found["faces/keypoints.json"]

    def test_a_picture_that_a_coco_json_does_not_annotate(self):
        """
        It has no keypoints, as one that is not in the json.
        """
        found, keys = broken(coco_file(("annotations", 0, {"image_id": 1, "category_id": 1})))

        assert "has no keypoints; add faces/keypoints.json: a" in found["faces/images/a.png"]
        assert keys == []

    def test_a_json_that_is_damaged_in_its_archive(self):
        """
        What the archive says of the json is told as any fault.
        """
        bad = InvalidImage("faces/keypoints.json", "is damaged in the zip")

        assert broken({"faces/keypoints.json": bad})[0] == {bad.name: bad.problem}

    def test_a_picture_twice_in_the_json(self):
        """
        Of two entries of one name nobody knows which is meant.
        """
        data = folder()["faces/keypoints.json"].replace(b"{", b'{"a": [], ')

        found, keys = broken({"faces/keypoints.json": data})

        assert "would be stored as 'a', like faces/keypo" in found["faces/keypoints.json: a"]
        assert (len(found), keys) == (1, ["b"])

    def test_entries_of_pictures_that_are_not_there(self):
        """
        Keypoints of a name that no picture has may be another's that was misspelt.
        """
        found, keys = broken(points_file(c=[[1, 1, 2], [1, 1, 2]]))

        assert "has no image; add faces/images/c.png" in found["faces/keypoints.json: c"]
        assert keys == ["a", "b"]

    def test_stems_that_become_one_key(self):
        """
        Two files that would be stored under one key are refused with both names; neither is read.
        """
        found, keys = broken({"faces/images/A.png": picture(), "faces/masks/a.npy": npy(ids())})

        assert found == {
            "faces/images/a.png": "would be stored as 'a', like faces/images/A.png; "
            "rename one of them",
            "faces/masks/a.png": "would be stored as 'a', like faces/masks/a.npy; "
            "rename one of them",
        }
        assert keys == ["b"]

    def test_unexpected_files_within_the_folders(self):
        """
        They may be labels that would be missed.
        """
        found, keys = broken({"faces/masks/notes.txt": b"", "faces/images/train/c.png": b""})

        assert found == {
            "faces/images/train/c.png": "lies too deep; move it into faces/images/",
            "faces/masks/notes.txt": "does not end in .png, .npy; remove or convert it",
        }
        assert keys == ["a", "b"]

    @pytest.mark.parametrize("name", ["faces/images/../../c.png", "faces/masks/../a.png"])
    def test_paths_that_lead_elsewhere(self, name):
        """
        They are never opened, whoever let them in.
        """
        files = MemoryFiles(folder() | {name: picture()})

        with pytest.raises(InvalidDataset, match="lies too deep"):
            list(PlainFolder().read(files, MASKS))

        assert name not in files.opened

    def test_two_datasets_at_once(self):
        """
        One archive is one dataset.
        """
        found, _ = broken({"images/a.png": picture()})

        assert "in the top and faces/; keep one dataset" in found["archive"]

    def test_all_faults_of_an_item(self):
        """
        A picture with two bad labels has two faults.
        """
        found, keys = broken({"faces/masks/a.png": b"", "faces/depth/a.png": b""})

        assert (set(found), keys) == ({"faces/masks/a.png", "faces/depth/a.png"}, ["b"])

    def test_colours_that_mean_nothing(self):
        """
        A colour that is no class's is named with its place, as smoothing leaves some.
        """
        drawn = np.zeros((*SIZE, 3), dtype=np.uint8)
        drawn[1, 2] = (254, 0, 0)
        contents = {"images/a.png": picture(), "masks/a.png": encode_png(drawn)}
        reading = Reading((PARTS,), colours={(0, 0, 0): "background", RED: "skin"})

        found, _ = faults(PlainFolder(), contents, reading)

        assert "shows (254, 0, 0) at (row 1, column 2)" in found["masks/a.png"]

    def test_colours_in_files_that_do_not_keep_them(self):
        """
        JPEG changes colours.
        """
        contents = {
            "images/a.png": picture(),
            "masks/a.png": encode_image(np.zeros((*SIZE, 3), np.uint8), "jpg"),
        }

        found, _ = faults(PlainFolder(), contents, Reading((PARTS,), colours={RED: "skin"}))

        assert "a colour-coded mask must be a PNG" in found["masks/a.png"]


class TestReadings:
    @pytest.mark.parametrize(
        ("reading", "problem"),
        [
            (Reading((PARTS,), colours={RED: "nose"}), "colours stand for nose, but the label"),
            (Reading((PARTS,), options={"split": "a"}), "no option 'split'; it has depth_scale"),
            (Reading((DEPTH,), options={"depth_scale": "0"}), "depth_scale is '0'; it must be"),
            (Reading((DEPTH,), options={"depth_scale": "mm"}), "depth_scale is 'mm'"),
        ],
    )
    def test_that_cannot_be_had(self, reading, problem):
        """
        What is asked for is judged before anything is read.
        """
        files = MemoryFiles(folder())

        with pytest.raises(InvalidDataset, match=problem):
            list(PlainFolder().read(files, reading))

        assert files.opened == []

    def test_of_depth_in_png_without_its_scale(self):
        """
        A PNG's numbers mean nothing until the user says what they are.
        """
        found, keys = broken({}, Reading((DEPTH,)))

        assert "say in depth_scale what it holds" in found["faces/depth/a.png"]
        assert keys == ["b"]


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (["images/a.png"], True),
        (["d/masks/a.png"], True),
        (["keypoints.json", "depth/a.npy"], False),
        (["a/b/images/a.png", "Images/a.png", "images", "x/keypoints.json.txt"], False),
        (["../images/a.png"], False),
        ([], False),
    ],
)
def test_is_known_by_its_folders(names, fits):
    """
    Pictures or masks in a folder of that name, at the top or one below it, tell the layout.
    """
    assert PlainFolder().fits(names) == fits

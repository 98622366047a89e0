import pytest

from models.data.formats.coco import Coco, LabelStudio
from models.errors import InvalidDataset
from models.labels import DepthSpec
from tests.support.layouts_coco import JSON, box, document, image, picture, read, thing


class TestWhere:
    @pytest.mark.parametrize(
        ("json_name", "file_name", "file"),
        [
            ("annotations.json", "a.png", "a.png"),
            ("annotations.json", "a.png", "images/a.png"),
            ("annotations.json", "images/a.png", "images/a.png"),
            ("annotations.json", "images\\a.png", "images/a.png"),
            ("set/train/_annotations.coco.json", "a.png", "set/train/a.png"),
            ("annotations/instances_default.json", "a.png", "images/default/a.png"),
            ("annotations/instances_default.json", "a.png", "images/a.png"),
            ("annotations/instances_default.json", "cam/a.png", "images/default/cam/a.png"),
            ("coco/annotations/instances_val2017.json", "a.png", "coco/val2017/a.png"),
            ("labels.json", "data/elsewhere/a.png", "data/a.png"),
        ],
    )
    def test_pictures_are_found(self, json_name, file_name, file):
        """
        The places where COCO, CVAT, Roboflow and FiftyOne put pictures, by the names they write.
        """
        members = {
            json_name: document([image(1, file_name)], [thing(1, 1, [box(0, 0, 1, 1)])]),
            file: picture(),
        }

        assert Coco().fits(list(members))
        assert [item.origin for item in read(members)] == [file]

    def test_the_split_tells_namesakes_apart(self):
        """
        Of two files with the name, the one in the folder of the json's split is meant.
        """
        name = "annotations/instances_Train.json"
        members = {
            name: document([image(1, "a.png")], [thing(1, 1, [box(0, 0, 1, 1)])]),
            "images/Train/a.png": picture(shade=1),
            "images/Validation/a.png": picture(shade=2),
        }

        assert read(members)[0].image[0, 0, 0] == 1

    def test_the_end_of_a_path_tells_namesakes_apart(self):
        """
        Of two files with the name, the one whose path ends as the json says is meant.
        """
        members = {
            JSON: document([image(1, "y/a.png")], [thing(1, 1, [box(0, 0, 1, 1)])]),
            "deep/x/a.png": picture(),
            "deep/y/a.png": picture(),
        }

        assert [item.origin for item in read(members)] == ["deep/y/a.png"]

    def test_namesakes_are_a_fault(self):
        """
        A name that may be two files is told with both.
        """
        members = {
            JSON: document([image(1, "a.png")], [thing(1, 1, [box(0, 0, 1, 1)])]),
            "x/a.png": picture(),
            "y/a.png": picture(),
        }

        with pytest.raises(InvalidDataset, match=r"may be x/a.png and y/a.png; give files names"):
            read(members)

    def test_the_json_is_chosen_by_an_option(self):
        """
        Where there are several, the user says which, by path or by name; without that it is told
        what there is. A json of any other name will do if it is the only one.
        """
        one = document([image(1, "a.png")], [thing(1, 1, [box(0, 0, 1, 1)])])
        two = {"annotations/instances_a.json": one, "annotations/instances_b.json": b"{}"}

        assert len(read({"mine.json": one, "a.png": picture()})) == 1
        for wanted in ("instances_a.json", "annotations/instances_a.json"):
            assert len(read(two | {"a.png": picture()}, options={"annotations": wanted})) == 1
        with pytest.raises(InvalidDataset, match=r"instances_a.json, annotations/instances_b.json"):
            read(two)
        with pytest.raises(InvalidDataset, match=r"archive: holds no COCO json c.json"):
            read(two, options={"annotations": "c.json"})
        with pytest.raises(InvalidDataset, match="archive: holds no COCO json; add it"):
            read({"a.png": picture()})

    @pytest.mark.parametrize(
        "name",
        [
            "annotations/captions_val2017.json",
            "gtFine/train/ulm/ulm_000_gtFine_polygons.json",
            "keypoints.json",
            "config.json",
            "a.png",
        ],
    )
    def test_other_files_are_not_taken_for_it(self, name):
        """
        Jsons of other formats do not make a dataset COCO.
        """
        assert not Coco().fits([name, "images/a.png"])

    def test_what_it_cannot_give_is_refused(self):
        """
        Depth, and options of other layouts, are refused before anything is read.
        """
        with pytest.raises(InvalidDataset, match="has no depth"):
            read({JSON: b""}, labels=(DepthSpec(),))
        with pytest.raises(InvalidDataset, match="has no option 'split'"):
            read({JSON: b""}, options={"split": "train"})


class TestLabelStudio:
    @pytest.mark.parametrize(
        "file_name",
        [
            "images/1f-a.png",
            "images\\1f-a.png",
            "images\\1/1f-a.png",
            "../../label-studio/data/media/upload/4/1f-a.png",
            "..\\..\\label-studio\\label-studio\\media\\upload\\4\\1f-a.png",
            "/label-studio/data/upload/4/1f-a.png",
            "/data/local-files/?d=cars/1f-a.png",
            "/data/local-files/?d=1f-a.png",
            "https://host/data/upload/1f-a.png",
        ],
    )
    def test_foreign_paths_lead_to_the_file_of_that_name(self, file_name):
        """
        Its versions write paths of the machine they ran on; the file's own name is what counts.
        """
        members = {
            "result.json": document([image(0, file_name)], [thing(0, 0, [box(0, 0, 1, 1)])]),
            "images/1f-a.png": picture(),
        }

        assert LabelStudio().fits(list(members))
        assert [item.key for item in read(members, LabelStudio())] == ["1f-a"]

    def test_namesakes_are_a_fault(self):
        """
        A foreign path whose file's name is there twice is told with both.
        """
        members = {
            "result.json": document([image(0, "../../x/a.png")], [thing(0, 0, [box(0, 0, 1, 1)])]),
            "images/1/a.png": picture(),
            "images/2/a.png": picture(),
        }

        with pytest.raises(InvalidDataset, match=r"image 0 .*may be images/1/a.png and images/2/a"):
            read(members, LabelStudio())

    def test_needs_its_json_beside_the_images(self):
        """
        A `result.json` of something else is not taken for it.
        """
        assert not LabelStudio().fits(["x/result.json", "images/a.png"])
        assert not LabelStudio().fits(["images/a.png"])

import pytest

from models.data.formats.coco_loading import MAX_BYTES, load
from models.data.problems import Problems
from models.errors import InvalidDataset, InvalidImage
from tests.support.layouts_coco import (
    CATEGORIES,
    JSON,
    box,
    document,
    image,
    picture,
    read,
    sift,
    thing,
)

PICTURES = {f"{number}.png": picture() for number in (1, 2, 3)}


def parts():
    """
    The entries of three good pictures, each with one thing: (images, annotations, categories).
    """
    images = [image(number) for number in (1, 2, 3)]
    things = [thing(10 * number, number, [box(0, 0, 2, 2)]) for number in (1, 2, 3)]
    return images, things, [dict(category) for category in CATEGORIES]


class Broken:
    """
    Faults, each done to the second of three good pictures.
    """

    @staticmethod
    def image(**changes):
        return lambda images, things, categories, members: images[1].update(changes)

    @staticmethod
    def thing(**changes):
        return lambda images, things, categories, members: things[1].update(changes)

    @staticmethod
    def lack(which, field):
        return lambda *lists: lists[which][1].pop(field)

    @staticmethod
    def file(content):
        return lambda images, things, categories, members: members.update({"2.png": content})

    @staticmethod
    def more(which, entry):
        return lambda *lists: lists[which].append(entry)


FAULTS = [
    (Broken.image(file_name="9.png"), JSON, "image 2 ('9.png'): there is no file '9.png'"),
    (Broken.image(file_name="../2.png"), JSON, "points outside of the dataset"),
    (Broken.image(file_name="/2.png"), JSON, "points outside of the dataset"),
    (Broken.image(file_name="C:\\2.png"), JSON, "points outside of the dataset"),
    (Broken.image(file_name=""), JSON, "image 2: file_name: string should have at least 1"),
    (Broken.image(file_name=7), JSON, "image 2: file_name: input should be a valid string"),
    (
        Broken.image(height=8, width=6),
        "2.png",
        "image 2 ('2.png') (height x width); it looks turned, for EXIF",
    ),
    (Broken.image(height=7), "2.png", "says 7 x 8 of image 2 ('2.png') (height x width); annotate"),
    (Broken.image(height=0), JSON, "image 2: height: input should be greater than or equal to 1"),
    (Broken.lack(0, "width"), JSON, "image 2: has no width"),
    (Broken.more(0, image(2, "1.png")), JSON, "image 2: this id is used 2 times"),
    (Broken.file(b""), "2.png", "is empty"),
    (Broken.file(InvalidImage("2.png", "is damaged")), "2.png", "is damaged"),
    (Broken.thing(segmentation=[[1, 2, 3, 4, 5]]), JSON, "annotation 20 of image 2 ('2.png'): its"),
    (Broken.thing(segmentation=[[1, 2, 3, float("nan"), 5, 6]]), JSON, "has nan at place 3"),
    (Broken.thing(segmentation={"size": [6, 8], "counts": [47]}), JSON, "fill 47 of 48 pixels"),
    (Broken.thing(segmentation=[]), JSON, "has no segmentation"),
    (Broken.lack(1, "segmentation"), JSON, "has no segmentation"),
    (Broken.thing(iscrowd=2), JSON, "annotation 20: iscrowd: input should be"),
    (Broken.thing(category_id=4), JSON, "annotation 20: category_id 4 is not in categories"),
    (Broken.thing(category_id=None), JSON, "annotation 20: category_id: input should be"),
    (Broken.more(1, thing(20, 2)), JSON, "annotation 20: this id is used 2 times"),
    (Broken.more(1, {"id": 9, "image_id": 2}), JSON, "annotation 9: has no category_id"),
]


class TestFaults:
    @pytest.mark.parametrize(("spoil", "file", "problem"), FAULTS)
    def test_spoil_their_own_picture_alone(self, spoil, file, problem):
        """
        One faulty entry is told by file and id, its picture is left out, and the others are read.
        """
        entries, members = parts(), dict(PICTURES)
        spoil(*entries, members)

        keys, problems = sift(members | {JSON: document(*entries)})

        assert keys == ["1", "3"]
        ((found_file, found),) = problems
        assert found_file == file
        assert problem in found

    @pytest.mark.parametrize("number", ["2", True, 2.0, None])
    def test_of_ids_concern_their_annotations_too(self, number):
        """
        A picture whose id is no whole number is told by its place, and its annotations as those
        of no picture.
        """
        images, things, categories = parts()
        images[1]["id"] = number

        keys, problems = sift(PICTURES | {JSON: document(images, things, categories)})

        assert keys == ["1", "3"]
        assert problems[0][1].startswith("image number 1 of the list, from 0: id: input should be")
        assert problems[1][1].startswith("annotation 20: image_id 2 is not in images")

    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_of_entries_that_are_none_are_told_by_place(self, which):
        """
        What is no entry at all is told by where it stands.
        """
        entries = parts()
        entries[which].append(5)

        _, problems = sift(PICTURES | {JSON: document(*entries)})

        kind, place = [("image", 3), ("annotation", 3), ("category", 2)][which]
        assert problems[0][1].startswith(f"{kind} number {place} of the list, from 0: input should")

    def test_of_categories_are_told_once(self):
        """
        A category without a class is one fault with its id, however many pictures show it, and
        these are left out; so is one that is merged into none.
        """
        images, things, categories = parts()
        things[0]["category_id"] = things[2]["category_id"] = 5
        categories.append({"id": 5, "name": "wheel"})
        members = PICTURES | {JSON: document(images, things, categories)}

        keys, problems = sift(members)
        _, merged = sift(members, merge={"wheel": "tyre"})

        assert keys == ["2"]
        assert problems == [
            (
                JSON,
                "category 5 ('wheel') is none of the classes background, door, mirror; name its "
                "class in merge, or remove its 2 annotations",
            )
        ]
        assert merged[0][1].startswith("category 5 ('wheel') is merged into 'tyre', which is none")

    def test_of_category_entries(self):
        """
        A category without a name, or with another's id, spoils the pictures that use it; that its
        annotations are lost too is not told again.
        """
        images, things, categories = parts()
        things[1]["category_id"] = 90
        categories += [{"id": 90, "name": "door"}, {"id": 4}]
        things.append(thing(99, 3, [box(0, 0, 1, 1)], 4))
        members = PICTURES | {JSON: document(images, things, categories)}

        keys, problems = sift(members)

        assert keys == ["1"]
        assert [found for _, found in problems] == [
            "category 4: has no name",
            "category 90: this id is used 2 times; give each its own",
        ]

    def test_of_annotations_of_no_picture_are_told_once(self):
        """
        Annotations of a picture that is not listed are one fault, and spoil no other picture.
        """
        strays = [thing(100 + i, 77, [box(0, 0, 1, 1)]) for i in range(7)]
        good = thing(1, 1, [box(0, 0, 1, 1)])

        keys, problems = sift(PICTURES | {JSON: document([image(1)], [good, *strays])})

        assert keys == ["1"]
        assert problems == [
            (
                JSON,
                "annotation 100, 101, 102, 103, 104 and 2 more: image_id 77 is not in images; add "
                "it there, or remove the annotations",
            )
        ]

    def test_all_come_at_once(self):
        """
        Several faults, of one picture and of several, come in one error after the good items.
        """
        bad = [[0, 0, 1]]
        things = [
            thing(1, 1, bad),
            thing(2, 1, bad),
            thing(3, 2, bad),
            thing(4, 3, [box(0, 0, 1, 1)]),
        ]
        members = {JSON: document([image(i) for i in (1, 2, 3)], things)}
        members |= {f"{number}.png": picture() for number in (1, 2, 3)}

        keys, problems = sift(members)

        assert keys == ["3"]
        assert [found[:12] for _, found in problems] == [f"annotation {i}" for i in (1, 2, 3)]

    def test_of_a_file_that_is_two_pictures(self):
        """
        Two entries of one file, or two files of one key, are told by their names.
        """
        images = [image(1, "a.png"), image(2, "./a.png"), image(3, "b/x.png"), image(4, "c/X.png")]
        members = {JSON: document(images, [thing(i, i, [box(0, 0, 1, 1)]) for i in (1, 2, 3, 4)])}
        members |= {name: picture() for name in ("a.png", "b/x.png", "c/X.png")}

        keys, problems = sift(members)

        assert keys == []
        assert problems == [
            (JSON, "image 1, 2: are all of a.png; keep one of the entries"),
            (JSON, "b/x.png and c/X.png would all be stored as 'x'; rename them"),
        ]


class TestTheJson:
    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (document(*parts())[:-20], "is not readable JSON, cut short or damaged (EOF"),
            (b"", "is not readable JSON, cut short"),
            (b"\xff\xfe{\0}\0", "is not readable JSON, cut short"),
            (b'{"images":' + b"[" * 100_000, "is not readable JSON, nested too deeply"),
            (b"[]", "holds a list, not an object; export it as COCO"),
            (b'{"images": []}', "has no list 'categories'; export it as COCO"),
            (b'{"images": {}}', "has no list 'images'; export it as COCO"),
        ],
    )
    def test_is_refused_as_a_whole(self, data, problem):
        """
        A json that is cut short, nested without end or of another format is refused at once.
        """
        with pytest.raises(InvalidDataset) as caught:
            read({JSON: data})
        ((file, found),) = caught.value.problems
        assert file == JSON
        assert problem in found

    def test_may_not_be_too_large(self):
        """
        A json above the limit is refused before it is parsed.
        """
        with pytest.raises(InvalidDataset, match="over 134,217,728; split the dataset"):
            load(bytes(MAX_BYTES + 1), JSON, Problems())

    def test_may_begin_with_a_byte_order_mark(self):
        """
        Windows tools put one at the start of UTF-8.
        """
        members = {JSON: b"\xef\xbb\xbf" + document([image(1)], [thing(1, 1, [box(0, 0, 1, 1)])])}

        assert len(read(members | {"1.png": picture()})) == 1

    def test_that_cannot_be_read_is_told(self):
        """
        A json that is damaged in its archive is a fault of that file.
        """
        with pytest.raises(InvalidDataset, match=r"annotations.json: is damaged"):
            read({JSON: InvalidImage(JSON, "is damaged")})

    def test_with_strange_letters_in_names_is_told_in_plain_ones(self):
        """
        Control characters in a json's names do not reach the terminals that show its errors.
        """
        members = {JSON: document([image(1, "\x1b[2J.png")], [thing(1, 1, [box(0, 0, 1, 1)])])}

        _, problems = sift(members)

        assert problems[0][1].isprintable()

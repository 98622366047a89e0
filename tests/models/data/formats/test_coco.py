import json

import numpy as np
import pytest

from models.data.formats.coco import Coco
from models.data.labelled import Reading
from models.errors import InvalidDataset
from tests.support.layouts_coco import (
    CATEGORIES,
    JSON,
    SPEC,
    box,
    document,
    even_odd,
    image,
    picture,
    read,
    sift,
    thing,
)
from tests.support.memory_files import MemoryFiles

DOOR, MIRROR = 1, 2


def single(things, **how):
    """
    The mask of one picture (6 x 8) with these things.
    """
    categories = how.pop("categories", CATEGORIES)
    members = {JSON: document([image(1)], things, categories), "1.png": picture()}
    (item,) = read(members, **how)
    return item.labels["segmentation"]


class TestMasks:
    def test_hold_classes_by_the_categories_names(self):
        """
        Category ids may have gaps, for classes go by name; ids say nothing.
        """
        mask = single([thing(1, 1, [box(0, 0, 1, 1)], 90), thing(5, 1, [box(2, 2, 4, 4)], 3)])

        assert mask.dtype == np.uint8
        assert mask.shape == (6, 8)
        assert [mask[0, 0], mask[2, 2], mask[5, 5]] == [MIRROR, DOOR, 0]

    @pytest.mark.parametrize("turn", [1, -1])
    def test_keep_small_things_on_large_ones(self, turn):
        """
        Whatever the order in the file, the smaller of two things lies on top.
        """
        things = [thing(1, 1, [box(0, 0, 6, 8)], 3), thing(2, 1, [box(1, 1, 3, 3)], 90)]

        mask = single(things[::turn])

        assert (mask == MIRROR).sum() == 4
        assert (mask == DOOR).sum() == 44

    def test_go_by_the_area_that_is_drawn(self):
        """
        What the json says about areas plays no role; of equal ones, the later lies on top.
        """
        large = thing(1, 1, [box(0, 0, 6, 8)], 3, area=1)
        small = thing(2, 1, {"size": [6, 8], "counts": [0, 6, 42]}, 90, area=1000)
        same = thing(3, 1, [box(0, 0, 6, 1)], 3)

        assert (single([small, large])[:, 0] == MIRROR).all()
        assert (single([small, same])[:, 0] == DOOR).all()

    @pytest.mark.parametrize("crowd", [True, False, 1, 0])
    def test_hold_crowds_too(self, crowd):
        """
        `iscrowd` comes as a boolean or as 0 and 1, and changes nothing.
        """
        runs = {"size": [6, 8], "counts": [0, 12, 36]}

        assert (single([thing(1, 1, runs, iscrowd=crowd)])[:, :2] == DOOR).all()

    def test_merge_categories(self):
        """
        Several categories may be one class; a class may be the background.
        """
        categories = [{"id": i, "name": name} for i, name in enumerate(["left", "right", "none"])]
        things = [
            thing(i, 1, [box(0, start, 6, start + 3 - i)], i) for i, start in enumerate([0, 4, 1])
        ]
        merge = {"left": "mirror", "right": "mirror", "none": "background"}

        row = single(things, categories=categories, merge=merge)[0]

        assert row.tolist() == [MIRROR, 0, MIRROR, 0, MIRROR, MIRROR, 0, 0]

    def test_need_no_class_for_a_category_that_is_not_used(self):
        """
        Tools add categories of their own to every export; without annotations they are harmless.
        """
        categories = [*CATEGORIES, {"id": 0, "name": "_background_"}]

        assert single([thing(1, 1, [box(0, 0, 1, 1)])], categories=categories).sum() == DOOR


def test_pictures_of_many_sizes():
    """
    In a set of 61 sizes, each mask is what a rasteriser of another kind draws, by area, but for
    pixels whose centres are within 0.3 of an edge.
    """
    stream = np.random.default_rng(0)
    sizes = [(20 + i, 20 + (37 * i) % 61) for i in range(61)]
    assert len(set(sizes)) == 61
    shapes = {
        number: [
            ((stream.random((7, 2)) - 0.5) * spread + 0.3 + 0.4 * stream.random(2)) * size[::-1]
            for spread in (0.4, 1.5, 0.8)
        ]
        for number, size in enumerate(sizes)
    }
    members = {f"{number}.png": picture(size) for number, size in enumerate(sizes)}
    images = [image(number, size=size) for number, size in enumerate(sizes)]
    things = [
        thing(10 * number + place, number, [polygon.ravel().tolist()], (3, 90, 90)[place])
        for number, polygons in shapes.items()
        for place, polygon in enumerate(polygons)
    ]

    items = read(members | {JSON: document(images, things)})

    assert len(items) == 61
    for item in items:
        size, found = sizes[int(item.key)], item.labels["segmentation"]
        drawn = [even_odd(polygon, size) for polygon in shapes[int(item.key)]]
        wanted, clear = np.zeros(size, dtype=np.uint8), np.ones(size, dtype=bool)
        for place in sorted(range(3), key=lambda each: -drawn[each][0].sum()):
            wanted[drawn[place][0]] = (DOOR, MIRROR, MIRROR)[place]
            clear &= drawn[place][1] > 0.3
        assert item.image.shape[:2] == found.shape == size
        np.testing.assert_array_equal(found[clear], wanted[clear])


SOME = {
    JSON: document([image(1), image(2), image(3)], [thing(1, 2, [box(0, 0, 1, 1)])]),
    **{f"{number}.png": picture() for number in (1, 2, 3)},
}


class TestUnannotated:
    def test_pictures_are_one_fault(self):
        """
        Pictures that are yet to be annotated are told together, and not taken for background.
        """
        keys, problems = sift(SOME)

        assert keys == ["2"]
        assert problems == [
            (
                JSON,
                "2 pictures have no annotations (image 1, 3); annotate them, or set the option "
                "unannotated to skip or background",
            )
        ]

    def test_pictures_are_read_as_the_user_says(self):
        """
        They may be skipped, or be background indeed.
        """
        skipped = read(SOME, options={"unannotated": "skip"})
        kept = read(SOME, options={"unannotated": "background"})

        assert [item.key for item in skipped] == ["2"]
        assert [int(item.labels["segmentation"].sum()) for item in kept] == [0, 1, 0]

    def test_other_choices_are_refused(self):
        """
        A choice that there is not is told with those that there are.
        """
        with pytest.raises(InvalidDataset, match="one of refuse, skip, background"):
            read(SOME, options={"unannotated": "no"})


def test_pictures_are_read_one_at_a_time():
    """
    A picture is read when its item is asked for, in the order of keys; others lie untouched.
    """
    images = [image(1, "b.png"), image(2, "a.png")]
    files = MemoryFiles(
        {JSON: document(images, [thing(i, i, [box(0, 0, 1, 1)]) for i in (1, 2)])}
        | {name: picture() for name in ("a.png", "b.png", "unlisted.png")}
    )
    items = Coco().read(files, Reading((SPEC,)))

    assert next(items).key == "a"
    assert files.opened == [JSON, "a.png"]
    assert [item.key for item in items] == ["b"]


def test_what_no_label_needs_may_be_anything():
    """
    Fields of tools, and the json's other lists, are not looked at.
    """
    content = json.loads(document([image(1, license="?")], [thing(1, 1, [box(0, 0, 1, 1)])]))
    content |= {"info": None, "licenses": 7}
    content["annotations"][0] |= {"bbox": "none", "attributes": {"deep": [[[]]]}}

    assert len(read({JSON: json.dumps(content).encode(), "1.png": picture()})) == 1

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.data.formats.coco_loading import MOST, load
from models.data.problems import Problems
from models.errors import InvalidDataset
from tests.support.layouts_coco import CATEGORIES, JSON, box, image, thing

ROOT = Path(__file__).parents[4]

CONTENT = {
    "info": {"description": "images: [{]", "version": None},
    "licenses": [{"id": 1}, []],
    "images": [image(1), image(2)],
    "categories": CATEGORIES,
    "annotations": [
        thing(7, 2, [box(0, 0, 1, 1)], note='"é\\'),
        thing(5, 1, None, keypoints=[1, 2, 2]),
        thing(6, 2, [box(0, 0, 1, 3.25)], 90),
    ],
}


def loaded(content):
    """
    What a json says, and the faults in it.
    """
    problems = Problems()
    return load(content, JSON, problems), [found for _, found in problems.found]


@pytest.mark.parametrize("order", list(itertools.permutations(CONTENT))[::9])
@pytest.mark.parametrize("indent", [None, 1])
def test_lists_may_stand_in_any_order(order, indent):
    """
    Wherever the lists stand, and however much room is between them, the document is the same.
    """
    text = json.dumps({key: CONTENT[key] for key in order}, indent=indent, ensure_ascii=False)

    document, problems = loaded(text.encode())

    assert problems == []
    assert [each.id for each in document.images] == [1, 2]
    assert list(document.categories) == [3, 90]
    assert document.annotations.uses() == {3: 1, 90: 1}


class TestAnnotations:
    def test_come_by_picture_in_their_order(self):
        """
        Those of one picture come as the json has them, with all that it says, time and again.
        """
        document, _ = loaded(json.dumps(CONTENT).encode())

        things = document.annotations.of(2)

        assert len(things) == 2
        assert [each.id for each in things] == [each.id for each in things] == [7, 6]
        assert things[1].segmentation == [box(0, 0, 1, 3.25)]
        assert [each.keypoints for each in document.annotations.of(1)] == [[1, 2, 2]]
        assert len(document.annotations.of(3)) == 0

    @pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
    @pytest.mark.parametrize("field", ["id", "image_id", "category_id"])
    def test_have_ids_of_64_bits(self, field, number):
        """
        A larger number is a fault of its entry, and of its picture as far as that is known.
        """
        content = json.loads(json.dumps(CONTENT))
        content["annotations"][0][field] = number

        document, problems = loaded(json.dumps(content).encode())

        assert len(problems) == 1
        assert f": {field}: input should be " in problems[0]
        assert [each.id for each in document.images] == ([1, 2] if field == "image_id" else [1])


def test_lists_may_not_be_endless():
    """
    A list of more entries than any dataset has is refused as a whole.
    """
    many = [{"id": number, "name": ""} for number in range(MOST["categories"] + 1)]

    with pytest.raises(InvalidDataset, match="lists over 10,000 categories; split the dataset"):
        loaded(json.dumps(CONTENT | {"categories": many}).encode())


def test_an_entry_may_not_be_endless():
    """
    An outline too large to be parsed is told with its size, and that it may be good otherwise.
    """
    endless = thing(7, 1, [[1.25] * 250_000])

    with pytest.raises(InvalidDataset, match=r"json: has an entry of 1,.* column \d+; simplify"):
        loaded(json.dumps(CONTENT | {"annotations": [endless]}).encode())


def test_a_damaged_entry_is_told_by_its_place():
    """
    That a file is no JSON is told with the line and column of the file.
    """
    text = json.dumps(CONTENT, indent=1)
    place = text.index('"area"')
    damaged = f"{text[:place]}\x00{text[place:]}".encode()

    with pytest.raises(InvalidDataset, match="is not readable JSON") as caught:
        loaded(damaged)
    assert f"line {text[:place].count(chr(10)) + 1} column" in caught.value.problems[0][1]


MEASURE = """
import sys
from pathlib import Path
from models.data.formats.coco_loading import load
from models.data.problems import Problems

def memory(kind):  # In bytes, of this process alone.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(kind + ":")[2].split()[0])

load(Path(sys.argv[1]).read_bytes(), "few", Problems())
Path("/proc/self/clear_refs").write_text("5")  # The peak is now what is in use.
idle = memory("VmRSS")
document = load(Path(sys.argv[2]).read_bytes(), "many", Problems())
print(memory("VmHWM") - idle, len(document.images))
"""


def outlines(count, with_keypoints):
    """
    A json of pictures with seven polygons each, and perhaps keypoints, as COCO has them.
    """
    corners = np.round(np.random.default_rng(0).random(50) * 480, 2).tolist()
    marks = {"num_keypoints": 17, "keypoints": [320, 240, 2] * 17} if with_keypoints else {}
    text = json.dumps(thing("ID", "OF", [corners], **marks)).replace('"ID"', "%d")
    things = [text.replace('"OF"', str(i // 7)) % i for i in range(7 * count)]
    images = [image(i, f"{i:012}.jpg", (480, 640)) for i in range(count)]
    content = {"images": images, "categories": CATEGORIES, "annotations": []}
    return json.dumps(content).replace("[]", f"[{','.join(things)}]").encode()


@pytest.mark.parametrize("with_keypoints", [False, True])
def test_memory_is_hardly_more_than_the_file_takes(tmp_path, with_keypoints):
    """
    Less than twice the size of a json of 9 MB or more is needed, though all of it is in memory;
    parsed as a whole, it took seven times as much.
    """
    few, many = tmp_path / "few.json", tmp_path / "many.json"
    few.write_bytes(outlines(5, with_keypoints))
    many.write_bytes(outlines(3000, with_keypoints))

    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, few, many],
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        text=True,
    )

    peak, images = map(int, ran.stdout.split())
    assert images == 3000
    assert 1 < peak / many.stat().st_size < 2

"""Datasets of several label kinds: what is kept of them, how they are fitted, what is left out."""

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.contexts import task_context
from support.layouts_folders import PARTS, SIZE, authors, folder, grey16, ids, picture, without

from models.data.fitting import Canvas, Pad
from models.data.formats.single import read_single
from models.data.images import encode_png
from models.data.labelled import Reading
from models.data.manifest import DatasetManifest
from models.data.sample import read_labelled
from models.labels import DepthSpec, KeypointsSpec
from workers import items
from workers.errors import TaskFailed
from workers.params import DatasetParams, FitParams
from workers.tasks import ingest

POINTS = KeypointsSpec(names=("nose", "chin"))
DEPTH = DepthSpec(largest=10)
ALL = (PARTS, POINTS, DEPTH)
HOME = "acme/datasets/made/"
CANVAS = FitParams(canvas=Canvas(height=8, width=8), policy=Pad())
ROOT = Path(__file__).parents[2]


@pytest.fixture
def ingested(store, tmp_path):
    """
    Runs an ingest job; the manifest that it writes.
    """

    def run(imports=None, **params):
        asked = DatasetParams(**{"labels": ALL, "options": {"depth_scale": "1000"}, **params})
        scratch = tmp_path / "scratch"
        context = task_context(store, scratch, "ingest", "datasets", asked)
        ingest.run(replace(context, imports=imports))
        return DatasetManifest.model_validate_json(store.get(f"{HOME}manifest.json"))

    return run


@pytest.fixture
def upload(store):
    """
    Puts a zip where an upload ends.
    """

    def put(contents):
        store.put("acme/uploads/up/content", zipped(contents))

    return put


def zipped(contents):
    """
    A zip of the given contents by name.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return target.getvalue()


def kept(store):
    """
    The paths of all that the dataset holds.
    """
    return [entry.key.removeprefix(HOME) for entry in store.list(HOME)]


def read_back(store, manifest):
    """
    A dataset's items as those read them who make something of it.
    """

    def file(entry):
        return entry.path, store.get(f"{HOME}{entry.path}")

    for item in manifest.items:
        labels = {kind: file(entry) for kind, entry in item.labels.items()}
        yield read_labelled(item.key, file(item.image), labels, manifest.labels)


def send(store, key, labels=ALL, **changed):
    """
    An item where the API puts it.
    """
    points = json.dumps({"points": [[1, 2.5, 2], [0, 3, 1]]}).encode()
    files = {
        "segmentation": ("m", encode_png(ids())),
        "keypoints": ("k", points),
        "depth": ("d", grey16(2500)),
    }
    reading = Reading(labels=labels, options={"depth_scale": "1000"})
    item = read_single(key, ("i", picture()), files | changed, reading)
    for file in items.stored(item, labels).values():
        store.put(f"{HOME}{file.path}", file.data)


class TestKinds:
    def test_all_come_out_of_one_archive(self, ingested, upload, store):
        """
        Masks, keypoints and depth of every picture are kept, and read back as they were.
        """
        upload(folder())

        manifest = ingested(upload_id="up")

        first, second = read_back(store, manifest)
        np.testing.assert_array_equal(first.labels["segmentation"], ids())
        assert second.labels["keypoints"].tolist() == [[0, 5, 2], [0, 0, 0]]
        np.testing.assert_array_equal(first.labels["depth"], np.full(SIZE, 2.5, np.float32))
        assert [name for name in kept(store) if "/a." in name] == [
            "items/a.depth.npy",
            "items/a.keypoints.json",
            "items/a.mask.png",
            "items/a.png",
        ]

    def test_each_has_statistics(self, ingested, upload):
        """
        The manifest sums up classes, points and depth.
        """
        upload(folder())

        found = ingested(upload_id="up").statistics

        assert set(found) == {"segmentation", "keypoints", "depth"}
        assert found["segmentation"].images_per_class == {"background": 1, "skin": 2, "hair": 1}
        assert found["keypoints"].points["chin"].unlabelled == 1
        assert found["depth"].mean == 2.0

    def test_are_sent_one_by_one_too(self, ingested, store):
        """
        Items that came through the API are the same dataset, and stay where they are.
        """
        send(store, "a")
        before = kept(store)

        manifest = ingested()

        (item,) = manifest.items
        assert set(item.labels) == {"segmentation", "keypoints", "depth"}
        assert kept(store) == [*before, "manifest.json", "previews/sheet.png"]

    def test_one_that_is_missing_is_told(self, ingested, store):
        """
        An item without one of its labels is at fault.
        """
        send(store, "a")
        store.delete(f"{HOME}items/a.depth.npy")

        with pytest.raises(TaskFailed, match=r"^a: has no depth; upload the item again"):
            ingested()

    def test_a_layout_can_be_named(self, ingested, upload):
        """
        What is not told by its files is read as the user says.
        """
        upload(authors() | {"training/images/readme.txt": b""})

        manifest = ingested(upload_id="up", labels=(PARTS,), options={}, layout="handsoff")

        assert [item.key for item in manifest.items] == ["0", "1"]


class TestFitting:
    def test_brings_an_archive_onto_the_canvas(self, ingested, upload, store):
        """
        Pictures and labels are kept as fitted, and the manifest says what was done to each.
        """
        upload(folder())

        manifest = ingested(upload_id="up", fit=CANVAS)

        for item, read in zip(manifest.items, read_back(store, manifest), strict=True):
            assert read.image.shape == (item.height, item.width, 3) == (8, 8, 3)
            assert item.fit.source == SIZE
            assert item.fit.policy == Pad()
        first, _ = read_back(store, manifest)
        assert np.isnan(first.labels["depth"][0]).all()

    def test_begins_anew_from_what_was_sent(self, ingested, store):
        """
        Items sent one by one are fitted beside the originals, so that an attempt after one that
        died does not fit them twice.
        """
        send(store, "a")
        before = store.get(f"{HOME}items/a.png")
        first = ingested(fit=CANVAS)
        store.delete(f"{HOME}manifest.json")

        again = ingested(fit=CANVAS)

        assert first == again
        assert first.items[0].image.path == "fitted/a.png"
        assert before == store.get(f"{HOME}items/a.png")

    def test_draws_a_sheet(self, ingested, upload, store):
        """
        A picture shows the items with their labels.
        """
        upload(folder())

        manifest = ingested(upload_id="up", fit=CANVAS)

        sheet = Image.open(io.BytesIO(store.get(f"{HOME}{manifest.sheet}")))
        assert sheet.width > 2 * 8
        assert len(np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)) > 10


class TestTinyClasses:
    @pytest.mark.parametrize("what", ["report", "clean"])
    def test_are_told_and_perhaps_removed(self, ingested, upload, store, what):
        """
        The manifest names classes of too few pixels, which are in the mask only if they may stay.
        """
        mask = np.zeros((128, 128), np.uint8)
        mask[0, 0] = 1
        upload({"images/a.png": picture(size=(128, 128)), "masks/a.png": encode_png(mask)})

        manifest = ingested(upload_id="up", labels=(PARTS,), options={}, tiny_classes=what)

        (item,) = manifest.items
        assert item.tiny == {"skin": 1}
        (read,) = read_back(store, manifest)
        assert read.labels["segmentation"].sum() == (what == "report")


class TestSkipping:
    BAD = folder() | {
        "faces/images/c.png": b"text",
        "faces/masks/c.png": encode_png(ids()),
        "faces/depth/c.png": grey16(1000),
        "faces/masks/a.png": encode_png(ids(7)),
    }

    def test_keeps_what_is_good(self, ingested, upload, store):
        """
        Faulty items are left out and listed; the others are a dataset.
        """
        upload(self.BAD)

        manifest = ingested(upload_id="up", on_fault="skip")

        assert [item.key for item in manifest.items] == ["b"]
        found = {each.file: each.problem for each in manifest.left_out}
        assert "holds 7 at (row 0, column 0)" in found["faces/masks/a.png"]
        assert "has no keypoints" in found["faces/images/c.png"]
        assert not any("/a." in name or "/c." in name for name in kept(store))

    def test_is_not_what_happens_by_default(self, ingested, upload, store):
        """
        Else one fault refuses the dataset, and nothing of it stays.
        """
        upload(self.BAD)

        with pytest.raises(TaskFailed, match="2 problems in the dataset"):
            ingested(upload_id="up")
        assert kept(store) == []

    def test_needs_something_that_is_good(self, ingested, upload, store):
        """
        Where nothing is left, all that was wrong is told.
        """
        upload(without(self.BAD, "faces/masks/b.npy"))

        with pytest.raises(TaskFailed) as caught:
            ingested(upload_id="up", on_fault="skip")
        assert len(caught.value.details["files"]) == 3
        assert kept(store) == []

    def test_goes_past_any_number_of_faults(self, ingested, upload):
        """
        A strict reading gives up after fifty faults; one that skips does not.
        """
        bad = {f"faces/images/x{n}.png": b"text" for n in range(60)}
        upload(folder() | bad)

        manifest = ingested(upload_id="up", on_fault="skip")

        assert (len(manifest.items), len(manifest.left_out)) == (2, 180)

    def test_works_on_items_sent_one_by_one(self, ingested, store):
        """
        A file that rotted in the store is left out like any other.
        """
        send(store, "a")
        send(store, "b")
        store.put(f"{HOME}items/b.depth.npy", b"rotten")

        manifest = ingested(on_fault="skip")

        assert [item.key for item in manifest.items] == ["a"]
        assert [each.file for each in manifest.left_out] == ["b (depth)"]


class TestSources:
    def test_an_archive_may_lie_in_a_bucket(self, ingested):
        """
        What an allowed address names is read like an upload.
        """

        class Imports:
            def of(self, tenant):
                assert tenant == "acme"
                return self

            def fetch(self, address, target):
                assert address == "s3://sets/faces.zip"
                target.write_bytes(zipped(folder()))

        manifest = ingested(imports=Imports(), source="s3://sets/faces.zip")

        assert len(manifest.items) == 2

    def test_a_worker_without_imports_fetches_nothing(self, ingested):
        """
        The refusal names the address and the setting.
        """
        with pytest.raises(
            TaskFailed, match=r"s3://sets/faces\.zip is not below what HANDSOFF_IMP"
        ):
            ingested(source="s3://sets/faces.zip")


MEASURE = """
import sys
from pathlib import Path
from support.contexts import task_context
from workers.params import DatasetParams
from workers.storage.local import LocalStore
from workers.tasks import ingest

def peak():  # In MB, of this process alone: rusage has that of the one that started it too.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024

place = Path(sys.argv[1])
label = {"kind": "segmentation", "classes": ["a", "b"]}
for upload in ("few", "many"):
    params = DatasetParams(label=label, upload_id=upload)
    store = LocalStore(place / "store")
    context = task_context(store, place / upload, "ingest", "datasets", params)
    ingest.run(context)
    store.delete("acme/datasets/made/manifest.json")
    print(peak())
"""


def test_memory_does_not_grow_with_the_number_of_items(tmp_path, store):
    """
    200 pairs of 256 x 256 pixels, 52 MB once decoded, take hardly more memory than 40 do.
    """
    rows, columns = np.mgrid[:256, :256]
    shades = ((rows + columns) % 256).astype(np.uint8)
    for upload, count in (("few", 40), ("many", 200)):
        contents = {}
        for n in range(count):
            image = np.stack([np.roll(shades, n), shades, np.roll(shades, -n)], axis=-1)
            contents[f"images/{n}.png"] = encode_png(image)
            contents[f"masks/{n}.png"] = encode_png((image[..., 0] > 99).astype(np.uint8))
        store.put(f"acme/uploads/{upload}/content", zipped(contents))

    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        text=True,
    )

    few, many = map(int, ran.stdout.split())
    assert many < few + 25
    assert many < 400

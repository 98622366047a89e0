import hashlib
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from support.contexts import Reports, task_context
from support.s3 import BUCKET, s3_client, s3_settings

from models.data.images import decode_image, decode_mask, encode_image, encode_png
from models.data.manifest import DatasetManifest
from models.labels import SegmentationSpec
from workers.errors import LeaseLost, TaskFailed
from workers.imports import Imports
from workers.params import DatasetParams
from workers.tasks import ingest

SPEC = SegmentationSpec(classes=("background", "face"), ignore_index=255)


def image(value, size=(2, 3)):
    """
    A picture of one grey.
    """
    return np.full((*size, 3), value, dtype=np.uint8)


def mask(*rows):
    """
    A mask as a PNG.
    """
    return encode_png(np.array(rows, dtype=np.uint8))


FACES = {"a": (image(10), mask([0, 1, 1], [0, 1, 255])), "b": (image(20), mask([0] * 3, [0] * 3))}


@pytest.fixture
def dataset(store, tmp_path):
    """
    Makes the context of an ingest job.
    """

    def make(upload_id=None, report=None, **changes):
        params = DatasetParams(**{"labels": (SPEC,), "upload_id": upload_id, **changes})
        return task_context(
            store,
            tmp_path / "scratch",
            "ingest",
            "datasets",
            params,
            report,
            name="Faces",
            licence="CC0-1.0",
        )

    return make


@pytest.fixture
def items(store):
    """
    Puts items where the API puts them.
    """

    def put(**files):
        for name, content in files.items():
            key = name.replace("_mask", ".mask")
            store.put(f"acme/datasets/made/items/{key}.png", content)

    return put


@pytest.fixture
def upload(store):
    """
    Puts a zip where an upload ends.
    """

    def put(members):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        store.put("acme/uploads/up/content", target.getvalue())

    return put


def manifest(store):
    """
    The manifest that was written.
    """
    return DatasetManifest.model_validate_json(store.get("acme/datasets/made/manifest.json"))


def kept(store):
    """
    The paths of all that the dataset holds.
    """
    return [entry.key.removeprefix("acme/datasets/made/") for entry in store.list("acme/datasets/")]


def put_faces(items):
    """
    Put both faces, as the API does.
    """
    items(**{key: encode_png(pixels) for key, (pixels, _) in FACES.items()})
    items(**{f"{key}_mask": ids for key, (_, ids) in FACES.items()})


def test_describes_the_items_that_were_uploaded(dataset, items, store):
    """
    The manifest names every item with its size and digests, the label, and what it holds.
    """
    put_faces(items)

    ingest.run(dataset())

    found = manifest(store)
    assert (found.name, found.licence, found.labels) == ("Faces", "CC0-1.0", (SPEC,))
    assert [item.key for item in found.items] == ["a", "b"]
    for item in found.items:
        assert (item.height, item.width) == (2, 3)
        for file in (item.image, item.labels["segmentation"]):
            data = store.get(f"acme/datasets/made/{file.path}")
            assert hashlib.sha256(data).hexdigest() == file.sha256
    counted = found.statistics["segmentation"]
    assert counted.class_pixel_share == {"background": 8 / 11, "face": 3 / 11}
    assert counted.images_per_class == {"background": 2, "face": 1}


def test_unpacks_an_archive_into_items(dataset, upload, store):
    """
    A zip becomes the same dataset as its files one by one: RGB PNGs and grey masks, by key.
    """
    upload(
        {
            "set/images/B.jpg": encode_image(image(20), "jpg"),
            "set/masks/B.png": FACES["b"][1],
            "set/images/a.png": encode_png(image(10)[..., 0]),
            "set/masks/a.png": FACES["a"][1],
        }
    )

    ingest.run(dataset("up"))

    assert kept(store) == [
        "items/a.mask.png",
        "items/a.png",
        "items/b.mask.png",
        "items/b.png",
        "manifest.json",
        "previews/sheet.png",
    ]
    for item in manifest(store).items:
        pixels = decode_image(store.get(f"acme/datasets/made/{item.image.path}"), "i")
        assert (pixels == FACES[item.key][0]).all()
        mask_path = item.labels["segmentation"].path
        ids = decode_mask(store.get(f"acme/datasets/made/{mask_path}"), "m", SPEC, (2, 3))
        assert encode_png(ids) == FACES[item.key][1]


@pytest.fixture
def left(moto):
    """
    Leaves files in a folder of a user's own bucket; an ingest job may read there.
    """
    client = s3_client(moto)

    def leave(folder, files):
        for name, content in files.items():
            client.put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=content)
        settings = s3_settings(moto, import_prefixes=f"s3://{BUCKET}/{folder}")
        return f"s3://{BUCKET}/{folder}/", Imports(settings, 10**9)

    yield leave
    client.close()


def test_a_folder_of_a_bucket_is_read_as_its_archive_would_be(dataset, left, upload, store):
    """
    Many objects below a prefix become, without a copy on disk, what a zip of them becomes.
    """
    files = {f"images/{key}.png": encode_png(pixels) for key, (pixels, _) in FACES.items()} | {
        f"masks/{key}.png": ids for key, (_, ids) in FACES.items()
    }
    upload(files)
    ingest.run(dataset("up"))
    expected = {key: store.get(f"acme/datasets/made/{key}") for key in kept(store)}
    for key in expected:
        store.delete(f"acme/datasets/made/{key}")
    address, imports = left("ingested/faces", {**files, "": b"", "images/": b""})
    context = dataset(source=address)

    ingest.run(replace(context, imports=imports))

    assert {key: store.get(f"acme/datasets/made/{key}") for key in kept(store)} == expected
    assert [path.name for path in context.scratch.iterdir()] == ["up"]  # The zip alone.
    assert context.report[0] == ("listing", 0, 0, "objects")


def test_faults_in_a_folder_of_a_bucket_are_listed(dataset, left, store):
    """
    Its bad files are named by their keys below the prefix, and nothing is kept.
    """
    good = {"images/a.png": encode_png(image(10)), "masks/a.png": FACES["a"][1]}
    bad = {"images/b.png": b"no picture", "masks/b.png": FACES["b"][1]}
    address, imports = left("ingested/bad", good | bad)

    error = refusal(replace(dataset(source=address), imports=imports))

    assert error.code == "invalid_dataset"
    assert [entry["file"] for entry in error.details["files"]] == ["images/b.png"]
    assert kept(store) == []


def test_a_folder_of_a_bucket_must_be_allowed(dataset):
    """
    A worker that was allowed no prefix lists nothing, and names the setting.
    """
    error = refusal(dataset(source="s3://sets/faces/"))

    assert error.code == "source_not_allowed"
    assert "HANDSOFF_IMPORT_PREFIXES" in error.message


@pytest.mark.parametrize("upload_id", [None, "up"])
def test_reports_how_far_it_is(dataset, items, upload, upload_id):
    """
    Every image is a step of the progress, and a moment at which the job can be stopped.
    """
    put_faces(items)
    upload(
        {f"images/{key}.png": encode_png(pixels) for key, (pixels, _) in FACES.items()}
        | {f"masks/{key}.png": ids for key, (_, ids) in FACES.items()}
    )
    context = dataset(upload_id)

    ingest.run(context)

    phase, total = ("unpacking", 0) if upload_id else ("checking", 2)
    assert context.report == [(phase, 0, total, "images"), (phase, 1, total, "images")]


def refusal(context):
    """
    What the dataset is refused with.
    """
    with pytest.raises(TaskFailed) as caught:
        ingest.run(context)
    return caught.value


def test_every_bad_item_is_named(dataset, items, store):
    """
    Missing and faulty files of any number come in one refusal; the user's items stay.
    """
    put_faces(items)
    items(c=encode_png(image(1)), d_mask=mask([0]), b_mask=mask([0, 0, 2], [0] * 3))

    error = refusal(dataset())

    assert error.code == "invalid_dataset"
    assert error.message.startswith("3 problems in the dataset; the first: b (mask): holds 2")
    assert [entry["file"] for entry in error.details["files"]] == ["b (mask)", "c", "d"]
    assert error.details["files"][1]["problem"] == "has no mask; upload the item again"
    assert error.details["complete"]
    assert "manifest.json" not in kept(store)
    assert len(kept(store)) == 6


def test_details_can_be_stored(dataset, items):
    """
    What the refusal says goes into the job's record as JSON.
    """
    items(a=b"text", a_mask=b"")

    assert json.loads(json.dumps(refusal(dataset()).details))["files"][0]["file"] == "a"


def test_an_empty_dataset_is_refused(dataset):
    """
    A dataset without items is no dataset.
    """
    assert "the dataset is empty; upload items" in refusal(dataset()).message


def test_a_bad_archive_leaves_nothing(dataset, upload, store):
    """
    If one file of a zip is bad, none of its items stay, nor of an attempt that died before.
    """
    store.put("acme/datasets/made/items/old.png", b"of an attempt that died")
    upload(
        {
            "images/a.png": encode_png(image(10)),
            "masks/a.png": FACES["a"][1],
            "images/z.png": encode_png(image(10)),
            "masks/z.png": mask([0, 0]),
        }
    )

    error = refusal(dataset("up"))

    assert [entry["file"] for entry in error.details["files"]] == ["masks/z.png"]
    assert kept(store) == []


def test_a_missing_upload_is_told(dataset):
    """
    An upload that never received its bytes is named.
    """
    error = refusal(dataset("up"))

    assert error.code == "upload_missing"
    assert "upload up holds no bytes" in error.message


def test_a_dataset_that_is_ready_stays_as_it_is(dataset, store):
    """
    A job that comes twice finds its work done.
    """
    store.put("acme/datasets/made/manifest.json", b"{}")

    ingest.run(dataset())

    assert store.get("acme/datasets/made/manifest.json") == b"{}"


def test_a_lost_lease_stops_the_work_and_removes_nothing(dataset, upload, store):
    """
    When another worker owns the step, its items are left alone.
    """
    upload({"images/a.png": encode_png(image(10)), "masks/a.png": FACES["a"][1]})
    store.put("acme/datasets/made/items/a.png", b"of the other worker")

    with pytest.raises(LeaseLost):
        ingest.run(dataset("up", Reports(stop=LeaseLost())))

    assert kept(store) == ["items/a.png"]


def test_a_late_worker_deletes_nothing(dataset, upload, store):
    """
    A worker that finds a fault after it lost its lease leaves the other's items alone.
    """

    def lost():
        raise LeaseLost

    upload({"images/a.png": b"damaged on this worker's way", "masks/a.png": FACES["a"][1]})
    store.put("acme/datasets/made/items/a.png", b"of the other worker")

    with pytest.raises(LeaseLost):
        ingest.run(replace(dataset("up"), fence=lost))

    assert kept(store) == ["items/a.png"]


def test_running_twice_gives_the_same_manifest(dataset, upload, store):
    """
    What an attempt leaves when it dies before its end is overwritten with the same.
    """
    upload({"images/a.png": encode_png(image(10)), "masks/a.png": FACES["a"][1]})
    ingest.run(dataset("up"))
    first = store.get("acme/datasets/made/manifest.json")
    store.delete("acme/datasets/made/manifest.json")

    ingest.run(dataset("up"))

    assert store.get("acme/datasets/made/manifest.json") == first

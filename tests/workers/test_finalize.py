import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import generations
from support.contexts import task_context

from models.data.manifest import GenerationManifest
from models.data.overview import labelled_overview
from workers import keys
from workers.errors import Retryable, TaskFailed
from workers.params import GenerationParams
from workers.tasks import finalize

HOME = "acme/generations/made"


@pytest.fixture
def generation(store, tmp_path):
    """
    Stores the shards of a generation, and makes the context of its last step.
    """

    def make(count=7, image_format="png", planned=None, licence="", **plan):
        folder = tmp_path / "made" / image_format
        fragments = generations.write_generation(folder, count, image_format)
        for index, fragment in enumerate(fragments):
            store.put_file(f"{HOME}/{fragment.path}", folder / fragment.path)
            document = fragment.model_dump_json().encode()
            store.put(f"{HOME}/{keys.fragment(index)}", document)
        plan |= {"count": planned or count, "shard_size": 3, "psi": 0.7, "seed": 5, "batch": 4}
        store.put(f"{HOME}/plan.json", json.dumps(plan).encode())
        card = {
            "label": generations.SPEC.model_dump(),
            "ensemble": {"path": "attempts/1/ensemble.safetensors", "sha256": "e" * 64},
            "licence": "CC0-1.0",
            "lineage": {"generator": {"sha256": "f" * 64}},
            "throughput": {},
        }
        store.put("acme/label-generators/lbl_1/card.json", json.dumps(card).encode())
        params = GenerationParams(
            label_generator_ids=("lbl_1",), count=count, image_format=image_format
        )
        return task_context(
            store,
            tmp_path / "scratch",
            "generate",
            "generations",
            params,
            name="Faces",
            licence=licence,
        )

    return make


def manifest(store):
    """
    The manifest that was written.
    """
    return GenerationManifest.model_validate_json(store.get(f"{HOME}/manifest.json"))


def test_adds_up_what_the_shards_hold(generation, store):
    """
    The manifest counts samples and candidates, lists every shard, and keeps the plan.
    """
    context = generation(versions={"torch": "2.13.0"})

    finalize.run(context)

    found = manifest(store)
    assert (found.samples, found.candidates) == (7, 10)
    assert found.dropped_share == pytest.approx(0.3)
    assert [shard.samples for shard in found.shards] == [3, 3, 1]
    assert (found.psi, found.seed, found.versions) == (0.7, 5, {"torch": "2.13.0"})
    assert found.plan["batch"] == 4
    assert found.label == generations.SPEC
    assert set(found.statistics.class_pixel_share) == set(generations.SPEC.classes)
    assert context.report == [("adding up", done, 3, "shards") for done in range(3)]


def test_every_file_is_as_the_manifest_says(generation, store):
    """
    Size and SHA-256 of the shards and of all other files are those of the manifest, and nothing
    lies in the generation that it does not know, but for what the job left on its way.
    """
    finalize.run(generation())

    found = manifest(store)
    described = {entry.path: entry for entry in (*found.files, *found.shards)}
    for path, entry in described.items():
        data = store.get(f"{HOME}/{path}")
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)
    stored = {entry.key.removeprefix(f"{HOME}/") for entry in store.list(f"{HOME}/")}
    on_the_way = {"plan.json", *(keys.fragment(index) for index in range(3))}
    assert stored == {*described, *on_the_way, "manifest.json"}


def test_lineage_leads_back_to_the_sources(generation, store):
    """
    The manifest names the label generator by id and digest, and all that its card names.
    """
    finalize.run(generation())

    (made_with,) = manifest(store).lineage["label_generators"].items()
    assert made_with[0] == "lbl_1"
    assert made_with[1]["sha256"] == "e" * 64
    assert made_with[1]["generator"] == {"sha256": "f" * 64}


@pytest.mark.parametrize(("asked", "found"), [("", "CC0-1.0"), ("MIT", "MIT")])
def test_the_licence_is_the_users_or_inherited(generation, store, asked, found):
    """
    A generation's own licence counts; without one, the label generator's.
    """
    finalize.run(generation(licence=asked))

    assert manifest(store).licence == found
    assert f"license: {found.lower()}\n" in store.get(f"{HOME}/README.md").decode()


@pytest.mark.parametrize("image_format", ["png", "webp"])
def test_the_overview_shows_the_first_samples(generation, store, image_format):
    """
    The overview holds the samples of the first shard, beside their labels.
    """
    finalize.run(generation(image_format=image_format))

    sheet = np.asarray(Image.open(io.BytesIO(store.get(f"{HOME}/previews/overview.png"))))
    pairs = [(image, [mask]) for image, mask in map(generations.content, range(3))]
    expected = labelled_overview(pairs, [generations.SPEC])
    assert sheet.shape == expected.shape
    if image_format == "png":
        np.testing.assert_array_equal(sheet, expected)


def test_the_table_has_every_sample(generation, store):
    """
    The table's rows are all samples, in order.
    """
    finalize.run(generation())

    table = pq.read_table(io.BytesIO(store.get(f"{HOME}/metadata.parquet")))
    assert table["index"].to_pylist() == list(range(7))


def test_running_again_gives_the_same_bytes(generation, store, tmp_path):
    """
    A step that died before the manifest is repeated to the byte, manifest and all.
    """
    context = generation()
    finalize.run(context)
    first = {entry.key: store.get(entry.key) for entry in store.list(f"{HOME}/")}
    store.delete(f"{HOME}/manifest.json")

    scratch = tmp_path / "another"
    scratch.mkdir()
    finalize.run(replace(context, scratch=scratch))

    assert {entry.key: store.get(entry.key) for entry in store.list(f"{HOME}/")} == first


def test_a_generation_that_is_ready_stays_as_it_is(generation, store):
    """
    A step that comes twice finds its work done.
    """
    context = generation()
    store.put(f"{HOME}/manifest.json", b"{}")

    finalize.run(context)

    assert store.get(f"{HOME}/manifest.json") == b"{}"


class TestRefusals:
    """
    A generation that is not whole never becomes ready.
    """

    def refused(self, context, store):
        with pytest.raises(TaskFailed) as caught:
            finalize.run(context)
        assert caught.value.code == "incomplete_generation"
        assert store.size(f"{HOME}/manifest.json") is None
        return caught.value.message

    def test_a_missing_shard(self, generation, store):
        """
        A shard that was described but is not there is named.
        """
        context = generation()
        store.delete(f"{HOME}/data/shard-000001.tar")

        assert "data/shard-000001.tar is not there" in self.refused(context, store)

    def test_a_shard_of_another_size(self, generation, store):
        """
        A shard that was cut short is named with both sizes.
        """
        context = generation()
        store.put(f"{HOME}/data/shard-000002.tar", b"half")

        assert "data/shard-000002.tar has 4 bytes; 4,096 were" in self.refused(context, store)

    def test_a_shard_of_other_bytes(self, generation, store):
        """
        A bit that turned on its disk, long after the shard was written, keeps the generation from
        becoming ready; the step may be tried again, for the bytes may have been hurt on their way.
        """
        context = generation()
        key = f"{HOME}/data/shard-000002.tar"
        data = bytearray(store.get(key))
        data[700] ^= 1
        store.put(key, bytes(data))

        with pytest.raises(Retryable, match=r"shard-000002\.tar is not what was meant"):
            finalize.run(context)
        assert store.size(f"{HOME}/manifest.json") is None

    def test_a_missing_fragment(self, generation, store):
        """
        A shard that nobody described is missing.
        """
        assert "shards/000003.json is not there" in self.refused(generation(planned=10), store)

    def test_a_label_generator_that_was_deleted(self, generation, store):
        """
        Without its label generator nobody can say what the labels mean.
        """
        context = generation()
        store.delete("acme/label-generators/lbl_1/card.json")

        assert "its label generator lbl_1 is not there" in self.refused(context, store)

    def test_too_few_samples(self, generation, store):
        """
        The samples must be as many as were planned.
        """
        message = self.refused(generation(count=7, planned=8), store)

        assert "its shards hold 7 samples; 8 were planned" in message

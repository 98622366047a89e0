import hashlib
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from fakes import FakeStore
from PIL import Image
from safetensors.torch import load
from support.compute import SPEC, World
from support.networks import small_generator

from models.checkpoints.inspection import open_encoder
from models.data.images import decode_image
from models.data.manifest import GenerationManifest
from models.data.shards import read_shard
from models.errors import CheckpointError, InvalidImage
from models.inversion import prepared
from models.labels import SegmentationSpec
from models.outliers import outliers
from workers.errors import Retryable, TaskFailed
from workers.params import EvaluationParams, RegisterParams
from workers.runtime import Runtime
from workers.tasks import generate, plan, register, train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """
    A bucket in which everything was made once, from an upload to two evaluations.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("world"), Runtime("cpu"))
    world.upload_generator()
    world.register(name="Tiny", licence="CC0-1.0")
    world.dataset("dst_1")
    world.dataset("dst_2", n=2, first=10)
    world.dataset("dst_3", n=2, first=20, size=(32, 32))
    world.invert()
    world.train()
    world.generate()
    world.evaluate("evl_1", generation_id="gnn_1")
    world.evaluate("evl_2", dataset_id="dst_1")
    return world


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """
    A bucket with a label generator of a generator of three classes.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("conditional"), Runtime("cpu"))
    world.upload_generator(label_dim=3)
    world.register()
    world.dataset("dst_1", label_dim=3)
    world.invert()
    world.train()
    return world


@pytest.fixture
def world(tmp_path):
    """
    An empty bucket.
    """
    return World(FakeStore(), tmp_path, Runtime("cpu"))


def picture(world, path):
    """
    A stored picture's (height, width).
    """
    return np.asarray(Image.open(io.BytesIO(world.store.get(f"acme/{path}")))).shape[:2]


def digest(world, path):
    """
    The sha256 of a stored file.
    """
    return hashlib.sha256(world.store.get(f"acme/{path}")).hexdigest()


def expected_codes(world, times):
    """
    What the registered encoder says of the dataset's images, in the registered generator.
    """
    encoder = open_encoder(world.folder / "upl_enc.pt").encoder
    keys = [image["key"] for image in world.document("inversions/inv_1/report.json")["images"]]
    files = [world.store.get(f"acme/datasets/dst_1/items/{key}.png") for key in keys]
    images = prepared([decode_image(file, "x") for file in files], keys, (16, 16))
    return encoder.encode(images, small_generator(), times)


class TestRegister:
    def test_describes_the_generator(self, made):
        """
        The card says what the generator is, and its digest is that of the stored file.
        """
        card = made.document("generators/gen_1/card.json")

        assert card["sha256"] == digest(made, "generators/gen_1/generator.safetensors")
        assert (card["image_shape"], card["num_ws"], card["w_dim"]) == ([3, 16, 16], 6, 8)
        assert (card["family"], card["name"], card["licence"]) == ("handsoff", "Tiny", "CC0-1.0")
        assert card["parameters"] == sum(p.numel() for p in small_generator().parameters())
        assert min(picture(made, f"generators/gen_1/{card['preview']}")) > 8 * 16

    def test_says_what_was_read(self, made):
        """
        The card has the digest of the file as it was uploaded, and all that was found out.
        """
        card = made.document("generators/gen_1/card.json")

        upload = made.store.get("acme/uploads/upl_1/content")
        expected = {"container": "safetensors", "bytes": len(upload)}
        assert card["original"] == {**expected, "sha256": hashlib.sha256(upload).hexdigest()}
        assert card["notes"] == {"inferred": [], "estimated": [], "ignored": []}
        assert (card["inert"], card["label_dim"]) == ([], 0)
        assert card["channels"] == {"4": 6, "8": 5, "16": 4}

    def test_refuses_other_files(self, world):
        """
        An upload that is no checkpoint fails as one; an upload without bytes says so.
        """
        world.upload("upl_1", b"no checkpoint at all")

        with pytest.raises(CheckpointError):
            world.register()
        with pytest.raises(TaskFailed, match="upl_2 holds no bytes") as failure:
            world.register(upload_id="upl_2")
        assert failure.value.code == "upload_missing"

    def test_grey_generators_are_refused(self, world):
        """
        Labels are made for colour images; a grey generator says how many channels it has.
        """
        world.upload_generator(channels=1)

        with pytest.raises(TaskFailed, match="have 1 channels; RGB is needed") as failure:
            world.register()
        assert failure.value.code == "unsupported_generator"

    def test_addresses_need_an_importer(self, world):
        """
        A worker that was allowed no prefix fetches nothing, and names the setting.
        """
        params = RegisterParams(source="s3://models/gan.pkl")
        context = world.context("register", "generators", "gen_1", params)

        with pytest.raises(TaskFailed, match="HANDSOFF_IMPORT_PREFIXES") as failure:
            register.run(context)
        assert failure.value.code == "source_not_allowed"


class TestRegisterEncoder:
    def test_describes_the_encoder(self, world):
        """
        The card says what the encoder is, and its digest is that of the stored file.
        """
        world.upload_encoder()
        world.register_encoder()

        card = world.document("encoders/enc_1/card.json")
        assert card["sha256"] == digest(world, "encoders/enc_1/encoder.safetensors")
        assert (card["kind"], card["num_ws"], card["w_dim"]) == ("restyle-psp", 6, 8)
        assert card["generator"] == {"image_shape": [3, 16, 16], "num_ws": 6}
        assert card["original"]["sha256"] == digest(world, "uploads/upl_enc/content")

    def test_the_generator_inside_can_be_registered(self, world):
        """
        The same upload, registered as a generator, gives the decoder with a preview.
        """
        world.upload_encoder()
        world.register(upload_id="upl_enc")

        card = world.document("generators/gen_1/card.json")
        assert (card["image_shape"], card["num_ws"]) == ([3, 16, 16], 6)
        assert card["original"]["sha256"] == digest(world, "uploads/upl_enc/content")

    def test_refuses_generators(self, world):
        """
        What is no encoder fails as a checkpoint that is none.
        """
        world.upload_generator("upl_enc")

        with pytest.raises(CheckpointError):
            world.register_encoder()


class TestInvert:
    def test_reports_every_image(self, made):
        """
        Each image of the dataset has its figures; the summary is their mean.
        """
        report = made.document("inversions/inv_1/report.json")

        assert [image["key"] for image in report["images"]] == ["image-0", "image-1", "image-2"]
        psnr = np.mean([image["psnr"] for image in report["images"]])
        assert report["summary"]["psnr"] == pytest.approx(psnr)
        assert report["distance"]["name"] == "perceptual"
        assert (report["generator_id"], report["dataset_id"]) == ("gen_1", "dst_1")
        figures = report["images"][0]
        assert figures["ssim"] <= 1
        assert figures["latent_distance"] > 0
        assert 0 <= figures["iterations"] <= 3

    def test_flags_what_stands_out(self, made):
        """
        An image is an outlier by its distance among all of them; the summary names those.
        """
        report = made.document("inversions/inv_1/report.json")

        flagged = [image["key"] for image in report["images"] if image["outlier"]]
        assert report["outliers"] == flagged
        places = outliers([image["distance"] for image in report["images"]])
        assert flagged == [f"image-{place}" for place in places]

    def test_keeps_the_latents_in_the_datasets_order(self, made):
        """
        The named file holds one code per image, its digest is the report's.
        """
        report = made.document("inversions/inv_1/report.json")
        path = f"inversions/inv_1/{report['latents']['path']}"

        assert report["latents"]["path"] == "attempts/1/latents.safetensors"
        assert digest(made, path) == report["latents"]["sha256"]
        assert load(made.store.get(f"acme/{path}"))["latents"].shape == (3, 6, 8)
        assert picture(made, f"inversions/inv_1/{report['overview']}")

    def test_takes_latents_from_an_upload(self, made):
        """
        Latents found elsewhere are measured and kept, not searched for.
        """
        found = made.document("inversions/inv_1/report.json")
        latents = made.store.get(f"acme/inversions/inv_1/{found['latents']['path']}")
        made.upload("upl_latents", latents)

        made.invert("inv_2", attempt=2, latents_upload_id="upl_latents")

        report = made.document("inversions/inv_2/report.json")
        kept = made.store.get(f"acme/inversions/inv_2/{report['latents']['path']}")
        assert load(kept)["latents"].equal(load(latents)["latents"])
        assert report["latents"]["path"].startswith("attempts/2/")
        expected = pytest.approx(found["summary"]["mse"], rel=1e-3)
        assert report["summary"]["mse"] == expected
        assert report["start"] == {"from": "latents", "mapped_from_z": False}

    def test_starts_from_an_encoder(self, made):
        """
        Without a step of optimisation the latents are the encoder's own: those of its whole
        loop, as often as is asked for. The report names the encoder.
        """
        made.upload_encoder()
        made.register_encoder()
        found = {}
        for times in (1, 3):
            name = f"inv_enc_{times}"
            made.invert(name, encoder_id="enc_1", steps=0, restyle_iterations=times)
            report = made.document(f"inversions/{name}/report.json")
            stored = made.store.get(f"acme/inversions/{name}/{report['latents']['path']}")
            found[times] = load(stored)["latents"]

        card = made.document("encoders/enc_1/card.json")
        start = {"from": "restyle-psp", "encoder_id": "enc_1", "sha256": card["sha256"]}
        assert report["start"] == start
        expected = expected_codes(made, times=3)
        torch.testing.assert_close(found[3], expected, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(found[1], expected, rtol=1e-3, atol=1e-3)

    def test_an_encoder_must_fit(self, world):
        """
        An encoder of fewer codes than the generator takes is refused with both numbers.
        """
        world.upload_generator(size=32)
        world.register()
        world.upload_encoder()
        world.register_encoder()
        world.dataset("dst_1", size=(32, 32))

        with pytest.raises(TaskFailed, match="gives 6 codes, the generator takes 8") as failure:
            world.invert(encoder_id="enc_1")
        assert failure.value.code == "encoder_does_not_fit"

    def test_names_an_image_of_another_shape(self, made):
        """
        An image that is not framed like the generator's fails with its key.
        """
        generator = made.document("generators/gen_1/card.json")
        assert generator["image_shape"] == [3, 16, 16]
        other = World(FakeStore(), made.folder / "other", made.runtime)
        other.folder.mkdir(exist_ok=True)
        other.upload_generator()
        other.register()
        other.dataset("dst_1", size=(16, 32))

        with pytest.raises(InvalidImage, match="image-0"):
            other.invert()

    def test_waits_for_no_parent(self, world):
        """
        A parent that is not ready is a failure that names it.
        """
        world.upload_generator()
        world.register()

        with pytest.raises(TaskFailed, match="dst_1 is not ready") as failure:
            world.invert()
        assert failure.value.code == "parent_not_ready"


class TestTrain:
    def test_carries_the_licences(self, made):
        """
        The licence of what it was made of holds for a label generator too.
        """
        assert made.document("label-generators/lbl_1/card.json")["licence"] == "CC0-1.0"

    def test_describes_the_label_generator(self, made):
        """
        The card names the ensemble by digest, what it learnt from, and what its scores are.
        """
        card = made.document("label-generators/lbl_1/card.json")

        assert (
            digest(made, f"label-generators/lbl_1/{card['ensemble']['path']}")
            == (card["ensemble"]["sha256"])
        )
        assert card["label"]["classes"] == list(SPEC.classes)
        assert len(card["calibration"]["quantiles"]) == 101
        assert card["calibration"]["samples"] >= 100
        assert card["throughput"]["images_per_second"] > 0
        assert card["throughput"]["device"] == "cpu"
        assert card["training"]["config"]["members"] == 2
        assert picture(made, f"label-generators/lbl_1/{card['preview']}")

    def test_knows_where_it_comes_from(self, made):
        """
        Parents are there by id and by the digest of what they stood for.
        """
        card = made.document("label-generators/lbl_1/card.json")
        report = made.document("inversions/inv_1/report.json")
        generator = made.document("generators/gen_1/card.json")

        assert card["lineage"]["generator"] == {"id": "gen_1", "sha256": generator["sha256"]}
        assert card["lineage"]["inversion"]["sha256"] == report["latents"]["sha256"]
        manifest = made.store.get("acme/datasets/dst_1/manifest.json")
        expected = {"id": "dst_1", "sha256": hashlib.sha256(manifest).hexdigest()}
        assert card["lineage"]["dataset"] == expected

    def test_a_second_attempt_finds_the_first(self, made):
        """
        Where the card is there, nothing is done again.
        """
        before = dict(made.store.objects)
        context = made.context(
            "train", "label-generators", "lbl_1", EvaluationParams.model_construct(), attempt=2
        )

        train.run(context)

        assert made.store.objects == before


class TestGeneration:
    def test_is_whole(self, made):
        """
        Seven samples in three shards, each readable, each the digest that the manifest says.
        """
        found = GenerationManifest.model_validate(made.document("generations/gnn_1/manifest.json"))

        assert [shard.samples for shard in found.shards] == [3, 3, 1]
        for shard in found.shards:
            data = made.store.get(f"acme/generations/gnn_1/{shard.path}")
            assert hashlib.sha256(data).hexdigest() == shard.sha256
            assert len(list(read_shard(io.BytesIO(data)))) == shard.samples
        assert found.lineage["label_generators"]["lbl_1"]["generator"]["id"] == "gen_1"

    def test_the_plan_says_how_it_was_computed(self, made):
        """
        Batch, threads, device, threshold and versions are kept with the generation.
        """
        found = made.document("generations/gnn_1/plan.json")
        card = made.document("label-generators/lbl_1/card.json")

        assert (found["shards"], found["count"], found["device"]) == (3, 7, "cpu")
        assert found["batch"] >= 1 <= found["threads"]
        limit = pytest.approx(card["calibration"]["quantiles"][90])
        assert found["thresholds"] == {"segmentation": limit}
        assert {"torch", "numpy", "pillow"} <= set(found["versions"])

    def test_shards_are_the_same_from_another_worker(self, made, tmp_path):
        """
        A worker that has never seen the networks makes the same bytes, shard by shard, in any
        order; and a shard that is there is not made again.
        """
        twin = World(FakeStore(), tmp_path, Runtime("cpu"))
        twin.store.objects = {
            key: data for key, data in made.store.objects.items() if "/generations/" not in key
        }
        plan.run(twin.generation())
        for index in (2, 0, 1):
            generate.run(twin.generation(index=index))

        for index in range(3):
            path = f"acme/generations/gnn_1/data/shard-{index:06d}.tar"
            assert twin.store.get(path) == made.store.get(path)
        twin.store.put("acme/generations/gnn_1/data/shard-000000.tar", b"kept")
        generate.run(twin.generation(index=0, attempt=2))
        assert twin.store.get("acme/generations/gnn_1/data/shard-000000.tar") == b"kept"

    def test_a_plan_is_made_once(self, made):
        """
        A second attempt at planning keeps the first plan, even if the card has changed since.
        """
        before = made.store.get("acme/generations/gnn_1/plan.json")

        assert plan.run(made.generation(attempt=2, seed=99)) == 3
        assert made.store.get("acme/generations/gnn_1/plan.json") == before

    def test_another_truncation_is_calibrated_anew(self, made):
        """
        Quantiles hold for one psi; a generation with another one measures its own.
        """
        plan.run(made.generation("gnn_psi", psi=0.5))

        own = made.document("generations/gnn_psi/plan.json")["thresholds"]["segmentation"]
        card = made.document("label-generators/lbl_1/card.json")["calibration"]
        assert own != pytest.approx(card["quantiles"][90])

    def test_a_class_can_be_chosen(self, conditional):
        """
        Every sample says its class: the one that was asked for, or all of them; the table too.
        """
        for name, labels, expected in (("gnn_two", 2, {2}), ("gnn_all", None, {0, 1, 2})):
            conditional.generate(name, labels=labels, count=12)
            place = f"acme/generations/{name}"
            table = pq.read_table(io.BytesIO(conditional.store.get(f"{place}/metadata.parquet")))
            assert set(table["label"].to_pylist()) == expected
            shard = io.BytesIO(conditional.store.get(f"{place}/data/shard-000000.tar"))
            assert json.loads(next(iter(read_shard(shard))).members["json"])["label"] in expected
            card = conditional.store.get(f"{place}/README.md").decode()
            assert "- name: label\n" in card

    def test_other_classes_are_calibrated_anew(self, conditional):
        """
        A card's quantiles hold for all classes alike; another mix measures its own.
        """
        card = conditional.document("label-generators/lbl_1/card.json")["calibration"]
        thresholds = {}
        for name, labels in (("gnn_even", [2.0, 2.0, 2.0]), ("gnn_first", 0)):
            plan.run(conditional.generation(name, labels=labels))
            found = conditional.document(f"generations/{name}/plan.json")
            thresholds[name] = found["thresholds"]["segmentation"]

        assert card["class_shares"] == pytest.approx([1 / 3] * 3)
        assert thresholds["gnn_even"] == pytest.approx(card["quantiles"][90])
        assert thresholds["gnn_first"] != pytest.approx(card["quantiles"][90])
        assert found["class_shares"] == [1.0, 0.0, 0.0]

    def test_classes_that_are_none_end_the_plan(self, made):
        """
        Where the service could not know yet, the first step says that there are no classes.
        """
        with pytest.raises(TaskFailed, match="labels: the generator is unconditional") as failure:
            plan.run(made.generation("gnn_labels", labels=1))
        assert failure.value.code == "labels_do_not_fit"

    def test_dropping_nothing_needs_no_threshold(self, made):
        """
        With a drop of 0 every candidate is a sample.
        """
        made.generate("gnn_all", uncertainty={"drop": 0.0})

        found = made.document("generations/gnn_all/manifest.json")
        assert (found["samples"], found["candidates"]) == (7, 7)

    def test_another_kind_of_device_leaves_the_shard_to_others(self, made):
        """
        A shard planned for a GPU would come out different here, so it goes back to the queue.
        """
        context = made.generation("gnn_gpu")
        plan.run(context)
        document = made.document("generations/gnn_gpu/plan.json")
        key = "acme/generations/gnn_gpu/plan.json"
        made.store.put(key, json.dumps({**document, "device": "cuda"}).encode())

        with pytest.raises(Retryable, match="planned for cuda, this worker computes on cpu"):
            generate.run(context)


class TestEvaluate:
    @pytest.mark.parametrize(
        ("evaluation", "images", "source"),
        [("evl_1", 7, "generation_id"), ("evl_2", 3, "dataset_id")],
    )
    def test_reports_how_the_network_did(self, made, evaluation, images, source):
        """
        What it was trained on, every class's IoU, and a matrix of all test pixels.
        """
        report = made.document(f"evaluations/{evaluation}/report.json")

        assert report["trained_on"]["images"] == images
        assert report["trained_on"][source] is not None
        assert set(report["per_class_iou"]) == set(SPEC.classes)
        assert report["miou"] == pytest.approx(np.mean(list(report["per_class_iou"].values())))
        assert np.sum(report["confusion"]) == 2 * 32 * 32
        assert report["recipe"]["steps"] == 4

    def test_refuses_other_classes(self, made):
        """
        A test dataset with other classes cannot be compared; both lists are shown.
        """
        made.dataset("dst_4", specs=(SegmentationSpec(classes=("a", "b")),))

        with pytest.raises(
            TaskFailed, match=r"dst_2 has the classes dark, red; .* a, b"
        ) as failure:
            made.evaluate("evl_3", dataset_id="dst_4")
        assert failure.value.code == "labels_differ"

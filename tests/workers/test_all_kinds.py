"""Masks, keypoints and depth through all compute tasks: alone, and together on one image."""

import io
import json
from hashlib import sha256

import numpy as np
import pyarrow.parquet as pq
import pytest
from fakes import FakeStore
from support.compute import ALL_KINDS, DEPTH, POINTS, SPEC, World

from models.data.images import decode_image, encode_png
from models.data.kinds import kind_of
from models.data.manifest import GenerationManifest
from models.data.ranks import kept_by_rank
from models.data.sample import labelled_of
from models.data.shards import read_shard
from models.labels import DepthSpec, KeypointsSpec
from workers.errors import TaskFailed
from workers.runtime import Runtime
from workers.tasks import plan

IDS = {"segmentation": "lbl_1", "keypoints": "lbl_2", "depth": "lbl_3"}
EVERY = tuple(IDS.values())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """
    A bucket with a dataset of all kinds, a label generator of each, and a generation with all.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("world"), Runtime("cpu"))
    world.upload_generator()
    world.register()
    world.dataset("dst_1", specs=ALL_KINDS)
    world.dataset("dst_2", n=2, first=10, specs=ALL_KINDS)
    world.dataset("dst_3", n=2, first=20, specs=ALL_KINDS, size=(32, 32))
    world.invert()
    for kind, each in IDS.items():
        world.train(each, kind)
    world.generate(label_generator_ids=EVERY)
    return world


@pytest.fixture(scope="module")
def ranked(made):
    """
    The same with a generation of 64 samples of which half are too uncertain, by the authors' ranks.
    """
    made.generate(
        "gnn_paper",
        label_generator_ids=("lbl_1", "lbl_3"),
        count=64,
        shard_size=40,
        uncertainty={"mode": "paper", "drop": 0.5},
    )
    return made


def manifest(world, generation="gnn_1"):
    """
    The manifest of a generation.
    """
    document = world.document(f"generations/{generation}/manifest.json")
    return GenerationManifest.model_validate(document)


def samples(world, generation="gnn_1"):
    """
    All samples of a generation, as they are in its shards.
    """
    for shard in manifest(world, generation).shards:
        data = world.store.get(f"acme/generations/{generation}/{shard.path}")
        yield from read_shard(io.BytesIO(data))


def table(world, generation="gnn_1"):
    """
    The rows of a generation's metadata.parquet.
    """
    data = world.store.get(f"acme/generations/{generation}/metadata.parquet")
    return pq.read_table(io.BytesIO(data)).to_pylist()


def put(world, path, document):
    """
    Write a JSON document of the tenant's.
    """
    world.store.put(f"acme/{path}", json.dumps(document).encode())


def invert_as_before(world, inversion, dataset):
    """
    An inversion of another dataset of the same images, with the latents of the first.
    """
    report = world.document("inversions/inv_1/report.json")
    latents = world.store.get(f"acme/inversions/inv_1/{report['latents']['path']}")
    world.store.put(f"acme/inversions/{inversion}/{report['latents']['path']}", latents)
    put(world, f"inversions/{inversion}/report.json", {**report, "dataset_id": dataset})


def double(world, dataset):
    """
    Enlarge the images of a dataset, and move the points on them along.
    """
    home = f"acme/datasets/{dataset}"
    manifest = world.document(f"datasets/{dataset}/manifest.json")
    for item in manifest["items"]:
        files = item["image"], item["labels"]["keypoints"]
        image, points = (f"{home}/{file['path']}" for file in files)
        pixels = decode_image(world.store.get(image), "x").repeat(2, axis=0).repeat(2, axis=1)
        found = kind_of(POINTS).decode(world.store.get(points), "x", (16, 16))
        found[:, :2] = 2 * found[:, :2] + 0.5  # A pixel's centre lies between those of its four.
        written = encode_png(pixels), kind_of(POINTS).encode(found)
        for file, data in zip(files, written, strict=True):
            world.store.put(f"{home}/{file['path']}", data)
            file["sha256"] = sha256(data).hexdigest()
    world.store.put(f"{home}/manifest.json", json.dumps(manifest).encode())


class TestTrain:
    @pytest.mark.parametrize("spec", ALL_KINDS, ids=lambda spec: spec.kind)
    def test_learns_the_kind_that_is_asked_for(self, made, spec):
        """
        The card says what the labels mean, how uncertain they are, and shows some.
        """
        home = f"label-generators/{IDS[spec.kind]}"
        card = made.document(f"{home}/card.json")

        assert card["label"] == spec.model_dump(mode="json")
        quantiles = card["calibration"]["quantiles"]
        assert quantiles == sorted(quantiles)
        assert quantiles[-1] > quantiles[0] >= 0
        assert made.store.size(f"acme/{home}/{card['preview']}") > 0

    def test_takes_the_first_where_none_is_asked_for(self, made):
        """
        Without a kind the dataset's first labels are learnt.
        """
        made.train("lbl_any")

        card = made.document("label-generators/lbl_any/card.json")
        assert card["label"]["kind"] == ALL_KINDS[0].kind

    def test_points_are_in_pixels_of_their_own_image(self, made):
        """
        The same images at twice their size, with the same points on them, teach the same.
        """
        made.dataset("dst_points", specs=(POINTS,))
        invert_as_before(made, "inv_points", "dst_points")
        made.train("lbl_small", inversion_id="inv_points")
        double(made, "dst_points")
        made.train("lbl_large", inversion_id="inv_points")

        small, large = (
            made.document(f"label-generators/{each}/card.json")["calibration"]["quantiles"]
            for each in ("lbl_small", "lbl_large")
        )
        assert small == pytest.approx(large, rel=1e-4)

    def test_names_a_kind_that_is_missing(self, made):
        """
        A dataset without the kind ends the training, in words that name both.
        """
        made.dataset("dst_masks")
        invert_as_before(made, "inv_masks", "dst_masks")

        with pytest.raises(
            TaskFailed, match="dst_masks has no depth, only segmentation; name another"
        ) as failure:
            made.train("lbl_none", "depth", inversion_id="inv_masks")
        assert failure.value.code == "kind_missing"


class TestGeneration:
    def test_every_sample_has_all_labels(self, made):
        """
        One file for each kind beside the image, each as its spec says.
        """
        found = [labelled_of(sample, ALL_KINDS) for sample in samples(made)]

        assert len(found) == 7
        for sample in found:
            mask, points, depth = (sample.labels[spec.kind] for spec in ALL_KINDS)
            assert sample.image.shape == (16, 16, 3)
            assert (mask.shape, points.shape, depth.shape) == ((16, 16), (2, 3), (16, 16))
            assert set(np.unique(mask)) <= {0, 1}
            assert 1.0 <= depth.min() <= depth.max() <= 2.0

    def test_each_kind_is_labelled_as_alone(self, made):
        """
        The images and labels are those that each label generator makes of them by itself.
        """
        keep_all = {"uncertainty": {"drop": 0.0}}
        made.generate("gnn_three", label_generator_ids=EVERY, **keep_all)
        together = [sample.members for sample in samples(made, "gnn_three")]

        for each, member in zip(EVERY, ("mask.png", "keypoints.json", "depth.npy"), strict=True):
            made.generate(f"gnn_{each}", label_generator_ids=(each,), **keep_all)
            alone = [sample.members for sample in samples(made, f"gnn_{each}")]
            for name in ("png", member):
                assert [one[name] for one in alone] == [one[name] for one in together]

    def test_the_manifest_describes_all_kinds(self, made):
        """
        Meanings, thresholds, figures and lineage of all are there, in the order asked for.
        """
        found = manifest(made)

        assert found.labels == ALL_KINDS
        assert found.plan["thresholds"].keys() == IDS.keys()
        assert set(found.lineage["label_generators"]) == set(EVERY)
        figures = found.statistics.by_field
        assert figures["class_pixel_share"].keys() == set(SPEC.classes)
        assert figures["keypoint_confidence"].keys() == set(POINTS.names)
        assert DEPTH.smallest <= figures["depth"]["mean"] <= DEPTH.largest

    def test_a_sample_passes_every_threshold(self, made):
        """
        What any label generator is too uncertain of is dropped.
        """
        limits = manifest(made).plan["thresholds"]

        for row in table(made):
            assert all(row["scores"][kind] <= limit for kind, limit in limits.items())
            assert row["score"] == row["scores"]["segmentation"]

    def test_the_card_explains_all_files(self, made):
        """
        The README names every file of a sample, and types it for Hugging Face.
        """
        text = made.store.get("acme/generations/gnn_1/README.md").decode()

        for member in ("mask.png", "keypoints.json", "depth.npy"):
            assert f"- `{member}`: " in text
            assert f"  - name: {member}\n" in text

    @pytest.mark.parametrize(
        ("others", "words"),
        [
            ({"lbl_other": {"generator_id": "gen_2"}}, "lbl_1 is of the generator gen_1, lbl_ot"),
            ({"lbl_other": {"label": SPEC.model_dump()}}, "lbl_1 and lbl_other both label seg"),
        ],
    )
    def test_label_generators_must_go_together(self, made, others, words):
        """
        Where the service could not know yet, the first step says what does not fit.
        """
        card = made.document("label-generators/lbl_2/card.json")
        for each, changes in others.items():
            put(made, f"label-generators/{each}/card.json", {**card, **changes})

        context = made.generation("gnn_mixed", label_generator_ids=("lbl_1", *others))
        with pytest.raises(TaskFailed, match=words) as failure:
            plan.run(context)
        assert failure.value.code == "label_generators_do_not_fit"


class TestPaperMode:
    def test_all_that_were_drawn_are_samples(self, ranked):
        """
        Nothing is left out and nothing drawn in its place.
        """
        found = manifest(ranked, "gnn_paper")

        assert (found.samples, found.candidates) == (64, 64)
        assert found.plan["thresholds"] == {}

    def test_ranks_are_those_of_the_whole_generation(self, ranked):
        """
        A sample is kept if each of its labels has one of the authors' ranks among all.
        """
        rows = table(ranked, "gnn_paper")

        expected = np.ones(64, dtype=bool)
        for kind in ("segmentation", "depth"):
            scores = np.array([row["scores"][kind] for row in rows])
            expected &= kept_by_rank(scores, 0.5)
        assert [row["kept"] for row in rows] == expected.tolist()

    def test_the_card_says_how_to_choose(self, ranked):
        """
        Readers are told which column marks what is kept.
        """
        text = ranked.store.get("acme/generations/gnn_paper/README.md").decode()

        assert "`kept` in `metadata.parquet` marks" in text

    def test_an_evaluation_learns_from_those_alone(self, ranked):
        """
        What is not marked is not trained on.
        """
        ranked.evaluate("evl_paper", generation_id="gnn_paper", kind="depth")

        report = ranked.document("evaluations/evl_paper/report.json")
        kept = sum(row["kept"] for row in table(ranked, "gnn_paper"))
        assert report["trained_on"]["images"] == kept

    def test_default_mode_has_no_such_column(self, made):
        """
        What default mode does not say is not there.
        """
        assert "kept" not in table(made)[0]


class TestEvaluate:
    @pytest.mark.parametrize(
        ("kind", "figures"),
        [
            ("segmentation", {"miou", "validation_miou", "per_class_iou", "confusion"}),
            ("keypoints", {"pck_0.1", "pck_0.05", "pck_0.02", "validation_pck_0.05"}),
            ("depth", {"mnmse", "rmse", "rmse_log", "abs_rel", "sq_rel", "validation_mnmse"}),
        ],
    )
    def test_each_kind_has_its_figures(self, made, kind, figures):
        """
        Data of several kinds can be judged by each, in that kind's figures.
        """
        name = f"evl_{kind}"
        made.evaluate(name, dataset_id="dst_1", kind=kind)

        report = made.document(f"evaluations/{name}/report.json")
        assert report["kind"] == kind
        assert figures <= report.keys()
        assert (report["trained_on"]["images"], report["test_images"]) == (3, 2)

    def test_masks_are_judged_where_nothing_is_asked_for(self, made):
        """
        Without a kind it is segmentation, if that is there.
        """
        made.evaluate("evl_any", dataset_id="dst_1")

        assert made.document("evaluations/evl_any/report.json")["kind"] == "segmentation"

    @pytest.mark.parametrize(
        ("specs", "kind", "code", "words"),
        [
            ((SPEC,), "depth", "kind_missing", "dst_x has no depth, only segmentation"),
            ((DepthSpec(unit="cm"),), None, "labels_differ", "dst_2 has the unit m; .* unit cm"),
            (
                (KeypointsSpec(names=("reddest", "other")),),
                None,
                "labels_differ",
                "dst_2 has the points reddest, darkest; .* the points reddest, other",
            ),
        ],
    )
    def test_refuses_what_cannot_be_compared(self, made, specs, kind, code, words):
        """
        A kind that is missing, another unit, other points: each is named.
        """
        made.dataset("dst_x", specs=specs)

        with pytest.raises(TaskFailed, match=words) as failure:
            made.evaluate("evl_x", dataset_id="dst_x", kind=kind)
        assert failure.value.code == code

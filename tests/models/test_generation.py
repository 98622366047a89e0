import io
import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.contexts import Reports
from support.networks import ALL_KINDS, SPEC, small_generator, small_label_generator

from models import drawing, generation
from models.data.images import decode_image
from models.data.manifest import SampleInfo
from models.data.sample import labelled_of
from models.data.shards import write_shard
from models.errors import UncertaintyRuleTooStrict
from models.generation import Plan
from models.latents import mapped
from models.progress import silent
from models.seeding import philox


def networks():
    """
    A small generator and label generators of its images: one.
    """
    generator = small_generator()
    return generator, [small_label_generator(generator)]


def all_kinds():
    """
    A small generator, and a label generator for each kind of label.
    """
    generator = small_generator()
    return generator, [
        small_label_generator(generator, spec=spec, seed=i) for i, spec in enumerate(ALL_KINDS)
    ]


def plan(**changes):
    """
    Ten samples in shards of four, three candidates at a time.
    """
    facts = {
        "count": 10,
        "shard_size": 4,
        "batch": 3,
        "threads": 1,
        "device": "cpu",
        "psi": 0.9,
        "seed": 5,
        "threshold": None,
    }
    return Plan(**{**facts, **changes})


def shard(index, report=silent, **changes):
    """
    The samples of a shard of that plan, with what is said of them.
    """
    return list(generation.fill_shard(*networks(), plan(**changes), index, report))


def median_score():
    """
    The score that half of the plan's first shard's candidates exceed.
    """
    return float(np.median([info.score for _, info in shard(0, count=40, shard_size=40)]))


class TestPlan:
    @given(st.integers(1, 10_000), st.integers(1, 3000))
    def test_shards_hold_every_sample_once(self, count, size):
        """
        All shards but the last are full, and together they hold the count.
        """
        made = plan(count=count, shard_size=size)
        sizes = [made.samples_of(s) for s in range(made.shards)]

        assert sum(sizes) == count
        assert all(s == size for s in sizes[:-1])
        assert 1 <= sizes[-1] <= size

    @pytest.mark.parametrize(("stored", "expected"), [(0.25, {"segmentation": 0.25}), (None, {})])
    def test_plans_of_one_kind_are_read(self, stored, expected):
        """
        A plan.json of the time when all labels were masks has one threshold, and names beside it.
        """
        old = {**plan().model_dump(), "threshold": stored, "thresholds": {"lbl_1": stored}}

        assert Plan.model_validate_json(json.dumps(old)).thresholds == expected
        again = Plan.model_validate_json(plan(threshold=stored).model_dump_json())
        assert again.thresholds == expected


class TestFillShard:
    def test_a_sample_is_what_its_numbers_say(self):
        """
        From seed, shard and candidate alone the image and its label can be drawn again.
        """
        generator, label_generators = networks()
        for sample, info in shard(1):
            stream = philox(info.seed, info.shard, info.candidate)
            ws = mapped(generator, [stream], info.psi)
            again = drawing.render(generator, label_generators, ws)
            image = np.asarray(Image.open(io.BytesIO(sample.members["png"])))
            mask = np.asarray(Image.open(io.BytesIO(sample.members["mask.png"])))

            assert np.abs(image.astype(int) - again.images[0]).max() <= 1
            assert (mask == again.labels[0].values[0].numpy()).mean() > 0.99
            assert info.score == pytest.approx(float(again.labels[0].scores[0]), abs=1e-4)

    def test_the_label_is_of_that_image(self):
        """
        What is said of a sample is true of its mask, and stands beside it.
        """
        for sample, info in shard(0):
            mask = np.asarray(Image.open(io.BytesIO(sample.members["mask.png"])))

            for index, name in enumerate(SPEC.classes):
                assert info.class_pixel_share[name] == pytest.approx((mask == index).mean())
            assert SampleInfo.model_validate_json(sample.members["json"]) == info

    def test_a_conditional_generators_samples_say_their_class(self):
        """
        `label` is the class that was drawn; samples of other generators have no such field.
        """
        generator = small_generator(label_dim=3)
        label_generator = small_label_generator(generator)
        made = plan(class_shares=(0.0, 0.5, 0.5), count=12, shard_size=12)

        found = list(generation.fill_shard(generator, [label_generator], made, 0, silent))

        assert {info.label for _, info in found} == {1, 2}
        for sample, info in found:
            assert json.loads(sample.members["json"])["label"] == info.label
        assert "label" not in json.loads(shard(0)[0][0].members["json"])

    def test_makes_the_same_bytes_again(self):
        """
        A shard made again is equal byte by byte.
        """
        one, again = shard(1), shard(1)

        assert [s.members for s, _ in one] == [s.members for s, _ in again]

    def test_shards_do_not_know_each_other(self):
        """
        Shards are numbered through, draw other latents each, and the last one may be shorter.
        """
        shards = [shard(i) for i in range(3)]

        assert [len(s) for s in shards] == [4, 4, 2]
        indices = [info.index for s in shards for _, info in s]
        assert indices == list(range(10))
        assert len({s.members["png"] for part in shards for s, _ in part}) == 10

    def test_too_uncertain_candidates_are_replaced(self):
        """
        Above the threshold a candidate is dropped and drawing goes on until the shard is full.
        """
        limit = median_score()

        kept = [info for _, info in shard(0, threshold=limit)]

        every = [info for _, info in shard(0, count=40, shard_size=40)]
        expected = [i.candidate for i in every if i.score <= limit][:4]
        assert [i.candidate for i in kept] == expected
        assert max(i.score for i in kept) <= limit

    def test_gives_up_where_nothing_is_certain_enough(self):
        """
        A threshold that nothing passes ends with an error that names shard and threshold.
        """
        generator, label_generators = networks()
        strict = plan(threshold=-1.0, batch=64)

        with pytest.raises(UncertaintyRuleTooStrict, match=r"shard 2 found 0 of 2 .* most -1\.0"):
            next(generation.fill_shard(generator, label_generators, strict, 2, silent))

    def test_images_come_in_the_wanted_format(self):
        """
        The image's extension is the format that was asked for.
        """
        for sample, _ in shard(2, image_format="webp"):
            assert set(sample.members) == {"webp", "mask.png", "json"}


class TestEncoders:
    """
    Threads that encode beside the drawing.
    """

    def written(self, folder, encoders, **changes):
        """
        What was written of a shard with labels of all kinds.
        """
        made = plan(count=50, shard_size=25, batch=4).model_copy(update=changes)
        filled = generation.fill_shard(*all_kinds(), made, 1, silent, encoders)
        return write_shard(folder / f"{encoders}.tar", (sample for sample, _ in filled))

    @pytest.mark.parametrize("image_format", ["png", "jpg", "webp"])
    def test_change_no_byte(self, tmp_path, image_format):
        """
        A shard has the same digest and offsets whether one thread does everything, or others
        encode.
        """
        alone, *others = (
            self.written(tmp_path, encoders, image_format=image_format) for encoders in (0, 1, 3)
        )

        assert others == [alone, alone]

    def test_end_when_a_sample_cannot_be_encoded(self, tmp_path):
        """
        The error is that of the encoding, nothing is left of the shard, and no thread.
        """
        before = threading.active_count()

        with pytest.raises(KeyError, match="gif"):
            self.written(tmp_path, 2, image_format="gif")

        assert list(tmp_path.iterdir()) == []
        assert threading.active_count() == before

    def test_end_when_drawing_is_stopped(self):
        """
        What a report raises comes through, and no thread is left.
        """
        before = threading.active_count()

        with pytest.raises(InterruptedError):
            shard(0, Reports(InterruptedError(), after=2), count=400, shard_size=400)

        assert threading.active_count() == before


class Counted:
    """
    A label generator that counts how often it is asked.
    """

    def __init__(self, label_generator):
        self._asked, self.times = label_generator, 0
        self.spec, self.size = label_generator.spec, label_generator.size

    def predict(self, features):
        self.times += 1
        return self._asked.predict(features)


class TestBatches:
    @pytest.mark.parametrize("batch", [1, 3, 4, 5, 11])
    def test_none_is_begun_in_vain(self, batch):
        """
        Though batches are begun ahead, there are as many as the samples need.
        """
        generator, [label_generator] = networks()
        counted, made = Counted(label_generator), plan(batch=batch, threshold=median_score())

        samples = list(generation.fill_shard(generator, [counted], made, 0, silent))

        candidates = samples[-1][1].candidate + 1
        assert counted.times == -(-candidates // batch)

    def test_precision_is_the_plans(self):
        """
        Images are computed in what the plan says, and are nearly the same.
        """
        one, other = (
            decode_image(shard(0, precision=precision)[0][0].members["png"], "x").astype(int)
            for precision in ("float32", "float16")
        )

        assert 0 < np.abs(one - other).mean() < 2


class TestSeveralKinds:
    """
    Label generators of one generator label the same images, in one sample each.
    """

    def samples(self, **changes):
        """
        Twelve samples with labels of all kinds.
        """
        made = plan(count=12, shard_size=12).model_copy(update=changes)
        return list(generation.fill_shard(*all_kinds(), made, 0, silent))

    def test_a_sample_has_a_label_of_each_kind(self):
        """
        Each kind's file is that of its own label generator on this image, and the image is the
        one that a single kind would have got.
        """
        alone = {s.key: s.members["png"] for s, _ in shard(0, count=12, shard_size=12)}
        generator, label_generators = all_kinds()
        for sample, info in self.samples():
            ws = mapped(generator, [philox(info.seed, info.shard, info.candidate)], info.psi)
            drawn = drawing.render(generator, label_generators, ws)
            expected = {
                some.spec.kind: labels.values[0].numpy()
                for some, labels in zip(label_generators, drawn.labels, strict=True)
            }
            read = labelled_of(sample, ALL_KINDS).labels

            assert alone[sample.key] == sample.members["png"]
            assert (expected["segmentation"] == read["segmentation"]).mean() > 0.99
            np.testing.assert_allclose(expected["depth"], read["depth"], atol=1e-3)
            np.testing.assert_allclose(expected["keypoints"][:, :3], read["keypoints"], atol=0.01)

    def test_it_says_how_certain_each_is(self):
        """
        Scores and figures stand in the JSON by kind; the score is the first label generator's.
        """
        for sample, info in self.samples():
            assert set(info.scores) == {"segmentation", "keypoints", "depth"}
            assert info.score == info.scores["segmentation"]
            assert set(info.keypoint_confidence) == {"nose", "chin"}
            assert info.depth["smallest"] <= info.depth["mean"] <= info.depth["largest"]
            assert SampleInfo.model_validate_json(sample.members["json"]) == info

    def test_a_candidate_must_pass_every_threshold(self):
        """
        What one kind finds too uncertain is left out, whatever the others say.
        """
        every = [info for _, info in self.samples()]
        limits = {
            kind: float(np.quantile([info.scores[kind] for info in every], 0.7))
            for kind in ("keypoints", "depth")
        }

        kept = [info for _, info in self.samples(thresholds=limits)]

        first = [i.candidate for i in every if all(i.scores[k] <= limits[k] for k in limits)]
        assert len(first) < 12
        assert first == [info.candidate for info in kept][: len(first)]
        assert all(info.scores[kind] <= limits[kind] for info in kept for kind in limits)

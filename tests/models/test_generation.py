import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.networks import SPEC, small_generator, small_label_generator

from models import generation
from models.data.manifest import SampleInfo
from models.errors import UncertaintyRuleTooStrict
from models.generation import Plan
from models.latents import mapped
from models.progress import silent
from models.seeding import philox


def networks():
    """
    A small generator and a label generator of its images.
    """
    generator = small_generator()
    return generator, small_label_generator(generator)


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

    def test_batches_fill_the_cache_and_no_more(self):
        """
        Sixteen pictures of 64 x 64 go together on a CPU, one of 512 x 512.
        """
        cpu = torch.device("cpu")
        assert generation.batch_size(cpu, (64, 64)) == 16
        assert generation.batch_size(cpu, (512, 512)) == 1


class TestThreshold:
    def test_is_the_quantile_that_leaves_the_rest(self):
        """
        Dropping a tenth keeps scores up to the 90 % quantile; between known ones it is linear.
        """
        quantiles = [float(i) for i in range(101)]

        assert generation.threshold(quantiles, 0.1) == pytest.approx(90.0)
        assert generation.threshold(quantiles, 0.255) == pytest.approx(74.5)

    def test_dropping_nothing_needs_no_threshold(self):
        """
        Without a share to drop there is no limit, not even the highest score seen.
        """
        assert generation.threshold([0.0, 1.0], 0.0) is None


class TestAsPixels:
    def test_rounds_as_the_authors_do(self):
        """
        v * 127.5 + 128, cut off and clipped: -1 is 0, 0 is 128, 1 is 255.
        """
        values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.999, 1.0, 5.0])
        images = values.view(1, 1, 1, -1).expand(1, 3, 1, -1)

        got = generation.as_pixels(images, (1, 7))

        assert got[0, 0, :, 1].tolist() == [0, 0, 64, 128, 255, 255, 255]

    def test_large_images_are_reduced_to_the_label(self):
        """
        From twice the size, each pixel is the mean of four.
        """
        images = torch.tensor([[-1.0, 1.0], [0.0, 0.0]]).expand(1, 3, 2, 2)

        assert generation.as_pixels(images, (1, 1)).tolist() == [[[[128, 128, 128]]]]


class TestFillShard:
    def test_a_sample_is_what_its_numbers_say(self):
        """
        From seed, shard and candidate alone the image and its label can be drawn again.
        """
        generator, label_generator = networks()
        for sample, info in shard(1):
            stream = philox(info.seed, info.shard, info.candidate)
            ws = mapped(generator, [stream], info.psi)
            again = generation.render(generator, label_generator, ws)
            image = np.asarray(Image.open(io.BytesIO(sample.members["png"])))
            mask = np.asarray(Image.open(io.BytesIO(sample.members["mask.png"])))

            assert np.abs(image.astype(int) - again.images[0]).max() <= 1
            assert (mask == again.masks[0]).mean() > 0.99
            assert info.score == pytest.approx(float(again.scores[0]), abs=1e-4)

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

        found = list(generation.fill_shard(generator, label_generator, made, 0, silent))

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
        generator, label_generator = networks()
        strict = plan(threshold=-1.0, batch=64)

        with pytest.raises(UncertaintyRuleTooStrict, match=r"shard 2 found 0 of 2 .* most -1\.0"):
            next(generation.fill_shard(generator, label_generator, strict, 2, silent))

    def test_images_come_in_the_wanted_format(self):
        """
        The image's extension is the format that was asked for.
        """
        for sample, _ in shard(2, image_format="webp"):
            assert set(sample.members) == {"webp", "mask.png", "json"}


class TestCalibrate:
    def test_quantiles_are_those_of_fresh_samples(self):
        """
        101 rising numbers; about a tenth of other samples lie above the ninetieth.
        """
        found = generation.calibrate(*networks(), 0.9, 400, 0, silent)

        assert len(found.quantiles) == 101
        assert found.quantiles == sorted(found.quantiles)
        limit = generation.threshold(found.quantiles, 0.1)
        scores = [info.score for _, info in shard(0, count=400, shard_size=400, batch=16)]
        assert 0.05 < np.mean([score > limit for score in scores]) < 0.16

    def test_measures_what_a_sample_costs(self):
        """
        Bytes a sample are those of a shard, its headers included; speed is positive.
        """
        found = generation.calibrate(*networks(), 0.9, 30, 0, silent)

        content = [sum(map(len, sample.members.values())) for sample, _ in shard(0)]
        assert found.bytes_per_sample > np.mean(content)
        assert found.bytes_per_sample % 512 != 0 or found.bytes_per_sample >= 3 * 1024
        assert found.images_per_second > 0
        assert found.samples >= 30

    def test_says_which_classes_it_holds_for(self):
        """
        Without a wish all classes are equally likely, and scores follow the mix.
        """
        generator = small_generator(label_dim=2)
        networks = generator, small_label_generator(generator)

        even = generation.calibrate(*networks, 1.0, 30, 0, silent)
        one = generation.calibrate(*networks, 1.0, 30, 0, silent, shares=(1.0, 0.0))

        assert (even.class_shares, one.class_shares) == ((0.5, 0.5), (1.0, 0.0))
        assert even.quantiles != one.quantiles

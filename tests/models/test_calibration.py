import numpy as np
import pytest
from support.networks import ALL_KINDS, small_generator, small_label_generator

from models import calibration
from models.data.images import encode_png
from models.drawing import draw
from models.progress import silent
from models.seeding import philox


def networks(specs=ALL_KINDS[:1], **options):
    """
    A small generator, and a label generator for each kind of label.
    """
    generator = small_generator(**options)
    return generator, [
        small_label_generator(generator, spec=spec, seed=i) for i, spec in enumerate(specs, 1)
    ]


class TestThreshold:
    def test_is_the_quantile_that_leaves_the_rest(self):
        """
        Dropping a tenth keeps scores up to the 90 % quantile; between known ones it is linear.
        """
        quantiles = [float(i) for i in range(101)]

        assert calibration.threshold(quantiles, 0.1) == pytest.approx(90.0)
        assert calibration.threshold(quantiles, 0.255) == pytest.approx(74.5)

    def test_dropping_nothing_needs_no_threshold(self):
        """
        Without a share to drop there is no limit, not even the highest score seen.
        """
        assert calibration.threshold([0.0, 1.0], 0.0) is None


class TestCalibrate:
    def test_quantiles_are_those_of_fresh_samples(self):
        """
        101 rising numbers; about a tenth of other samples lie above the ninetieth.
        """
        (found,) = calibration.calibrate(*networks(), 0.9, 400, 0, silent)

        assert len(found.quantiles) == 101
        assert found.quantiles == sorted(found.quantiles)
        limit = calibration.threshold(found.quantiles, 0.1)
        drawn = draw(*networks(), [philox("fresh", i) for i in range(400)], 0.9)
        scores = drawn.labels[0].scores.numpy()
        assert 0.05 < np.mean(scores > limit) < 0.16

    def test_measures_what_a_sample_costs(self):
        """
        Bytes a sample are those of a shard, its headers included; speed is positive.
        """
        (found,) = calibration.calibrate(*networks(), 0.9, 30, 0, silent)

        drawn = draw(*networks(), [philox("fresh", i) for i in range(4)], 0.9)
        images = [len(encode_png(image)) for image in drawn.images]
        assert np.mean(images) < found.bytes_per_sample < np.mean(images) + 6 * 1024
        assert found.bytes_per_sample >= 6 * 512
        assert found.images_per_second > 0
        assert found.samples >= 30

    def test_says_which_classes_it_holds_for(self):
        """
        Without a wish all classes are equally likely, and scores follow the mix.
        """
        known = networks(label_dim=2)

        (even,) = calibration.calibrate(*known, 1.0, 30, 0, silent)
        (one,) = calibration.calibrate(*known, 1.0, 30, 0, silent, shares=(1.0, 0.0))

        assert (even.class_shares, one.class_shares) == ((0.5, 0.5), (1.0, 0.0))
        assert even.quantiles != one.quantiles

    def test_each_is_calibrated_on_the_same_images(self):
        """
        Together or alone, a label generator's scores are distributed the same.
        """
        generator, label_generators = networks(ALL_KINDS)

        found = calibration.calibrate(generator, label_generators, 0.9, 32, 0, silent)

        assert len(found) == 3
        for some, together in zip(label_generators, found, strict=True):
            (alone,) = calibration.calibrate(generator, [some], 0.9, 32, 0, silent)
            assert together.quantiles == pytest.approx(alone.quantiles, rel=1e-4)
            assert together.bytes_per_sample > alone.bytes_per_sample

import json

import numpy as np
import pytest

from models.checkpoints.neutral import save_generator
from models.demo import quality
from models.demo.recipe import PRESETS
from models.stylegan2.networks import Generator


def gaussian(n, mean, scales, seed):
    return mean + np.random.default_rng(seed).standard_normal((n, len(scales))) * scales


class TestFrechetDistance:
    def test_agrees_with_the_closed_form(self):
        """
        For independent axes it is the squared distance of means plus that of the scales.
        """
        first = gaussian(40_000, np.array([0.0, 1.0]), np.array([1.0, 2.0]), seed=0)
        second = gaussian(40_000, np.array([3.0, 1.0]), np.array([2.0, 2.0]), seed=1)

        assert quality.frechet_distance(first, second) == pytest.approx(9 + 1, rel=0.03)

    def test_is_zero_for_the_same_set(self):
        """
        A set has no distance from itself, correlated axes or not.
        """
        vectors = gaussian(50, np.zeros(3), np.ones(3), seed=0) @ np.ones((3, 3))

        assert quality.frechet_distance(vectors, vectors) == pytest.approx(0, abs=1e-6)


def test_untrained_is_far_from_renders(tmp_path, monkeypatch):
    """
    The command writes a report in which an untrained generator is further from renders than
    other renders are, and a sheet beside it.
    """
    save_generator(Generator(PRESETS["smoke"].generator_config()), tmp_path / "g")
    out = tmp_path / "q.json"
    arguments = ["quality", "--generator", tmp_path / "g", "--out", out, "--images", 50]
    monkeypatch.setattr("sys.argv", [str(word) for word in arguments])

    quality.main()

    report = json.loads(out.read_text())
    assert report["samples_to_renders"] > 2 * report["renders_to_renders"]
    assert out.with_suffix(".png").exists()

import pytest

from tests.benchmarks.generation import Look, slope


def looks(*sizes):
    """
    A look after every 1,000 images; shared pages count half.
    """
    return [Look(1000 * i, size, size // 2) for i, size in enumerate(sizes, 1)]


def test_growth_is_told_in_bytes_an_image():
    """
    What grows by 7,000 bytes every 1,000 images grows by seven an image.
    """
    found = looks(*(10_000_000 + 7000 * i for i in range(20)))

    assert slope(found, "rss") == pytest.approx(7.0)
    assert slope(found, "pss") == pytest.approx(3.5)


def test_the_beginning_does_not_count():
    """
    Caches fill in the first 1,000 images; what stays as it is from then on is flat.
    """
    assert slope(looks(0, *[500_000_000] * 5), "rss") == pytest.approx(0, abs=1e-6)


def test_a_few_looks_are_no_line():
    """
    Where hardly anything was generated nothing is said.
    """
    assert slope(looks(1, 2), "rss") is None

import pytest

from tests.benchmarks import tables


def way(seconds, **more):
    """
    What is found of one way.
    """
    found = {"images": 4, "repeats": 5, "seconds": seconds, "processor_seconds": 2 * seconds}
    return {**found, "peak_bytes": 125_000_000, "bands": 1, **more}


@pytest.fixture
def labelling():
    """
    What labelling one shape may have found.
    """
    ratios = {
        "labelling_speedup": 17.94,
        "labelling_speedup_processor": 16.2,
        "labelling_memory": 0.0812,
        "labelled_of_synthesis": 0.185,
        "shard_of_labelled": 0.7612,
    }
    known = {"macs": 14_900_000_000, "share_of_roofline": 0.885}
    ways = {"synthesis": way(0.1676, **known), "naive": way(13.4852, **known), "shard": way(1.19)}
    exactness = {"error": 5.3e-7, "same_class": 0.99998, "same_class_of_members": 0.9999}
    shapes = {"config-e-256": {**ways, "ratios": ratios, "exactness": exactness}}
    return {"device": "cpu", "threads": 2, "shapes": shapes}


def test_ways_stand_below_each_other(labelling):
    """
    Each with its time, memory and arithmetic; of a shard nobody has counted that.
    """
    assert tables.labelling(labelling).splitlines()[2:7] == [
        "config-e-256",
        "                               ms  processor ms  peak MB   GMAC  of roofline  repeats",
        "  (a) bare synthesis        167.6         335.2      125  14.90         88 %        5",
        "  (c) naive labels alone  13485.2       26970.4      125  14.90         88 %        5",
        "  (d) a whole shard        1190.0        2380.0      125                            5",
    ]


def test_ratios_are_said_in_words(labelling):
    """
    What the bars are about needs no division by hand.
    """
    said = tables.labelling(labelling)

    assert "17.9 times as fast as the naive ones, in 0.081 of their memory" in said
    assert "(d) 0.761 as fast as (b)" in said
    assert "differ by 5.3e-07 of the largest at most, classes are the same on 99.998 %" in said


def test_a_long_generation_has_its_line():
    """
    Shards by shape; the memory of a long one where it was asked for.
    """
    shard = {
        "drawn_per_second_alone": 120.5,
        "samples_per_second": 100.25,
        "ratio": {"median": 0.933, "of_each": [0.926, 0.966, 0.933]},
        "share_of_storing": 0.0012,
    }
    look = {"images": 1000, "rss": 700_000_000, "pss": 650_000_000}
    memory = {
        "images": 20_000,
        "shards": 80,
        "seconds": 220.4,
        "first": look,
        "last": {**look, "images": 20_000, "rss": 712_000_000},
        "bytes_an_image": {"rss": 12.34, "pss": 11.0},
    }
    found = {"benchmark": "generation", "demo-64": shard}

    said = tables.generation(found)
    assert said.splitlines()[1] == (
        "  demo-64   120.50  100.25             0.933  0.926 to 0.966   0.12 %"
    )
    assert len(said.splitlines()) == 2
    with_memory = tables.generation({**found, "memory": memory})
    assert "700 MB after 1,000, 712 MB at the end; 12.3 bytes an image" in with_memory

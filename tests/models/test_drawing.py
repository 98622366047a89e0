from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import ALL_KINDS, small_generator, small_label_generator

from models import drawing
from models.data.sample_encoding import Place
from models.latents import drawn_codes
from models.seeding import philox
from models.stylegan2.networks import Generator


def networks(specs=ALL_KINDS):
    """
    A small generator, and a label generator for each kind of label.
    """
    generator = small_generator()
    return generator, [
        small_label_generator(generator, spec=spec, seed=i) for i, spec in enumerate(specs)
    ]


def made_for(half_from):
    """
    A small generator, made for half precision in blocks of so many rows and more.
    """
    return Generator(replace(small_generator().config, half_from=half_from))


def codes(generator, first, count=4):
    """
    Style codes of candidates of a shard.
    """
    return drawn_codes(generator, [philox(5, 0, first + i) for i in range(count)])


def same(one, other):
    """
    Whether what was drawn is equal, bit by bit.
    """
    pairs = zip(one.labels, other.labels, strict=True)
    return (one.images == other.images).all() and all(
        torch.equal(a.values, b.values) and torch.equal(a.scores, b.scores) for a, b in pairs
    )


def test_batches_fill_the_cache_and_no_more():
    """
    Sixteen pictures of 64 x 64 go together on a CPU, one of 512 x 512.
    """
    cpu = torch.device("cpu")
    assert drawing.batch_size(cpu, (64, 64)) == 16
    assert drawing.batch_size(cpu, (512, 512)) == 1


def test_two_of_a_kind_are_refused():
    """
    A sample has one mask; two label generators of masks cannot both write it.
    """
    generator, (masks, *_) = networks()

    with pytest.raises(ValueError, match="of each kind is needed, got segmentation, segm"):
        drawing.draw(generator, [masks, masks], [philox("two")], 1.0)


def test_batches_may_be_begun_before_others_are_fetched():
    """
    What was begun first is the same, whatever else was begun before it was fetched.
    """
    generator, label_generators = networks()
    alone = [
        drawing.begin(generator, label_generators, codes(generator, first)).fetched()
        for first in (0, 4)
    ]

    begun = [
        drawing.begin(generator, label_generators, codes(generator, first)) for first in (0, 4)
    ]

    assert all(same(one, batch.fetched()) for one, batch in zip(alone, begun, strict=True))
    assert not same(*alone)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_copies_a_batch_while_it_makes_the_next():
    """
    Copied in a stream of its own or after all else: the same images and labels, many times over.
    """
    generator, label_generators = networks()
    generator = generator.to("cuda")
    label_generators = [some.to(torch.device("cuda")) for some in label_generators]
    beside = torch.cuda.Stream()
    alone = [
        drawing.begin(generator, label_generators, codes(generator, first)).fetched()
        for first in range(0, 80, 4)
    ]

    begun = drawing.begin(generator, label_generators, codes(generator, 0))
    for expected, following in zip(alone, range(4, 84, 4), strict=True):
        fetching, begun = (
            begun,
            drawing.begin(generator, label_generators, codes(generator, following)),
        )
        assert same(expected, fetching.fetched(beside))


@pytest.mark.parametrize("half_from", [None, 8])
def test_on_a_cpu_all_is_computed_in_float32(half_from):
    """
    Half precision is for networks that were made for it, and for CUDA.
    """
    assert drawing.precision_of(made_for(half_from)) == "float32"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_networks_that_were_made_for_it_compute_in_half():
    """
    And others do not.
    """
    assert drawing.precision_of(made_for(None).to("cuda")) == "float32"
    assert drawing.precision_of(made_for(8).to("cuda")) == "float16"


def test_an_image_has_its_own_labels():
    """
    A row of a batch: picture, labels and scores of that row, by kind, and where it comes from.
    """
    generator, label_generators = networks()
    drawn = drawing.begin(generator, label_generators, codes(generator, 0)).fetched()
    place = Place(index=7, seed=5, shard=0, candidate=2, psi=1.0)

    made = drawn.one(2, ALL_KINDS, place)

    assert made.place is place
    assert made.label is None
    assert (made.image == drawn.images[2]).all()
    assert list(made.scores) == ["segmentation", "keypoints", "depth"]
    for spec, labels in zip(ALL_KINDS, drawn.labels, strict=True):
        assert made.scores[spec.kind] == float(labels.scores[2])
        np.testing.assert_array_equal(made.labels[spec.kind], labels.values[2].numpy())

import dataclasses

import pytest
import torch

from models import hypercolumns
from tests.benchmarks import naive, roofline
from tests.benchmarks.labelling import compared
from tests.benchmarks.roofline import Cost, Roofline
from tests.benchmarks.shapes import SHAPES, Shape, subject

CPU = torch.device("cpu")
NARROW = {
    "wide members": Shape((8, 8, 6, 4, 3), (450, 6), 5, members=2),
    "narrow members": Shape((8, 8, 6, 4, 3), (12, 6), 5, members=10),
    "labels smaller than images": Shape((4, 4, 4, 4, 4, 4, 3, 2, 2), (6, 3), 4, members=2),
}


@pytest.fixture(scope="module", params=NARROW.values(), ids=NARROW)
def narrow(request):
    """
    Networks of few channels, ready to label; the last has maps larger than its labels.
    """
    made = subject(request.param, CPU)
    return dataclasses.replace(made, ws=made.ws[:1])


class TestNaive:
    def test_ours_are_its_logits(self, narrow):
        """
        Up to 1e-5 of the largest, and all classes are the same.
        """
        features = [f[:1] for f in narrow.features()]
        size = narrow.label_generator.size

        theirs = naive.logits(naive.networks(narrow.mlps), features, size)
        ours = narrow.label_generator.outputs(features)[:, :, 0]

        assert ours.shape == theirs.shape
        found = compared(ours, theirs)
        assert found["error"] <= 1e-5
        assert found["same_class"] >= 0.9999
        assert found["same_class_of_members"] >= 0.9999

    def test_bands_change_nothing(self, narrow):
        """
        Rows that are labelled apart, the last band being smaller, get the same logits.
        """
        features = [f[:1] for f in narrow.features()]
        members, size = naive.networks(narrow.mlps), narrow.label_generator.size

        whole, cut = (naive.logits(members, features, size, bands) for bands in (1, 3))

        torch.testing.assert_close(whole, cut)

    def test_reads_whole_hypercolumns(self):
        """
        Its pixels are those of the definition, from which ours never start.
        """
        features = [f[:1] for f in subject(NARROW["wide members"], CPU).features()]

        [got] = naive.logits([torch.nn.Sequential()], features, (64, 64))

        torch.testing.assert_close(got, hypercolumns.everywhere(features, (64, 64))[0])

    def test_members_vote_and_the_smallest_class_wins_ties(self):
        """
        Two pixels: votes 1, 1, 2 give 1; votes 2, 1 and one for 0 give 0.
        """
        said = torch.tensor([[[0, 0], [9, 0], [0, 9]], [[0, 0], [9, 9], [0, 0]]]).float()
        third = torch.tensor([[[0, 9], [0, 0], [9, 0]]]).float()

        ids, uncertainty = naive.decided(torch.cat([said, third])[..., None, :])

        assert ids.tolist() == [[1, 0]]
        assert 0.6 < float(uncertainty[0, 0]) < float(uncertainty[0, 1]) < 1.1


def test_another_class_is_noticed():
    """
    Of two pixels one has the logits of other classes exchanged; of two members one is at fault.
    """
    theirs = torch.tensor([[[4.0, 4.0], [0.0, 0.0]]] * 2)[..., None]
    ours = theirs.clone()
    ours[0, :, 1] = ours[0, :, 1].flip(0) * 2

    assert compared(ours, theirs) == {
        "error": 2.0,
        "same_class": 0.5,
        "same_class_of_members": 0.75,
    }


class TestCost:
    @pytest.mark.parametrize(
        ("name", "images", "labels", "theirs"),
        [("ffhq-1024", 74e9, 0.23e12, 4.1e12), ("car-512", 60e9, 0.68e12, 8.4e12)],
    )
    def test_is_that_of_the_papers_networks(self, name, images, labels, theirs):
        """
        The counts agree with those made by hand for the two generators of the paper, which leave
        out what it takes to enlarge our projected maps.
        """
        shape = SHAPES[name]

        counted = [f(shape).macs for f in (roofline.synthesis, roofline.ours, roofline.naive)]

        assert [images, labels, theirs] == pytest.approx(counted, rel=0.05)

    def test_a_hypercolumn_is_written_and_read_by_each_member(self):
        """
        For faces at 512 pixels it has 6.4 GB: with ten members that moves 11 times as much.
        """
        assert roofline.naive(SHAPES["ffhq-1024"]).bytes > 11 * 6.375e9

    def test_the_slower_of_arithmetic_and_memory_counts(self):
        """
        A product that is added up is two operations.
        """
        machine = Roofline(flops=10.0, bandwidth=100.0)

        assert machine.seconds(Cost(macs=50, bytes=100)) == 10
        assert machine.seconds(Cost(macs=0, bytes=100)) == 1


def test_every_process_has_the_same_inputs():
    """
    Codes and weights follow from the shape, whatever was drawn before.
    """
    first = subject(NARROW["narrow members"], CPU)
    torch.rand(1)
    second = subject(NARROW["narrow members"], CPU)

    assert torch.equal(first.ws, second.ws)
    assert torch.equal(first.label_generator.layers.w1, second.label_generator.layers.w1)
    assert torch.equal(first.features()[-1], second.features()[-1])

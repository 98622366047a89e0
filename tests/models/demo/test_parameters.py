import pytest
import torch

from models.demo.parameters import NUM_PARAMETERS, PARAMETERS, sample_parameters, values
from models.demo.recipe import Z_DIM


class TestSampleParameters:
    def test_a_face_depends_on_its_index_only(self):
        """
        Face 5 of seed 3 is the same among ten faces, alone, and in a later range.
        """
        expected = sample_parameters(10, 3)[5]

        assert torch.equal(expected, sample_parameters(1, 3, first=5)[0])
        assert torch.equal(expected, sample_parameters(4, 3, first=4)[1])

    def test_seeds_and_indices_differ(self):
        """
        No two faces of two seeds share a number's whole vector.
        """
        both = torch.cat([sample_parameters(50, 1), sample_parameters(50, 2)])

        assert len(torch.unique(both, dim=0)) == 100

    def test_is_uniform(self):
        """
        Every parameter covers [0, 1) evenly.
        """
        u = sample_parameters(1000, 0)

        assert u.dtype == torch.float32
        assert u.min() >= 0
        assert u.max() < 1
        torch.testing.assert_close(u.mean(0), torch.full([NUM_PARAMETERS], 0.5), atol=0.05, rtol=0)

    def test_none_is_a_shape_too(self):
        """
        No faces are an empty tensor of the right width.
        """
        assert sample_parameters(0, 1).shape == (0, NUM_PARAMETERS)


class TestValues:
    def test_ends_of_the_range(self):
        """
        u = 0 and u = 1 are the table's lo and hi; ramps begin at zero.
        """
        v = values(torch.tensor([[0.0], [1.0]]).expand(-1, NUM_PARAMETERS))

        for p in PARAMETERS:
            low = max(p.lo, 0.0) if p.ramp else p.lo
            assert v[p.name].flatten().tolist() == pytest.approx([low, p.hi], abs=1e-6)

    def test_rare_things_are_rare_but_not_missing(self):
        """
        Hats, hoods, beards and glasses appear on 30 to 50 faces of a hundred.
        """
        v = values(sample_parameters(1000, 0))

        for name in ("hat", "hood", "beard", "glasses"):
            assert 0.3 < (v[name] > 0).float().mean() < 0.5

    def test_names_are_unique(self):
        """
        Each name means one number, and z has room for all of them.
        """
        names = {p.name for p in PARAMETERS}

        assert len(names) == NUM_PARAMETERS <= Z_DIM

    def test_names_the_shape_it_was_given(self):
        """
        A wrong width is refused with the shape in the message.
        """
        with pytest.raises(ValueError, match=r"got \[2, 3\]"):
            values(torch.zeros(2, 3))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.fitting import affine

number = st.floats(-50, 50)


def turn(angle, scale=1.0, rows=0.0, columns=0.0):
    """
    A similarity, written from its definition.
    """
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, rows], [s, c, columns]])


class TestMatrices:
    def test_a_stretch_lays_edges_on_edges(self):
        """
        Half a pixel before the first centre stays the edge, so that a picture of twice the size
        has its first centre at a quarter of a pixel below the old one's.
        """
        doubled = affine.stretch((0, 0, 4, 4), (0, 0, 8, 8))

        assert affine.moved(doubled, [(0, 0), (3, 3)]).tolist() == [[0.5, 0.5], [6.5, 6.5]]

    def test_a_stretch_can_move_and_squeeze(self):
        """
        Each axis has its own scale and place.
        """
        matrix = affine.stretch((2, 0, 4, 10), (64, 0, 448, 5))

        assert affine.moved(matrix, (2, 0)).tolist() == [64 + 95.5, -0.25]

    @given(st.floats(-3, 3), st.floats(0.1, 9), number, number)
    def test_the_inverse_goes_back(self, angle, scale, rows, columns):
        """
        There and back again is nowhere else.
        """
        matrix = turn(angle, scale, rows, columns)

        nothing = affine.after(affine.inverse(matrix), matrix)

        np.testing.assert_allclose(nothing, affine.shift(0, 0), atol=1e-9)

    def test_after_applies_the_second_last(self):
        """
        `after(b, a)` of a point is b of a of it.
        """
        a, b = turn(0.3, 2, 5, 6), affine.stretch((0, 0, 1, 1), (0, 0, 3, 2))
        points = np.array([(1.0, 2.0), (-3.0, 4.0)])

        expected = affine.moved(b, affine.moved(a, points))
        np.testing.assert_allclose(affine.moved(affine.after(b, a), points), expected)

    def test_scales_are_those_of_a_step(self):
        """
        Rows and columns are told apart, and a turn does not change them.
        """
        squeezed = affine.after(turn(0.7), affine.stretch((0, 0, 1, 1), (0, 0, 3, 0.5)))

        assert pytest.approx((3, 0.5)) == affine.scales(squeezed)


class TestSimilarity:
    @given(st.floats(-3, 3), st.floats(0.1, 9), number, number)
    def test_finds_the_transform_that_was_used(self, angle, scale, rows, columns):
        """
        From exact points it recovers turn, scale and shift.
        """
        expected = turn(angle, scale, rows, columns)
        points = [(0, 0), (10, 3), (4, 8)]

        found = affine.similarity(points, affine.moved(expected, points))

        np.testing.assert_allclose(found, expected, atol=1e-9)

    def test_has_the_least_error(self):
        """
        No small change of scale, turn or shift brings the points nearer.
        """
        rng = np.random.default_rng(0)
        source, target = rng.normal(size=(2, 6, 2)) * 10

        found = affine.similarity(source, target)

        def error(matrix):
            return np.square(affine.moved(matrix, source) - target).sum()

        for change in (turn(0.01), turn(-0.01), turn(0, 1.01), turn(0, 0.99), turn(0, 1, 0.1, 0.1)):
            assert error(found) < error(affine.after(change, found))

    def test_never_mirrors(self):
        """
        Points that are mirrored are brought as near as they go, without a reflection.
        """
        source = [(0, 0), (0, 4), (3, 1)]
        mirrored = [(0, 0), (0, -4), (3, -1)]

        assert np.linalg.det(affine.similarity(source, mirrored)[:, :2]) > 0

    def test_points_in_one_place_have_no_scale(self):
        """
        What cannot be turned or scaled is refused.
        """
        with pytest.raises(ValueError, match="all lie in one place"):
            affine.similarity([(1, 1), (1, 1)], [(0, 0), (1, 1)])

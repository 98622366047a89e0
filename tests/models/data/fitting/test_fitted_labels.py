import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.labelled_pictures import DEPTH, MASK, POLICIES, SPECS, UPRIGHT, noise

from models.data.fitting import Canvas, CentreCrop, Pad, Resize, fit
from models.data.labelled import Labelled
from models.labels import SegmentationSpec


class TestWholeNumbers:
    @pytest.mark.parametrize("policy", UPRIGHT, ids=lambda policy: f"{policy.name}-{policy.fill}")
    def test_nothing_changes_where_nothing_must(self, policy):
        """
        A picture of the canvas's size stays as it is, to the last bit.
        """
        given = noise(5, 7)

        made = fit(given, SPECS, policy, Canvas(height=5, width=7))

        assert made.content.all()
        np.testing.assert_array_equal(given.image, made.item.image)
        for kind in ("segmentation", "depth"):
            np.testing.assert_array_equal(given.labels[kind], made.item.labels[kind])

    @given(
        st.integers(1, 9),
        st.integers(1, 9),
        st.integers(1, 4),
        st.integers(0, 5),
        st.integers(0, 5),
    )
    @settings(max_examples=40, deadline=None)
    def test_a_mask_enlarged_n_times_repeats_its_pixels(self, height, width, n, top, left):
        """
        Every id becomes n x n pixels of it, exactly, between bars of any width.
        """
        canvas = Canvas(
            height=top + n * height + 1,
            width=left + n * width,
            rows=(top, top + n * height),
            columns=(left, left + n * width),
        )
        given = noise(height, width)

        made = fit(given, SPECS, Resize(), canvas)

        expected = np.zeros((canvas.height, canvas.width), dtype=np.uint8)
        expected[canvas.slices] = given.labels["segmentation"].repeat(n, axis=0).repeat(n, axis=1)
        np.testing.assert_array_equal(expected, made.item.labels["segmentation"])

    @given(*[st.integers(1, 40)] * 4)
    @example(4, 1, 14, 1)  # Rounding would decide here, were it let.
    @settings(max_examples=40, deadline=None)
    def test_a_mask_of_any_size_takes_what_lies_at_the_centre(self, height, width, rows, columns):
        """
        Which pixel that is, is worked out in whole numbers: on an edge, the lower or right one.
        """
        given = noise(height, width)

        made = fit(given, SPECS, Resize(), Canvas(height=rows, width=columns))

        row = (2 * np.arange(rows) + 1) * height // (2 * rows)
        column = (2 * np.arange(columns) + 1) * width // (2 * columns)
        expected = given.labels["segmentation"][np.ix_(row, column)]
        np.testing.assert_array_equal(expected, made.item.labels["segmentation"])

    def test_a_crop_is_a_slice(self):
        """
        Where the canvas is smaller and the scale is 1, all but the middle is cut away.
        """
        given = noise(4, 9)

        made = fit(given, SPECS, CentreCrop(), Canvas(height=4, width=4)).item

        np.testing.assert_array_equal(given.image[:, 2:6], made.image)
        np.testing.assert_array_equal(
            given.labels["segmentation"][:, 2:6], made.labels["segmentation"]
        )
        np.testing.assert_array_equal(given.labels["depth"][:, 2:6], made.labels["depth"])
        assert made.labels["keypoints"].tolist() == [
            [0, 0, 0],  # Cut off.
            [1, 0, 1],
            [0, 0, 0],  # Was not labelled.
            [0, 0, 0],
            [0, 0, 0],
        ]

    def test_a_mirror_begins_at_the_edge(self):
        """
        Bars that mirror repeat the edge's pixel first; labels have nothing there.
        """
        given = noise(2, 4)

        made = fit(given, SPECS, Pad(fill="mirror"), Canvas(height=6, width=4))

        np.testing.assert_array_equal(given.image[[1, 0, 0, 1, 1, 0]], made.item.image)
        assert not made.item.labels["segmentation"][[0, 1, 4, 5]].any()
        assert made.fit.rows == (2, 4)

    def test_pictures_are_averaged_when_they_shrink(self):
        """
        Stripes one pixel wide become grey, by every policy, and not black or white.
        """
        stripes = noise(64, 64)
        stripes.image[:] = 0
        stripes.image[:, ::2] = 255
        eyes = {"left_eye": (24, 24), "right_eye": (24, 40), "mouth_left": (40, 24)}
        eyes["mouth_right"] = (40, 40)
        for policy in POLICIES:
            made = fit(stripes, SPECS, policy, Canvas(height=8, width=8), eyes).item

            middle = made.image[3:5, 3:5].astype(int)
            assert np.abs(middle - 128).max() < 16, policy.name


class TestLabels:
    def test_outside_is_ignored_where_a_mask_can_say_so(self):
        """
        Bars take the ignore_index, where there is one.
        """
        spec = MASK.model_copy(update={"ignore_index": 255})
        given = noise(2, 4)
        only = Labelled("m", given.image, {"segmentation": given.labels["segmentation"]}, "m")

        made = fit(only, [spec], Pad(), Canvas(height=4, width=4)).item

        assert (made.labels["segmentation"][[0, 3]] == 255).all()

    @pytest.mark.parametrize("size", [(3, 3), (16, 16), (5, 40)])
    def test_unknown_depth_never_spreads(self, size):
        """
        A known depth stays between the known ones around it, however many unknowns there are,
        and none appears where the nearest is unknown.
        """
        depth = np.full((8, 8), np.nan, dtype=np.float32)
        depth[::2, ::3] = 7.0
        depth[1::4] = 9.0
        given = Labelled("d", np.zeros((8, 8, 3), np.uint8), {"depth": depth}, "d")
        canvas = Canvas(height=size[0], width=size[1])
        mask = SegmentationSpec(classes=("unknown", "known"))
        known = np.isfinite(depth).astype(np.uint8)
        twin = Labelled("t", given.image, {"segmentation": known}, "t")

        made = fit(given, [DEPTH], Resize(), canvas).item.labels["depth"]

        expected = fit(twin, [mask], Resize(), canvas).item.labels["segmentation"]
        np.testing.assert_array_equal(expected, np.isfinite(made))
        assert ((made >= 7) & (made <= 9))[np.isfinite(made)].all()

    def test_depth_is_bilinear(self):
        """
        A ramp stays a ramp: between two known depths lies their weighted mean.
        """
        ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1)) + 1
        given = Labelled("d", np.zeros((4, 8, 3), np.uint8), {"depth": ramp}, "d")

        made = fit(given, [DEPTH], Resize(), Canvas(height=4, width=32)).item.labels["depth"]

        expected = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7) + 1
        np.testing.assert_allclose(made[2], expected, atol=1e-6)

    def test_points_outside_their_picture_do_not_come_in(self):
        """
        A point that an annotator put beside the picture would lie on a bar: it has no label.
        """
        given = noise(2, 4)
        given.labels["keypoints"][:2, :2] = [(-1, 1), (2, 1)]

        made = fit(given, SPECS, Pad(), Canvas(height=4, width=4)).item

        assert made.labels["keypoints"][:, 2].tolist() == [0, 0, 0, 2, 2]

    def test_a_label_of_another_size_is_refused(self):
        """
        A mask that is not its picture's size would be moved wrongly.
        """
        given = noise(4, 4)
        bad = Labelled("b", given.image, {"segmentation": np.zeros((4, 5), np.uint8)}, "b")

        with pytest.raises(ValueError, match=r"a label is \[4, 5\], and its picture \[4, 4\]"):
            fit(bad, SPECS, Pad(), Canvas(height=8, width=8))

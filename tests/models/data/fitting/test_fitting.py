import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.labelled_pictures import FACE, POINTS, POLICIES, SPECS, item, noise

from models.data.fitting import AlignFace, Canvas, Fit, fit, unfit
from models.errors import InvalidImage

CANVASES = (
    Canvas(height=64, width=64),
    Canvas(height=64, width=64, rows=(8, 56)),
    Canvas(height=96, width=48),
    Canvas(height=24, width=24),
)


def centroid(weights):
    """
    The middle of a picture's brightness: (row, column).
    """
    weights = weights.astype(np.float64)
    rows, columns = np.indices(weights.shape)
    return (rows * weights).sum() / weights.sum(), (columns * weights).sum() / weights.sum()


@pytest.mark.parametrize("canvas", CANVASES, ids=["square", "bars", "tall", "small"])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.name}-{policy.fill}")
class TestEveryPolicy:
    def test_the_dot_stays_where_its_labels_say(self, policy, canvas):
        """
        A dot in the picture, its keypoint, its mask and its depth agree within half a pixel.
        """
        made = fit(item(), SPECS, policy, canvas).item

        *_, (row, column, seen) = made.labels["keypoints"]
        assert seen == 2
        for weights in (
            made.image[..., 0] * (made.labels["segmentation"] > 0),
            made.labels["segmentation"],
            made.labels["depth"] < 30,
        ):
            assert pytest.approx((row, column), abs=0.5) == centroid(weights)

    def test_the_record_says_where_something_is_drawn(self, policy, canvas):
        """
        Where nothing is, the canvas is black; beyond what is seen there are mirror images alone.
        """
        made = fit(item(), SPECS, policy, canvas)

        drawn = made.fit.drawn
        assert not made.item.image[~drawn].any()
        assert drawn[made.content].all()
        assert (drawn == made.content).all() or policy.fill == "mirror"

    def test_everything_has_the_canvass_size_and_its_own_type(self, policy, canvas):
        """
        Picture, content, mask and depth are as large as the canvas; dtypes stay.
        """
        made = fit(item(), SPECS, policy, canvas)

        size = (canvas.height, canvas.width)
        labels = made.item.labels
        types = [str(labels[kind].dtype) for kind in ("segmentation", "depth", "keypoints")]
        assert made.item.image.shape == (*size, 3)
        assert size == made.content.shape == labels["segmentation"].shape == labels["depth"].shape
        assert types == ["uint8", "float32", "float32"]
        assert made.item.image.dtype == np.uint8

    def test_there_are_labels_on_the_content_and_nowhere_else(self, policy, canvas):
        """
        Depth is known exactly where the canvas shows the picture, the record's rows and columns
        enclose it, and outside the canvas's own content all is black.
        """
        made = fit(item(), SPECS, policy, canvas)

        np.testing.assert_array_equal(made.content, np.isfinite(made.item.labels["depth"]))
        rows, columns = np.nonzero(made.content)
        assert (rows.min(), rows.max() + 1) == made.fit.rows
        assert (columns.min(), columns.max() + 1) == made.fit.columns
        bars = np.ones(made.content.shape, dtype=bool)
        bars[canvas.slices] = False
        assert not made.item.image[bars].any()
        assert not made.content[bars].any()

    def test_the_record_tells_it_all(self, policy, canvas):
        """
        Through JSON and back, the record still says where the content is and how to go back.
        """
        made = fit(item(), SPECS, policy, canvas)

        read = Fit.model_validate_json(made.fit.model_dump_json())

        assert made.fit == read
        np.testing.assert_array_equal(made.content, read.move.seen)
        assert json.loads(made.fit.model_dump_json())["policy"]["name"] == policy.name

    def test_the_way_back_leads_to_the_dot(self, policy, canvas):
        """
        Brought back, the dot is where it was, and its keypoint too.
        """
        made = fit(item(), SPECS, policy, canvas)

        back, seen = unfit(made.item, SPECS, made.fit)

        assert back.image.shape == (60, 56, 3)
        assert seen[30, 28]
        np.testing.assert_allclose(back.labels["keypoints"][-1], (30, 28, 2), atol=1e-3)
        spot = back.labels["segmentation"] > 0
        assert pytest.approx((30, 28), abs=0.6) == centroid(back.image[..., 0] * spot)
        # At slanting edges the nearest pixel of the canvas may be the first beyond the picture.
        known = np.isfinite(back.labels["depth"])
        assert not known[~seen].any()
        assert (known == seen).mean() > 0.98


class TestLandmarks:
    def test_hidden_keypoints_serve_and_unlabelled_ones_do_not(self):
        """
        Without its keypoint an eye cannot be aligned; the error names file and point.
        """
        blind = item()
        blind.labels["keypoints"][1, 2] = 0

        with pytest.raises(InvalidImage, match=r"pictures/k.png: .*needs right_eye, which"):
            fit(blind, SPECS, AlignFace(), CANVASES[0])

    def test_given_landmarks_come_first(self):
        """
        Landmarks from elsewhere are used, and not the item's keypoints.
        """
        there = {"left_eye": (10, 10), "right_eye": (10, 20), "mouth_left": (20, 10)}
        there["mouth_right"] = (20, 20)

        made = fit(item(), SPECS, AlignFace(), CANVASES[0], there)

        assert pytest.approx((1.6, 1.6)) == made.fit.scale

    def test_a_face_beside_the_picture_is_refused(self):
        """
        Landmarks that lead away from the picture leave nothing to see.
        """
        away = {
            n: (5000.0 + r, 5000.0 + c) for n, (r, c, _) in zip(POINTS.names, FACE, strict=False)
        }

        with pytest.raises(InvalidImage, match="beside the canvas"):
            fit(item(), SPECS, AlignFace(), CANVASES[0], away)

    def test_a_face_at_the_edge_is_continued_by_its_mirror_image(self):
        """
        By default the canvas is never black where the picture ends, as in FFHQ.
        """
        bright = noise(60, 56)
        bright.image[:] = 200
        near = {"left_eye": (5, 5), "right_eye": (5, 20), "mouth_left": (20, 6)}
        near["mouth_right"] = (20, 18)

        mirrored = fit(bright, SPECS, AlignFace(), CANVASES[0], near)
        black = fit(bright, SPECS, AlignFace(fill="black"), CANVASES[0], near)

        assert (mirrored.item.image >= 199).all()
        assert not mirrored.content.all()
        assert not black.item.image[~black.content].any()
        np.testing.assert_array_equal(mirrored.content, black.content)

    @given(st.floats(-3, 3), st.floats(0.5, 3), st.floats(15, 45), st.floats(15, 45), st.booleans())
    @settings(max_examples=25, deadline=None)
    def test_any_turn_keeps_picture_and_keypoint_together(self, angle, size, row, column, grow):
        """
        Whatever the landmarks ask for, the dot is where its keypoint is.
        """
        given = item(dot=(row, column))
        c, s = 6 * size * np.cos(angle), 6 * size * np.sin(angle)
        upright = [(-c - s, -c + s), (-c + s, c + s), (c - s, -c - s), (c + s, c - s)]
        face = {n: (30 + r, 28 + k) for n, (r, k) in zip(AlignFace.NEEDED, upright, strict=True)}
        canvas = Canvas(height=128, width=96) if grow else Canvas(height=48, width=40)

        made = fit(given, SPECS, AlignFace(fill="black"), canvas, face)

        *_, (found_row, found_column, seen) = made.item.labels["keypoints"]
        room = 9 * made.fit.scale[0]
        assume(min(found_row, found_column) > room)
        around = tuple(
            slice(int(at - room), int(at + room) + 2) for at in (found_row, found_column)
        )
        assume(made.content[around].shape == (around[0].stop - around[0].start,) * 2)
        assume(seen and made.content[around].all())
        light = made.item.image[..., 0] * (made.item.image[..., 0] > 20)
        assert pytest.approx((found_row, found_column), abs=0.5) == centroid(light)

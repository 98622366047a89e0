import numpy as np
import pytest
from pydantic import ValidationError

from models.data.fitting import Align, AlignFace, Canvas, CentreCrop, Pad, Resize, can_align
from models.data.fitting.affine import moved, scales
from models.data.fitting.policies import FFHQ_FACE

CARS = Canvas(height=512, width=512, rows=(64, 448))
SQUARE = Canvas(height=512, width=512)


def edges(matrix, size):
    """
    Where the upper left and the lower right corner of a picture come to lie.
    """
    corners = np.array([(-0.5, -0.5), (size[0] - 0.5, size[1] - 0.5)])
    return (moved(matrix, corners) + 0.5).round(6).ravel().tolist()


def rotated(points, angle, scale=1.0, shift=(0.0, 0.0)):
    """
    Landmarks of a picture that was turned, scaled and moved.
    """
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return {name: tuple(linear @ place + shift) for name, place in points.items()}


class TestUpright:
    @pytest.mark.parametrize(
        ("policy", "size", "canvas", "expected"),
        [
            (Resize(), (100, 30), SQUARE, [0, 0, 512, 512]),
            (Resize(), (512, 512), CARS, [64, 0, 448, 512]),
            (CentreCrop(), (1024, 1536), SQUARE, [0, -128, 512, 640]),
            (CentreCrop(), (5, 4), Canvas(height=4, width=4), [0, 0, 5, 4]),
            (CentreCrop(), (2048, 1501), Canvas(height=1024, width=512), [0, -119, 1024, 631.5]),
            (Pad(), (300, 400), SQUARE, [64, 0, 448, 512]),
            (Pad(), (300, 400), CARS, [64, 0, 448, 512]),
            (Pad(), (100, 25), Canvas(height=1024, width=512), [0, 128, 1024, 384]),
            (Pad(), (1, 9000), SQUARE, [255, 0, 256, 512]),
        ],
    )
    def test_edges_come_to_lie_on(self, policy, size, canvas, expected):
        """
        Of each policy, where the picture's corners go: on the content, around it, or within.
        """
        assert expected == edges(policy.matrix(size, canvas, {}), size)

    def test_a_canvas_names_content_it_cannot_hold(self):
        """
        Rows outside the canvas, or none at all, are refused.
        """
        for rows in ((64, 513), (8, 8)):
            with pytest.raises(ValidationError, match=f"rows {rows[0]} to {rows[1]} are not"):
                Canvas(height=512, width=512, rows=rows)


class TestAlign:
    @pytest.mark.parametrize("canvas", [SQUARE, CARS], ids=["square", "bars"])
    def test_landmarks_reach_their_reference_points(self, canvas):
        """
        A face that was turned, scaled and moved comes to lie exactly on the reference points,
        as far as a canvas that is not square leaves the face its shape.
        """
        height, width = canvas.content
        top, left = canvas.origin
        wide = {name: (r, 0.5 + (c - 0.5) * height / width) for name, (r, c) in FFHQ_FACE.items()}
        wanted = {n: (top + r * height - 0.5, left + c * width - 0.5) for n, (r, c) in wide.items()}
        found = rotated(wanted, 2.0, 0.37, (50, 80))

        matrix = Align(points=wide).matrix((1000, 1000), canvas, found)

        for name, place in found.items():
            np.testing.assert_allclose(moved(matrix, place), wanted[name], atol=1e-6)

    def test_left_may_be_the_persons(self):
        """
        Landmarks named from the person's side are understood, and the face does not stand on
        its head.
        """
        viewers = {name: (r * 400, c * 400) for name, (r, c) in FFHQ_FACE.items()}
        persons = {
            "left_eye": viewers["right_eye"],
            "right_eye": viewers["left_eye"],
            "mouth_left": viewers["mouth_right"],
            "mouth_right": viewers["mouth_left"],
            "nose": viewers["nose"],
        }
        for policy in (Align(), AlignFace()):
            np.testing.assert_allclose(
                policy.matrix((400, 400), SQUARE, persons),
                policy.matrix((400, 400), SQUARE, viewers),
                atol=1e-9,
            )

    def test_two_landmarks_are_too_few(self):
        """
        What is missing is said with what would do and what there is.
        """
        with pytest.raises(ValueError, match=r"three or more of left_eye.*it has left_eye, nose"):
            Align().matrix((9, 9), SQUARE, {"left_eye": (1, 1), "nose": (2, 2), "tail": (3, 3)})


FACE = {
    "left_eye": (200.0, 150.0),
    "right_eye": (200.0, 250.0),
    "mouth_left": (300.0, 160.0),
    "mouth_right": (300.0, 240.0),
}


class TestAlignFace:
    def test_follows_the_published_rule(self):
        """
        The square's side is 4 eye distances or 3.6 times the way to the mouth, and its middle
        lies a tenth of that way below the eyes.
        """
        matrix = AlignFace().matrix((500, 400), SQUARE, FACE)

        assert pytest.approx((512 / 400, 512 / 400)) == scales(matrix)
        np.testing.assert_allclose(moved(matrix, (210, 200)), (255.5, 255.5))

    def test_a_long_face_sets_the_size_by_its_mouth(self):
        """
        Where the mouth is far, its distance counts and not the eyes'.
        """
        face = FACE | {"mouth_left": (400.0, 160.0), "mouth_right": (400.0, 240.0)}

        assert pytest.approx(512 / 720) == scales(AlignFace().matrix((500, 400), SQUARE, face))[0]

    @pytest.mark.parametrize("angle", [0.5, -1.2, 3.0])
    def test_a_turned_face_stands_upright(self, angle):
        """
        However the head was held, the result is the same.
        """
        turned = rotated(FACE, angle, 1.7, (300, -20))
        upright = AlignFace().matrix((500, 400), SQUARE, FACE)

        matrix = AlignFace().matrix((500, 400), SQUARE, turned)

        for name, place in turned.items():
            np.testing.assert_allclose(moved(matrix, place), moved(upright, FACE[name]), atol=1e-6)

    def test_a_mean_face_lies_on_the_five_points(self):
        """
        The two ways of aligning agree about FFHQ's mean face within 3 % of the canvas.
        """
        face = {name: (r * 512 - 0.5, c * 512 - 0.5) for name, (r, c) in FFHQ_FACE.items()}

        matrix = AlignFace().matrix((512, 512), SQUARE, face)

        for place in face.values():
            assert np.abs(moved(matrix, place) - place).max() < 0.03 * 512

    def test_missing_landmarks_are_named(self):
        """
        All four are needed, and those that are not there are listed.
        """
        with pytest.raises(ValueError, match="needs right_eye, mouth_right, which"):
            AlignFace().matrix((9, 9), SQUARE, {"left_eye": (1, 1), "mouth_left": (2, 2)})

    def test_four_points_in_one_place_are_no_face(self):
        """
        There is no square around nothing.
        """
        with pytest.raises(ValueError, match="in one place"):
            AlignFace().matrix((9, 9), SQUARE, dict.fromkeys(AlignFace.NEEDED, (3.0, 3.0)))


@pytest.mark.parametrize("policy", [Align(), AlignFace()])
def test_whether_names_suffice_is_known_beforehand(policy):
    """
    Before any picture is read it is told whether pictures with such landmarks can be aligned.
    """
    canvas = Canvas(height=64, width=48)
    names = ["left_eye", "right_eye", "mouth_left", "mouth_right"]

    assert can_align(policy, canvas, names) is None
    assert can_align(policy, canvas, names[::-1]) is None
    assert "needs" in can_align(policy, canvas, names[:2])
    assert can_align(Pad(), canvas, []) is None

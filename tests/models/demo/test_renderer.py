import numpy as np
import pytest
import torch

from models.demo import renderer
from models.demo.parameters import PARAMETERS
from models.demo.renderer import CLASS_NAMES, KEYPOINT_NAMES, render, sample_parameters

INDEX = {p.name: i for i, p in enumerate(PARAMETERS)}
BACKGROUND, NOSE, NECK = (CLASS_NAMES.index(name) for name in ("background", "nose", "neck"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """
    Pictures this small are drawn faster, and on a busy machine much faster, by one thread.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def faces():
    """
    Two hundred faces, drawn once for all tests of this module.
    """
    return render(sample_parameters(200, 0))


def an_even_face(**changes):
    """
    The face in the middle of all ranges, without rare things, but for `changes` of u.
    """
    u = torch.full([1, len(PARAMETERS)], 0.5)
    u[0, [i for i, p in enumerate(PARAMETERS) if p.ramp]] = 0.0
    u[0, INDEX["background_lightness"]] = 0.8  # Two colours behind, not one twice.
    for name, value in changes.items():
        u[0, INDEX[name]] = value
    return u


def commonest(mask, block):
    """
    The commonest class of each block, counted by numpy: [H, W] -> [H / block, W / block].
    """
    height, width = mask.shape
    blocks = mask.reshape(height // block, block, width // block, block).swapaxes(1, 2)
    flat = blocks.reshape(height // block, width // block, -1)
    return np.apply_along_axis(lambda b: np.bincount(b).argmax(), -1, flat)


class TestContract:
    def test_shapes_types_and_ranges(self, faces):
        """
        Every label has the shape, type and range that is written down.
        """
        assert (faces.images.shape, faces.images.dtype) == ((200, 3, 64, 64), torch.float32)
        assert (faces.masks.shape, faces.masks.dtype) == ((200, 64, 64), torch.uint8)
        assert faces.keypoints.shape == (200, len(KEYPOINT_NAMES), 3)
        assert faces.depth.shape == (200, 64, 64)
        assert faces.images.abs().max() <= 1
        assert faces.masks.max() < len(CLASS_NAMES)
        assert faces.depth.isfinite().all()
        assert faces.depth.min() > 0.5
        assert faces.depth.max() <= 3.0001

    def test_is_a_function_of_the_parameters(self, faces):
        """
        The same parameters give the same picture and labels, to the bit.
        """
        again = render(sample_parameters(24, 0))

        for name in ("images", "masks", "keypoints", "depth"):
            assert torch.equal(getattr(faces, name)[:24], getattr(again, name))

    def test_a_face_does_not_see_its_batch(self, faces):
        """
        A face drawn among others is the face drawn alone.
        """
        alone = render(sample_parameters(1, 0, first=37))

        torch.testing.assert_close(alone.images[0], faces.images[37], atol=0.02, rtol=0)
        assert (alone.masks[0] != faces.masks[37]).sum() <= 2

    def test_batchwise_is_the_same_in_pieces(self):
        """
        `render_batchwise` yields what `render` returns, `batch` faces at a time.
        """
        u = sample_parameters(10, 1)

        pieces = list(renderer.render_batchwise(u, batch=4))

        assert [len(piece.images) for piece in pieces] == [4, 4, 2]
        joined = torch.cat([piece.images for piece in pieces])
        torch.testing.assert_close(joined, render(u).images, atol=0.02, rtol=0)

    def test_no_faces(self):
        """
        Nothing asked, nothing drawn: the results are empty and keep their shapes.
        """
        empty = render(sample_parameters(0, 0))

        assert empty.images.shape == (0, 3, 64, 64)
        assert empty.keypoints.shape == (0, len(KEYPOINT_NAMES), 3)

    @pytest.mark.parametrize("supersample", [0, 6])
    def test_refuses_a_supersample_it_cannot_count(self, supersample):
        """
        More than 25 sub-pixels would overflow the counts of the majority.
        """
        with pytest.raises(ValueError, match=str(supersample)):
            render(an_even_face(), supersample=supersample)


class TestClasses:
    def test_every_class_has_its_share(self, faces):
        """
        All classes are there, large enough to learn and none everywhere.
        """
        shares = torch.bincount(faces.masks.flatten().long(), minlength=9) / faces.masks.numel()

        by_name = dict(zip(CLASS_NAMES, shares.tolist(), strict=True))
        assert 0.4 < by_name["background"] < 0.7
        for name in ("skin", "hair", "clothes"):
            assert 0.05 < by_name[name] < 0.25
        for name, pixels in {"eyes": 40, "brows": 20, "nose": 25, "mouth": 30, "neck": 80}.items():
            assert by_name[name] * 64 * 64 > pixels

    def test_small_classes_are_rarely_missing(self, faces):
        """
        At least 85 faces of a hundred show some of every class; what is missing is under a hat.
        """
        for k in range(len(CLASS_NAMES)):
            assert (faces.masks == k).flatten(1).any(1).float().mean() > 0.85

    def test_majority_agrees_with_counting(self):
        """
        With one clear winner in a block, the mask says what numpy counts.
        """
        u = sample_parameters(2, 4)
        subpixels = render(u, size=192, supersample=1).masks

        drawn = render(u, size=64, supersample=3).masks

        for fine, coarse in zip(subpixels.numpy(), drawn.numpy(), strict=True):
            assert (commonest(fine, 3) == coarse).mean() > 0.99  # Ties may differ.

    def test_the_front_wins_a_tie(self):
        """
        A pixel whose sub-pixels are half background, half something else is something else.
        """
        u = sample_parameters(4, 4)
        subpixels = render(u, size=128, supersample=1).masks.numpy()

        drawn = render(u, size=64, supersample=2).masks.numpy()

        background = (subpixels == BACKGROUND).reshape(4, 64, 2, 64, 2).sum((2, 4))
        first = subpixels.reshape(4, 64, 2, 64, 2).max((2, 4))
        only = np.where(subpixels == BACKGROUND, 255, subpixels)
        tied = (background == 2) & (only.reshape(4, 64, 2, 64, 2).min((2, 4)) == first)
        assert tied.sum() > 100
        assert (drawn[tied] == first[tied]).all()

    def test_mask_agrees_with_a_finer_one(self):
        """
        Drawn at four times the size and reduced by majority, over 97 % of pixels agree.
        """
        u = sample_parameters(6, 5)

        fine, coarse = render(u, size=256).masks, render(u, size=64).masks

        reduced = np.stack([commonest(m, 4) for m in fine.numpy()])
        assert (reduced == coarse.numpy()).mean() > 0.97

    @pytest.mark.parametrize(
        "part, name",
        [
            ("clothes", "clothes_lightness"),
            ("hair", "hair_lightness"),
            ("eyes", "sclera"),
            ("brows", "brow_lightness"),
            ("mouth", "lip_lightness"),
            ("background", "background_tint"),
        ],
    )
    def test_mask_says_where_a_colour_is(self, part, name):
        """
        Changing the colour of a part changes the image inside its mask, plus the
        soft border, and nowhere else.
        """
        before, after = render(an_even_face()), render(an_even_face(**{name: 0.95}))

        changed = (before.images - after.images).abs().amax(1)[0] > 0.02
        inside = before.masks[0] == CLASS_NAMES.index(part)
        grown = torch.nn.functional.max_pool2d(inside[None].float(), 3, 1, 1)[0] > 0
        assert changed.sum() > 0.3 * inside.sum()
        assert not (changed & ~grown).any()

    @pytest.mark.parametrize(
        "name, same_mask",
        [
            ("glasses", True),
            ("beard", True),
            ("band", True),
            ("cheeks", True),
            ("hat", False),
            ("hood", False),
        ],
    )
    def test_what_rare_things_are_labelled(self, name, same_mask):
        """
        Glasses, stubble and paint change the picture alone; hats and hoods are clothes.
        """
        without, with_it = render(an_even_face()), render(an_even_face(**{name: 0.98}))

        assert (without.images - with_it.images).abs().max() > 0.1
        assert same_mask == torch.equal(without.masks, with_it.masks)
        new = with_it.masks[without.masks != with_it.masks]
        assert all(CLASS_NAMES[k] == "clothes" for k in new.tolist())

    def test_the_neck_is_darker_than_the_face(self, faces):
        """
        The chin throws a shadow, so that neck and face can be told apart.
        """
        grey = faces.images.mean(1)

        skin = grey[faces.masks == CLASS_NAMES.index("skin")].mean()
        assert grey[faces.masks == NECK].mean() < skin - 0.15


class TestContinuity:
    @pytest.mark.parametrize("name", [p.name for p in PARAMETERS])
    def test_a_small_step_is_a_small_change(self, name):
        """
        A step of 1/500 in any parameter, also across the beginning of a ramp,
        moves the picture a little: nothing pops up.
        """
        p = PARAMETERS[INDEX[name]]
        start = -p.lo / (p.hi - p.lo) if p.ramp else 0.5

        before = render(an_even_face(**{name: start - 0.001}))
        after = render(an_even_face(**{name: start + 0.001}))

        assert (before.images - after.images).abs().mean() < 0.004


class TestKeypoints:
    def test_visible_points_lie_on_their_class(self, faces):
        """
        In the finished mask, not only among sub-pixels, over 95 of a hundred
        visible points have the class they name.
        """
        place = faces.keypoints[..., :2].round().long().clamp(0, 63)
        found = faces.masks[torch.arange(200)[:, None], place[..., 0], place[..., 1]]

        for k, part in enumerate(renderer.KEYPOINT_PARTS):
            visible = faces.keypoints[:, k, 2] == 2
            assert visible.float().mean() > 0.6
            assert (found[visible, k] == part).float().mean() > 0.95

    def test_hidden_points_exist_and_are_inside(self, faces):
        """
        Some eyes are hidden by hair or by the turn of the head; no point leaves the picture.
        """
        assert (faces.keypoints[:, :2, 2] == 1).any()
        assert (faces.keypoints[..., 2] >= 1).all()

    def test_left_is_the_viewers(self, faces):
        """
        Left points have the smaller column when the head is upright.
        """
        names = [KEYPOINT_NAMES[k] for pair in renderer.FLIP_PAIRS for k in pair]

        assert names == [
            "left_eye", "right_eye", "left_brow", "right_brow", "mouth_left", "mouth_right",
        ]  # fmt: skip
        for left, right in renderer.FLIP_PAIRS:
            assert (faces.keypoints[:, left, 1] < faces.keypoints[:, right, 1]).all()

    def test_eyes_are_the_middle_of_their_pixels(self):
        """
        On a face that looks ahead, each eye's keypoint is the centroid of its pixels.
        """
        face = render(an_even_face(fringe=0.0, gaze=0.5))
        rows, columns = (face.masks[0] == CLASS_NAMES.index("eyes")).nonzero(as_tuple=True)

        for k, half in enumerate((columns < 32, columns >= 32)):
            expected = torch.stack([rows[half].float().mean(), columns[half].float().mean()])
            torch.testing.assert_close(expected, face.keypoints[0, k, :2], atol=0.3, rtol=0)

    def test_turning_moves_the_nose(self):
        """
        A head turned to the right has its nose to the right of the mouth's middle.
        """
        left, right = (render(an_even_face(yaw=u)).keypoints[0] for u in (0.1, 0.9))

        nose = KEYPOINT_NAMES.index("nose_tip")
        assert left[nose, 1] < 26
        assert right[nose, 1] > 37

    def test_scales_with_the_picture(self):
        """
        A picture twice as large has its points twice as far from the corner.
        """
        u = sample_parameters(3, 6)

        small, large = render(u, size=64).keypoints, render(u, size=128).keypoints

        torch.testing.assert_close((small[..., :2] + 0.5) * 2, large[..., :2] + 0.5)


class TestDepth:
    def test_order_of_the_parts(self, faces):
        """
        From near to far: nose, skin, neck, background.
        """
        order = [NOSE, CLASS_NAMES.index("skin"), NECK, BACKGROUND]
        means = [faces.depth[faces.masks == k].mean() for k in order]

        assert means == sorted(means)
        assert means[-1] > 2.8

    def test_the_nose_is_the_nearest(self):
        """
        Of a face that looks ahead, the nearest pixel is on the lower half of the nose.
        """
        face = render(an_even_face())
        rows = (face.masks[0] == NOSE).nonzero()[:, 0].float()

        row, column = divmod(int(face.depth[0].argmin()), 64)
        assert face.masks[0, row, column] == NOSE
        assert row > rows.mean()

    def test_every_nose_stands_out(self, faces):
        """
        On each single face the nose is at least a metre before the wall.
        """
        for depth, mask in zip(faces.depth, faces.masks, strict=True):
            assert depth[mask == NOSE].median() < depth[mask == BACKGROUND].median() - 1

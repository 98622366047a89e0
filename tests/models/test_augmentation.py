from dataclasses import replace

import numpy as np
import pytest
import torch

from models.augmentation import Strength, augmented, moved_depth, moved_masks, moved_points
from models.heatmaps import gaussians, peaks
from models.seeding import philox

NOTHING = Strength(zoom=1.0, turn=0.0, shift=0.0, squeeze=1.0, colour=0.0, noise=0.0)


def pictures(n=4, size=16):
    """
    Pictures whose colours tell their class: class k has red k / 4 - 0.5.
    """
    masks = torch.randint(0, 4, (n, 4, 4), generator=torch.Generator().manual_seed(0))
    masks = masks.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)
    images = (masks[:, None] / 4 - 0.5).expand(-1, 3, -1, -1).float().contiguous()
    return images, masks


def test_strength_zero_changes_nothing():
    """
    With nothing to change and no mirror, pictures and masks come back as they were.
    """
    images, masks = pictures()

    got, labels = augmented(images, masks, philox(0), NOTHING, None)

    torch.testing.assert_close(got, images)
    assert torch.equal(labels, masks)


def test_a_settled_picture_stays_in_place_and_changes_its_colours():
    """
    Pixels stay where they are, exactly, but for a mirror; colours change as ever.
    """
    images, masks = pictures()
    strength = Strength().settled()

    colourless = replace(strength, colour=0.0, noise=0.0)
    still, same = augmented(images, masks, philox(0), colourless, None)
    coloured, _ = augmented(images, masks, philox(0), strength, None)

    torch.testing.assert_close(still, images)
    assert torch.equal(same, masks)
    assert (coloured - images).abs().mean() > 0.05


def test_mirrors_swap_paired_classes():
    """
    Half of all pictures are mirrored, and there a pair of classes changes places.
    """
    images, masks = pictures(64)

    got, labels = augmented(images, masks, philox(0), NOTHING, [(1, 2)])

    table = torch.tensor([0, 2, 1, 3])
    mirrored = [torch.equal(one, table[m].flip(1)) for one, m in zip(labels, masks, strict=True)]
    same = [torch.equal(one, m) for one, m in zip(labels, masks, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48
    for index, is_mirrored in enumerate(mirrored):
        expected = images[index].flip(2) if is_mirrored else images[index]
        torch.testing.assert_close(got[index], expected)


@pytest.mark.parametrize("size", [(16, 16), (16, 32), (32, 16)])
def test_labels_move_with_their_pixels(size):
    """
    However a picture is turned, zoomed, shifted and squeezed, its classes stay under their colours,
    but for the blur where two classes meet.
    """
    images, masks = pictures(32, size=32)
    images, masks = images[:, :, : size[0], : size[1]], masks[:, : size[0], : size[1]]
    strong = Strength(zoom=1.3, turn=0.5, shift=0.2, squeeze=1.2, colour=0.0, noise=0.0)

    got, labels = augmented(images, masks, philox(1), strong, ())

    told = ((got[:, 0] + 0.5) * 4).round().long()
    assert (told == labels).float().mean() > 0.85
    assert not torch.equal(labels, masks)


def test_turning_keeps_proportions():
    """
    A disc stays a disc in a picture that is not square.
    """
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    disc = ((rows - 15.5) ** 2 + (columns - 31.5) ** 2 < 36).long()[None].repeat(8, 1, 1)
    turned = Strength(zoom=1.0, turn=0.5, shift=0.0, squeeze=1.0, colour=0.0, noise=0.0)

    _, labels = augmented(torch.zeros(8, 3, 32, 64), disc, philox(0), turned, None)

    # Farther out, what is beyond the border is reflected into the picture.
    middle = (slice(None), slice(None), slice(16, 48))
    assert ((labels == disc)[middle].float().mean(dim=(1, 2)) > 0.98).all()


def test_colours_change_each_picture_its_own_way():
    """
    A grey picture gets another colour each time; the mask stays.
    """
    images, masks = torch.full((8, 3, 8, 8), 0.5), torch.ones(8, 8, 8, dtype=torch.long)
    colours = Strength(zoom=1.0, turn=0.0, shift=0.0, squeeze=1.0, colour=0.6, noise=0.0)

    got, labels = augmented(images, masks, philox(0), colours, None)

    assert float(got.mean(dim=(2, 3)).std(dim=0).min()) > 0.05
    assert float(got.std(dim=(2, 3)).max()) < 1e-5
    assert torch.equal(labels, masks)


def test_a_stream_decides_everything():
    """
    Equal streams give equal pictures; nothing is taken from torch's own stream.
    """
    images, masks = pictures()
    torch.manual_seed(0)
    one = augmented(images, masks, philox(3), Strength(), ())
    torch.manual_seed(1)
    same = augmented(images, masks, philox(3), Strength(), ())
    other = augmented(images, masks, philox(4), Strength(), ())

    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


STRONG = Strength(zoom=1.3, turn=0.5, shift=0.2, squeeze=1.2, colour=0.0, noise=0.0)


def dotted(n=24, size=(48, 64)):
    """
    Black pictures with a soft dot of one colour each at three points: points float32 [n, 3, 3].
    """
    stream = np.random.default_rng(0)
    places = stream.uniform(4, np.array(size) - 5, (n, 3, 2))
    points = torch.from_numpy(np.concatenate([places, np.full((n, 3, 1), 2)], -1)).float()
    return gaussians(points, size, 1.5), points


class TestPoints:
    def test_move_with_their_pixels(self):
        """
        However a picture is turned, zoomed, shifted and squeezed, a point stays on its dot.
        """
        images, points = dotted()

        got, labels = augmented(images, points, philox(1), STRONG, None, moved_points)

        seen = labels[..., 2] > 0
        inner = (labels[..., :2] > 3).all(-1) & (labels[..., :2] < torch.tensor([44, 60])).all(-1)
        # Dots lie four pixels or more from the border, so that their reflections are not this near.
        nearby = gaussians(labels, (48, 64), 1.5) > 0.2
        apart = (peaks(got * nearby)[..., :2] - labels[..., :2]).norm(dim=-1)
        assert float(apart[seen & inner].max()) < 0.3
        assert float((labels[..., :2] - points[..., :2]).norm(dim=-1)[seen].mean()) > 3

    def test_that_leave_the_picture_are_not_labelled_any_more(self):
        """
        A far shift carries points away; they become zeros, and no other point is outside.
        """
        images, points = dotted()
        far = Strength(zoom=1.0, turn=0.0, shift=0.5, squeeze=1.0, colour=0.0, noise=0.0)

        _, labels = augmented(images, points, philox(0), far, None, moved_points)

        gone = labels[..., 2] == 0
        assert 0.1 < float(gone.float().mean()) < 0.9
        assert not labels[gone].any()
        at = labels[~gone][:, :2].round()
        assert bool(((at >= 0) & (at < torch.tensor([48, 64]))).all())

    def test_without_a_label_stay_so(self):
        """
        What was not labelled is not found by moving it, nor are its numbers looked at.
        """
        images, points = dotted(n=2)
        points[:, 1] = torch.tensor([torch.nan, 3.0, 0.0])

        _, labels = augmented(images, points, philox(0), NOTHING, None, moved_points)

        torch.testing.assert_close(labels[:, [0, 2]], points[:, [0, 2]])
        assert not labels[:, 1].any()

    def test_of_a_pair_change_places_in_a_mirror(self):
        """
        In a mirrored picture what was left is right, place and name.
        """
        images, points = dotted(n=32, size=(16, 16))

        _, labels = augmented(images, points, philox(0), NOTHING, [(0, 2)], moved_points)

        mirrors = points[:, [2, 1, 0]] * torch.tensor([1, -1, 1]) + torch.tensor([0, 15, 0])
        is_same = [torch.allclose(a, b, atol=1e-4) for a, b in zip(labels, points, strict=True)]
        is_mirror = [torch.allclose(a, b, atol=1e-4) for a, b in zip(labels, mirrors, strict=True)]
        assert all(a != b for a, b in zip(is_same, is_mirror, strict=True))
        assert 8 < sum(is_mirror) < 24


class TestDepth:
    def test_moves_with_its_pixels(self):
        """
        Where all depth is known it is what a picture of it shows.
        """
        images = torch.randn(8, 3, 24, 16, generator=torch.Generator().manual_seed(0))

        got, depth = augmented(images, images[:, 0], philox(2), STRONG, (), moved_depth)

        torch.testing.assert_close(depth, got[:, 0])
        assert not torch.allclose(depth, images[:, 0])

    def test_none_stays_none_and_spreads_nowhere(self):
        """
        With nothing to change, the same pixels have no depth; the others keep theirs.
        """
        depth = torch.rand(4, 9, 9) + 1
        depth[:, 2:5, 3:7] = torch.nan

        _, moved = augmented(torch.zeros(4, 3, 9, 9), depth, philox(0), NOTHING, None, moved_depth)

        torch.testing.assert_close(moved, depth, equal_nan=True)

    def test_is_made_of_known_depths_alone(self):
        """
        Beside pixels without depth a turned picture shows what their neighbours have, and those
        pixels stay as many: where a mask of them would lie there is none.
        """
        depth = torch.full((8, 32, 32), 5.0)
        depth[:, 8:16, 8:16] = torch.nan

        images = torch.zeros(8, 3, 32, 32)

        _, moved = augmented(images, depth, philox(1), STRONG, (), moved_depth)

        known = moved.isfinite()
        torch.testing.assert_close(moved[known], torch.full_like(moved[known], 5.0))
        holes = augmented(images, (~depth.isfinite()).long(), philox(1), STRONG, (), moved_masks)[1]
        assert torch.equal(holes == 1, ~known)
        assert int(holes.sum()) > 0


def test_all_kinds_of_label_move_alike():
    """
    One stream gives one transform: the same pictures, whatever the label is.
    """
    images, masks = pictures()
    labels = ((masks, moved_masks), (masks / 3, moved_depth), (dotted(n=4)[1], moved_points))

    shown = [augmented(images, one, philox(3), STRONG, (), move)[0] for one, move in labels]

    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0], shown[2])

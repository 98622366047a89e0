import numpy as np
import pytest
import torch

from models.augmentation import Strength, augmented
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

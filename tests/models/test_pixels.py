import torch

from models.pixels import as_pixels


def test_rounds_as_the_authors_do():
    """
    v * 127.5 + 128, cut off and clipped: -1 is 0, 0 is 128, 1 is 255.
    """
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.999, 1.0, 5.0])
    images = values.view(1, 1, 1, -1).expand(1, 3, 1, -1)

    got = as_pixels(images, (1, 7))

    assert got[0, 0, :, 1].tolist() == [0, 0, 64, 128, 255, 255, 255]


def test_large_images_are_reduced_to_the_label():
    """
    From twice the size, each pixel is the mean of four.
    """
    images = torch.tensor([[-1.0, 1.0], [0.0, 0.0]]).expand(1, 3, 2, 2)

    assert as_pixels(images, (1, 1)).tolist() == [[[[128, 128, 128]]]]

import itertools

import pytest
from support.encoders import small_config

from models.encoders.config import Backbone, Head
from models.encoders.encoder import Encoder, own_tensors
from models.encoders.shapes import shapes_of

WIDTHS = [(16, 24, 32, 48), (16, 16, 32, 32)]


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize(("backbone", "head"), list(itertools.product(Backbone, Head)))
def test_shapes_are_those_of_the_network(backbone, head, channels):
    """
    Every tensor of an encoder is named with its shape, and nothing else is, whatever backbone and
    head, and whether stages widen or not.
    """
    codes = 1 if head is Head.W else 9
    config = small_config(backbone=backbone, head=head, channels=channels, num_codes=codes)

    tensors = own_tensors(Encoder(config))

    assert shapes_of(config) == {key: tuple(tensor.shape) for key, tensor in tensors.items()}

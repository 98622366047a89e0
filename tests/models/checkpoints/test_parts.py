import pytest
from support.generator_files import random_generator

from models.checkpoints.parts import shapes_of
from models.stylegan2.config import Architecture


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"architecture": Architecture.RESNET},
        {"architecture": Architecture.ORIG, "use_noise": False},
        {"label_dim": 3, "label_embed_dim": 4, "z_dim": 0},
        {"image_shape": (1, 16, 8), "mapping_widths": (9, 5), "w_dim": 5},
        {"image_shape": (3, 4, 4), "channels": (5,)},
    ],
)
def test_shapes_are_those_of_the_network(changes):
    """
    Every tensor that a generator has is enumerated with its shape, and no other.
    """
    generator = random_generator(**changes)

    expected = {key: tuple(tensor.shape) for key, tensor in generator.state_dict().items()}
    assert shapes_of(generator.config) == expected

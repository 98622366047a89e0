import subprocess
import sys

import torch
from torch import nn

from models.blank import Blank
from models.stylegan2.layers import FullyConnected

BUILD = """
import sys, torch
from models.encoders.config import Backbone, EncoderConfig, Family, Head
from models.encoders.encoder import build_encoder
from models.encoders.shapes import shapes_of
config = EncoderConfig(Backbone.RESNET34, Head.LAST_MAP, Family.PSP, 3, 4, 4, channels=(16,) * 4)
tensors = {key: torch.ones(shape) for key, shape in shapes_of(config).items()}
before = set(sys.modules)
build_encoder(config, tensors, "here")
print([name for name in sys.modules if name not in before])
"""


class TestBlank:
    def test_draws_no_weights(self):
        """
        Neither torch's layers nor ours take a number from the random stream.
        """
        state = torch.get_rng_state()

        with Blank():
            layers = [nn.Conv2d(9, 8, 3), nn.Linear(3, 5), nn.PReLU(4), FullyConnected(6, 7)]

        assert [tuple(layer.weight.shape) for layer in layers] == [
            (8, 9, 3, 3),
            (5, 3),
            (4,),
            (7, 6),
        ]
        assert torch.equal(state, torch.get_rng_state())

    def test_ends_with_its_block(self):
        """
        Afterwards layers are drawn as ever.
        """
        with Blank():
            nn.Linear(100, 100)

        assert 0.01 < nn.Linear(100, 100).weight.std() < 0.1

    def test_no_more_of_torch_is_loaded_to_build_an_encoder(self):
        """
        It took five seconds and 150 MB for the modules behind the meta device.
        """
        ran = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, check=True)

        assert ran.stdout.strip() == b"[]"

"""The encoder: pictures in, codes in W+ out. Rebuilt from an `EncoderConfig` alone.

`state_dict` holds the backbone, the head and `latent_avg`, zeros where there is no mean code; and
the generator's tensors, where the encoder was given its generator. pSp: Richardson et al., CVPR
2021; e4e: Tov et al., SIGGRAPH 2021; ReStyle: Alaluf et al., ICCV 2021.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.blank import Blank
from models.checkpoints.memory import check_own_numbers
from models.checkpoints.tensor_files import check_tensors
from models.encoders.backbones import BACKBONES
from models.encoders.config import EncoderConfig, Family
from models.encoders.heads import HEADS
from models.encoders.restyle import fitted, framed, refine
from models.encoders.shapes import shapes_of
from models.stylegan2.networks import Generator


class Encoder(nn.Module):
    """A pSp, e4e or ReStyle encoder, with the generator it was trained for where it is known."""

    latent_avg: Tensor

    def __init__(self, config: EncoderConfig, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = BACKBONES[config.backbone](config.in_channels, config.channels)
        self.head = HEADS[config.head](config)
        self.register_buffer("latent_avg", torch.zeros(config.num_ws, config.w_dim))
        self.generator = generator

    @property
    def num_ws(self) -> int:
        """How many codes `encode` gives for an image."""
        return self.config.num_ws

    @property
    def w_dim(self) -> int:
        """Width of a code."""
        return self.config.w_dim

    def forward(self, x: Tensor, parted: int | None = None) -> Tensor:
        """What is to be added to the mean code.

        e4e's codes after the first are differences from it: w_0, w_0 + d_1, w_0 + d_2, ..

        Args:
            x: float32 [N, in_channels, H, W] of `config.input_size`, in [-1, 1].
            parted: of e4e's later codes, how many of the first of them differ from w_0; None for
                all. Training lets them part one after another.

        Returns:
            float32 [N, num_codes, w_dim].
        """
        codes: Tensor = self.head(self.backbone(x))
        if self.config.family is Family.E4E:
            first, later = codes[:, :1], codes[:, 1:]
            if parted is not None:
                later = torch.cat([later[:, :parted], torch.zeros_like(later[:, parted:])], dim=1)
            codes = torch.cat([first, first + later], dim=1)
        return codes

    def mean_codes(self, generator: Generator | None) -> Tensor:
        """What `forward`'s codes are added to: its own mean codes, or the generator's mean w.

        Returns:
            float32 [num_ws, w_dim], num_ws the generator's where there is one.

        Raises:
            ValueError: it has no mean code of its own, and there is no generator.
        """
        num_ws = self.num_ws if generator is None else generator.num_ws
        if self.config.own_mean:
            return self.latent_avg[:num_ws]
        if generator is None:
            raise ValueError("an encoder without a mean code adds to a generator's mean: give one")
        return generator.w_avg.expand(num_ws, -1)

    @torch.no_grad()
    def encode(
        self, images: Tensor, generator: Generator | None = None, iterations: int | None = None
    ) -> Tensor:
        """Codes of pictures; for ReStyle the result of the whole loop.

        Args:
            images: [N, 3, H, W] in [-1, 1], framed as the generator's, of any size; reduced to
                `config.input_size`. Sketches and segmentations have `config.in_channels`.
            generator: to draw with and to fit the codes to; by default the encoder's own. A
                ReStyle encoder needs one, and so does one without a mean code.
            iterations: of ReStyle's loop; 5 by default.

        Returns:
            ws float32 [N, num_ws, w_dim], num_ws the generator's where there is one.

        Raises:
            ValueError: another number of channels, no generator where one is needed, or one that
                the codes do not fit.
        """
        generator = self.generator if generator is None else generator
        if generator is not None:
            return refine(self, generator, images, iterations)[-1].latents
        if self.config.restyle:
            raise ValueError("a ReStyle encoder compares with a generator's images: give one")
        return self.mean_codes(None) + fitted(self(framed(self, images)), self.num_ws)


def build_encoder(
    config: EncoderConfig,
    tensors: Mapping[str, Tensor],
    source: str,
    generator: Generator | None = None,
) -> Encoder:
    """An encoder of `config` holding exactly `tensors`, in eval mode.

    Args:
        config: the description.
        tensors: keyed as the encoder's state dict. BatchNorm's counters are optional. Float32
            tensors are taken over, not copied.
        source: what messages call the file.
        generator: the one it was trained for.

    Raises:
        CheckpointError: a key missing, unknown, or with another shape than `config` asks for; or
            tensors that repeat the same numbers.
    """
    kept = {key: tensor for key, tensor in tensors.items() if not is_counter(key)}
    check_tensors(shapes_of(config), kept, source)
    check_own_numbers(kept.values(), source)
    with Blank():
        encoder = Encoder(config)
    # BatchNorm makes its own counters where a plain dictionary lacks them.
    encoder.load_state_dict({key: t.float() for key, t in kept.items()}, assign=True)
    encoder.generator = generator
    return encoder.eval().requires_grad_(False)


def own_tensors(encoder: Encoder) -> dict[str, Tensor]:
    """The tensors that make the encoder: not its generator's, not BatchNorm's counters."""
    tensors = encoder.state_dict().items()
    return {k: t for k, t in tensors if not k.startswith("generator.") and not is_counter(k)}


def is_counter(key: str) -> bool:
    """Whether this is BatchNorm's count of batches, which evaluation does not use."""
    return key.endswith(".num_batches_tracked")

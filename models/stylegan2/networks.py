"""The StyleGAN2 generator: z -> w (mapping), w -> image (synthesis).

Every network here is rebuilt from a `GeneratorConfig` alone; `state_dict` holds all the rest,
noise constants included.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from models.stylegan2 import ops
from models.stylegan2.config import Architecture, GeneratorConfig
from models.stylegan2.layers import FullyConnected, Shortcut, StyledConv, ToRGB

NOISE_MODES = ("const", "random", "none")
Noise = str | Sequence[Tensor]


class Mapping(nn.Module):
    """z (and label) -> w, and the average w that truncation pulls towards."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        if config.label_dim:
            self.embed = FullyConnected(config.label_dim, config.label_embed_dim)
        width = config.z_dim + config.label_embed_dim
        layers = []
        for out in config.mapping_widths:
            layers.append(FullyConnected(width, out, config.mapping_lr_multiplier, activate=True))
            width = out
        self.layers = nn.ModuleList(layers)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        self.z_dim = config.z_dim
        self.label_dim = config.label_dim

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """z [N, z_dim] and labels [N, label_dim] -> w float32 [N, w_dim].

        z and the embedded label are normalised separately, then concatenated.
        """
        parts = [ops.normalize_second_moment(z.float())] if self.z_dim else []
        if self.label_dim:
            if labels is None or labels.shape != (z.shape[0], self.label_dim):
                given = None if labels is None else list(labels.shape)
                raise ValueError(f"labels must be [{z.shape[0]}, {self.label_dim}], got {given}")
            parts.append(ops.normalize_second_moment(self.embed(labels.float())))
        x = torch.cat(parts, dim=1)
        for layer in self.layers:
            x = layer(x)
        return x


class SynthesisBlock(nn.Module):
    """One resolution: an enlarging convolution (not at 4 pixels), a second one, an image.

    The image layer is there in every block of a skip network and in the last of any other. A
    residual block adds a shortcut, each summand times sqrt(1/2).
    """

    def __init__(self, config: GeneratorConfig, index: int, kernel: Tensor) -> None:
        super().__init__()
        out, size = config.channels[index], config.resolutions[index]
        options = (config.w_dim, size, kernel)
        tail = (config.use_noise, config.conv_clamp)
        last = index == len(config.channels) - 1
        self.first = index == 0
        self.residual = config.architecture is Architecture.RESNET and not self.first
        self.draws = config.architecture is Architecture.SKIP or last
        if not self.first:
            self.conv0 = StyledConv(config.channels[index - 1], out, *options, True, *tail)
        self.conv1 = StyledConv(out, out, *options, False, *tail)
        if self.residual:
            self.skip = Shortcut(config.channels[index - 1], out, kernel)
        if self.draws:
            self.to_rgb = ToRGB(out, config.image_shape[0], config.w_dim, config.conv_clamp)

    def forward(
        self, x: Tensor, ws: Tensor, noise: str | Iterator[Tensor]
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """What one resolution makes of the one before.

        Args:
            x: [N, I, h, w].
            ws: float32 [N, 2 or 3, w_dim]: of the convolutions, then of the image layer.
            noise: one of `NOISE_MODES`, or the maps for this block and those after it.

        Returns:
            the next block's x [N, O, H, W], this block's image part float32 [N, C, H, W] or
            None, and what each styled convolution put out.
        """
        features: list[Tensor] = []
        gain = math.sqrt(0.5) if self.residual else 1.0
        shortcut = self.skip(x, gain) if self.residual else None
        if not self.first:
            x = self.conv0(x, ws[:, 0], noise)
            features.append(x)
        x = self.conv1(x, ws[:, -2], noise, gain)
        features.append(x)
        if shortcut is not None:
            x = x + shortcut
        return x, self.to_rgb(x, ws[:, -1]) if self.draws else None, features


class Synthesis(nn.Module):
    """ws -> image: blocks of growing resolution, and the image they sum up or end in."""

    kernel: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        kernel = ops.fir_kernel(config.fir)
        self.register_buffer("kernel", kernel, persistent=False)
        self.constant = nn.Parameter(torch.randn(config.channels[0], *config.resolutions[0]))
        self.blocks = nn.ModuleDict(
            {
                str(size[0]): SynthesisBlock(config, index, kernel)
                for index, size in enumerate(config.resolutions)
            }
        )
        self.half_from = config.half_from

    def forward(
        self,
        ws: Tensor,
        noise: Noise = "const",
        dtype: torch.dtype | None = None,
        blocks: int | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """ws float32 [N, num_ws, w_dim] -> float32 image [N, C, H, W] and all feature maps.

        With `blocks`, only the first so many of a skip network run and the image is as small as
        the last of them. For `dtype` see `Generator.synthesize`.
        """
        image: Tensor | None = None
        features: list[Tensor] = []
        for drawn, maps in self.grown(ws, noise, dtype, blocks):
            image, features = drawn, features + maps
        assert image is not None, "only blocks of skip networks draw before the last one"
        return image, features

    def grown(
        self, ws: Tensor, noise: Noise, dtype: torch.dtype | None, blocks: int | None = None
    ) -> Iterator[tuple[Tensor | None, list[Tensor]]]:
        """Block after block: the image so far, and the maps that the block has added.

        Block of 4 pixels reads ws 0 and 1, block b reads 2b - 1 .. 2b + 1: each image layer
        shares its w with the next block's first convolution. Maps that are not kept are gone
        while the next block computes, but for the one it starts from.
        """
        dtypes = self._dtypes(ws, dtype)
        x = self.constant.to(dtypes[0]).expand(ws.shape[0], -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        features = [x]
        image: Tensor | None = None
        kind = noise if isinstance(noise, str) else iter(noise)
        for index, block in enumerate(list(self.blocks.values())[:blocks]):
            some = ws[:, max(2 * index - 1, 0) : 2 * index + 2]
            x, rgb, maps = block(x.to(dtypes[index]), some, kind)
            if rgb is not None:
                image = rgb if image is None else ops.upsample_image(image, self.kernel) + rgb
            yield image, features + maps
            features, maps = [], []

    def _dtypes(self, ws: Tensor, wanted: torch.dtype | None) -> list[torch.dtype]:
        """What each block computes in."""
        if wanted is None:
            # Gradients of a mean over pixels vanish in half precision (below 6e-8).
            differentiated = torch.is_grad_enabled() and ws.requires_grad
            half = self.half_from is not None and ws.is_cuda and not differentiated
            wanted = torch.float16 if half else torch.float32
        first = self.half_from or 0
        return [wanted if int(rows) >= first else torch.float32 for rows in self.blocks]


class Generator(nn.Module):
    """A whole StyleGAN2 generator; draws images, labels nothing."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    @property
    def z_dim(self) -> int:
        """Width of z."""
        return self.config.z_dim

    @property
    def w_dim(self) -> int:
        """Width of w."""
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        """How many w codes steer one image."""
        return self.config.num_ws

    @property
    def label_dim(self) -> int:
        """Width of the label vector; 0 for an unconditional generator."""
        return self.config.label_dim

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.config.image_shape

    @property
    def w_avg(self) -> Tensor:
        """float32 [w_dim]: the mean of w, centre of truncation."""
        return self.mapping.w_avg

    @property
    def feature_shapes(self) -> list[tuple[int, int, int]]:
        """(C_l, H_l, W_l) of the maps `synthesize_with_features` returns, in their order."""
        sizes = zip(self.config.channels, self.config.resolutions, strict=True)
        # The constant and conv1 at 4 pixels, then conv0 and conv1 of each block.
        return [(c, h, w) for c, (h, w) in sizes for _ in range(2)]

    def map(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Tensor:
        """Latents to style codes, truncated towards the mean: w_avg + psi (w - w_avg).

        Args:
            z: [N, z_dim], standard normal.
            labels: [N, label_dim]; needed if and only if `label_dim` is not 0.
            psi: 1 changes nothing, 0 gives the average image; above 1 is allowed.
            cutoff: only the first `cutoff` codes are truncated; None for all.

        Returns:
            float32 ws [N, num_ws, w_dim].
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z must be [N, {self.z_dim}], got {list(z.shape)}")
        w: Tensor = self.mapping(z, labels)
        ws = w.unsqueeze(1).repeat(1, self.num_ws, 1)
        if psi != 1:
            head = ws[:, :cutoff]
            ws = torch.cat([self.w_avg.lerp(head, psi), ws[:, head.shape[1] :]], dim=1)
        return ws

    @property
    def noise_constants(self) -> list[Tensor]:
        """The stored noise of each styled convolution, float32 [h, w]; none where none is added."""
        convolutions = (m for m in self.synthesis.modules() if isinstance(m, StyledConv))
        return [some.noise_const for some in convolutions if some.use_noise]

    def synthesize(
        self, ws: Tensor, noise: Noise = "const", dtype: torch.dtype | None = None
    ) -> Tensor:
        """ws [N, num_ws, w_dim] -> float32 images [N, C, H, W], nominally in [-1, 1], unclipped.

        Args:
            ws: style codes, one per layer.
            noise: "const" (stored), "random" (fresh, from torch's global stream) or "none"; or maps
                [1 or N, 1, h, w] in the place of each of `noise_constants`.
            dtype: what convolutions compute in; parameters and image stay float32. None is
                float32, but on CUDA float16 where the network was made for it
                (`config.half_from`) and ws asks for no gradient. A given dtype holds for the
                blocks from `half_from` on, for all where there is no such number; the others
                compute in float32.
        """
        return self.synthesize_with_features(ws, noise, dtype)[0]

    def synthesize_with_features(
        self, ws: Tensor, noise: Noise = "const", dtype: torch.dtype | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Images as `synthesize`, and the maps they were made of.

        Returns:
            images and [constant, styled convolutions coarse to fine], each [N, C_l, H_l, W_l]
            in its block's dtype, with the shapes of `feature_shapes`. The shortcuts of residual
            networks are not among them.
        """
        self._check(ws, noise)
        image, features = self.synthesis(ws.float(), noise, dtype)
        return image, features

    def feature_maps(
        self, ws: Tensor, noise: Noise = "const", dtype: torch.dtype | None = None
    ) -> Iterator[Tensor]:
        """The maps of `synthesize_with_features` one after the other, never all of them at once.

        Of a 1024 px generator they take 0.5 GB an image, in float32; the largest block's take
        half of that.
        """
        self._check(ws, noise)
        for _, maps in self.synthesis.grown(ws.float(), noise, dtype):
            while maps:  # Whoever waits for the next block holds none of this one's.
                yield maps.pop(0)

    def _check(self, ws: Tensor, noise: Noise) -> None:
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            wanted = f"[N, {self.num_ws}, {self.w_dim}]"
            raise ValueError(f"ws must be {wanted}, got {list(ws.shape)}")
        if isinstance(noise, str) and noise not in NOISE_MODES:
            raise ValueError(f"noise must be one of {NOISE_MODES}, got {noise!r}")

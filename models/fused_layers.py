"""The layers of an ensemble, and what is above the first: plainly, or on a GPU in one kernel.

Plainly, hidden values are written to memory after each layer, tile by tile. The kernel
(`models.fused_kernel`) takes each patch of pixels from the projected maps to the outputs, or to
the vote on classes, and writes nothing in between. Both give the same numbers: within 1e-5 of the
largest in float32, and as far as float16 goes where that is asked for.

The kernel was run in Triton's interpreter and compiled for the architectures 8.0 and 9.0. It has
never been run or timed on a GPU; so `models.fused_check` asks of each GPU whether it works there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.heads.base import Decision, Vote
from models.hypercolumns import Projected

WIDEST = 256
"""Hidden values of a member's second layer that the kernel holds at most."""
MOST_OUTPUTS = 64
"""K at most, in the kernel."""

_BLOCKS: Mapping[tuple[torch.dtype, bool], Mapping[str, int]] = {
    (torch.float32, False): {
        "ROWS": 8, "COLUMNS": 8, "HIDDEN_AT_ONCE": 32, "CHANNELS_AT_ONCE": 16, "num_warps": 4,
    },
    (torch.float32, True): {
        "ROWS": 4, "COLUMNS": 8, "HIDDEN_AT_ONCE": 16, "CHANNELS_AT_ONCE": 16, "num_warps": 8,
    },
    (torch.float16, False): {
        "ROWS": 8, "COLUMNS": 8, "HIDDEN_AT_ONCE": 32, "CHANNELS_AT_ONCE": 64, "num_warps": 4,
    },
    (torch.float16, True): {
        "ROWS": 8, "COLUMNS": 8, "HIDDEN_AT_ONCE": 64, "CHANNELS_AT_ONCE": 64, "num_warps": 8,
    },
}  # fmt: skip
"""What a program does at once, by the type of the factors and whether a second layer is wide.

Chosen by what the compiler says, for want of a GPU: registers hold it all, or nearly.
"""

_NARROW = 64


@dataclass(frozen=True)
class Layers:
    """The folded weights of M members; float32.

    Attributes:
        w1, b1: [M, h1, C] and [M, h1].
        w2, b2: [M, h2, h1] and [M, h2].
        w3, b3: [M, K, h2] and [M, K].
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    w3: Tensor
    b3: Tensor

    def to(self, device: torch.device) -> "Layers":
        """The same on another device."""
        return Layers(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def of(self, members: slice) -> "Layers":
        """Those of some members."""
        return Layers(**{f.name: getattr(self, f.name)[members] for f in fields(self)})

    def above_first(self, hidden: Tensor) -> Tensor:
        """Layers 2 and 3: h1 [..., M * width], which is written over -> outputs [M, K, ...]."""
        x = hidden.relu_().view(-1, *self.b1.shape).permute(1, 2, 0)  # [M, h1, P]
        x = torch.baddbmm(self.b2[..., None], self.w2, x).relu_()
        outputs = torch.baddbmm(self.b3[..., None], self.w3, x)
        return outputs.view(*outputs.shape[:2], *hidden.shape[:-1])


@dataclass(frozen=True)
class Shape:
    """The widths of an ensemble of M members; `channels` are those of the finest maps."""

    members: int
    channels: int
    h1: int
    h2: int
    outputs: int

    @classmethod
    def of(cls, layers: Layers, channels: int) -> "Shape":
        """Of these layers, and so many channels of the finest maps."""
        return cls(
            len(layers.b1), channels, *(b.shape[1] for b in (layers.b1, layers.b2, layers.b3))
        )


def fits(layers: Layers) -> bool:
    """Whether the kernel has room for a second layer and outputs as wide."""
    return layers.b2.shape[1] <= WIDEST and layers.b3.shape[1] <= MOST_OUTPUTS


def settings(shape: Shape, dtype: torch.dtype) -> dict[str, int]:
    """All that the kernel wants to know when it is compiled, but for the vote."""
    blocks = _BLOCKS[dtype, shape.h2 > _NARROW]
    rows, columns = blocks["ROWS"] // 2, blocks["COLUMNS"] // 2
    used = (rows + 2) * (columns + 2) + (rows + 1) * (columns + 1)
    return {
        **blocks,
        "MEMBERS": shape.members,
        "CHANNELS": shape.channels,
        "H1": shape.h1,
        "H2": shape.h2,
        "K": shape.outputs,
        "USED": used,
        "SAMPLES": _padded(used),
        "H2_PADDED": _padded(shape.h2),
        "K_PADDED": _padded(shape.outputs),
        "num_stages": 2,
    }


def said(projected: Projected, layers: Layers) -> Tensor:
    """What each member says of each pixel, as `Layers.above_first` of all of them has it.

    Args:
        projected: the first layers of all members, float32 or float16, of two levels or more; on
            CUDA, or anywhere in Triton's interpreter.
        layers: on the same device.

    Returns:
        float32 [M, K, N, H, W].
    """
    size = (len(projected.finest[0]), *projected.size)
    outputs = layers.b3.new_empty(*layers.b3.shape, *size)
    _launch(projected, layers, outputs, None, None, is_hard=False)
    return outputs


def voted(projected: Projected, layers: Layers, vote: Vote) -> Decision:
    """The members' vote on the class of each pixel, as `SegmentationHead.decide` has it.

    Args:
        projected: as `said` takes it.
        layers: on the same device.
        vote: how members agree.

    Returns:
        ids uint8 [N, H, W, 1] and uncertainties float32 [N, H, W].
    """
    size = (len(projected.finest[0]), *projected.size)
    classes = layers.b3.new_empty(size, dtype=torch.uint8)
    uncertainty = layers.b3.new_empty(size)
    _launch(projected, layers, None, classes, uncertainty, is_hard=vote is Vote.HARD)
    return Decision(classes[..., None], uncertainty)


def _launch(
    projected: Projected,
    layers: Layers,
    outputs: Tensor | None,
    classes: Tensor | None,
    uncertainty: Tensor | None,
    is_hard: bool,
) -> None:
    """Run the kernel, which writes the outputs or, without any, the vote."""
    from models.fused_kernel import label_patch  # Triton is only there for GPUs.

    assert projected.smaller is not None
    finest = torch.cat([_last(f) for f in projected.finest], dim=3)  # [N, H, W, C]
    images, height, width, channels = finest.shape
    known = settings(Shape.of(layers, channels), finest.dtype)
    patches = -(-height // known["ROWS"]) * -(-width // known["COLUMNS"])
    corners = projected.smaller.corners
    with torch.cuda.device_of(finest):  # type: ignore[no-untyped-call]
        label_patch[patches, images](
            finest.contiguous(),
            _last(projected.smaller.last),
            None if corners is None else _last(corners),
            projected.weight.contiguous(),
            layers.w2.to(finest.dtype).contiguous(),
            layers.b2,
            layers.w3.to(finest.dtype).contiguous(),
            layers.b3,
            outputs,
            classes,
            uncertainty,
            height,
            width,
            images,
            HARD=is_hard,
            **known,
        )


def _last(x: Tensor) -> Tensor:
    """[N, D, h, w] -> [N, h, w, D], contiguous; no copy of what lies so already."""
    return x.permute(0, 2, 3, 1).contiguous()


def _padded(number: int) -> int:
    """A power of two, at least that and 16, as Triton's products want it."""
    return max(16, 1 << (number - 1).bit_length())

"""Where the parts of a face are: from named parameters to places and sizes.

A head is an ellipsoid. A feature lies on it at a longitude and a latitude, so that
turning the head moves it, and narrows it, as in life. Head coordinates: (x, y) to the
right and down, 0 in the middle of the face, in half-widths of the picture, after undoing the
head's shift, roll and scale. 'Left' is the viewer's left. Knows nothing of pixels.

Every tensor here is float32 [N, 1, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Values = dict[str, Tensor]
"""Named parameters in their own units, float32 [N, 1, 1] each: see `parameters.values`."""

HEAD_Y = -0.06
"""Where the middle of an unshifted face is: a little above the middle of the picture."""


@dataclass(frozen=True)
class Eye:
    """One eye with its brow."""

    x: Tensor
    y: Tensor
    half_width: Tensor
    half_height: Tensor
    iris_x: Tensor
    brow_y: Tensor
    brow_half_width: Tensor
    brow_slope: Tensor


@dataclass(frozen=True)
class Anatomy:
    """The places of all parts in head coordinates; pairs are (x, y).

    `hair` is the middle of the hair, which moves against the face as the head turns.
    """

    left: Eye
    right: Eye
    bridge: tuple[Tensor, Tensor]
    tip: tuple[Tensor, Tensor]
    nose_half_width: Tensor
    mouth: tuple[Tensor, Tensor]
    mouth_half_width: Tensor
    mouth_half_height: Tensor
    chin: tuple[Tensor, Tensor]
    hair: tuple[Tensor, Tensor]
    hair_half_width: Tensor
    hair_half_height: Tensor


def measure(v: Values) -> Anatomy:
    """All places of the faces with values `v` (see `parameters.values`)."""
    width, height, yaw, pitch = v["head_width"], v["head_height"], v["yaw"], v["pitch"]
    tip_y = height * torch.sin(v["nose_length"] + 1.15 * pitch)
    return Anatomy(
        left=_eye(v, -1),
        right=_eye(v, 1),
        bridge=(0.98 * width * torch.sin(yaw), height * torch.sin(pitch - 0.12)),
        tip=(1.2 * width * torch.sin(yaw), tip_y),
        nose_half_width=v["nose_width"] * (1 - 0.2 * yaw.abs()),
        mouth=(0.82 * width * torch.sin(yaw), height * torch.sin(0.68 + 0.9 * pitch)),
        mouth_half_width=v["mouth_width"] * torch.cos(yaw),
        mouth_half_height=v["lip_fullness"] + v["mouth_opening"],
        chin=(0.3 * width * torch.sin(yaw), 0.94 * height),
        hair=(-0.22 * width * torch.sin(yaw), -0.06 * height),
        hair_half_width=width * v["hair_volume"],
        hair_half_height=height * (0.4 + 0.55 * v["hair_volume"]),
    )


def _eye(v: Values, side: int) -> Eye:
    """The eye to the viewer's left (`side` -1) or right (+1)."""
    longitude = side * v["eye_spacing"] + v["yaw"]
    narrowing = torch.cos(longitude) / torch.cos(v["eye_spacing"])
    x = v["head_width"] * torch.sin(longitude)
    y = v["head_height"] * torch.sin(v["pitch"] - 0.04)
    half_width = v["eye_size"] * narrowing
    half_height = v["eye_size"] * v["eye_openness"]
    return Eye(
        x=x,
        y=y,
        half_width=half_width,
        half_height=half_height,
        iris_x=x + (v["gaze"] + 0.25 * v["yaw"]) * half_width,
        brow_y=y - half_height - v["brow_height"] - v["brow_thickness"],
        brow_half_width=1.3 * half_width,
        brow_slope=-side * v["brow_tilt"],
    )

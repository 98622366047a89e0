"""Draws faces with exact labels: from parameters to images, masks, keypoints and depth.

Image, mask, keypoints and depth come from one geometry, so the labels are exact. All work
is elementwise over [N, R, R] with R = size * supersample, on the device of the parameters.
'Left' and 'right' are the viewer's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.demo import accessories, layers
from models.demo.anatomy import Anatomy
from models.demo.canvas import Canvas, Part
from models.demo.colours import palette_of
from models.demo.layers import Scene
from models.demo.parameters import NUM_PARAMETERS, sample_parameters, values

__all__ = [
    "CLASS_NAMES",
    "FLIP_PAIRS",
    "KEYPOINT_NAMES",
    "NUM_PARAMETERS",
    "PALETTE",
    "Renders",
    "render",
    "render_batchwise",
    "sample_parameters",
]

CLASS_NAMES = tuple(part.name.lower() for part in Part)
"""Names of the mask's classes, by id."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (24, 26, 38),
    (236, 188, 150),
    (112, 66, 32),
    (250, 250, 250),
    (190, 60, 200),
    (60, 180, 90),
    (225, 50, 60),
    (176, 122, 84),
    (60, 110, 220),
)
"""RGB in 0..255 for each class, for pictures of masks."""

KEYPOINT_NAMES = (
    "left_eye",
    "right_eye",
    "left_brow",
    "right_brow",
    "nose_tip",
    "mouth_left",
    "mouth_right",
    "chin",
)
"""Names of the keypoints, in order; left is the viewer's left."""

KEYPOINT_PARTS = (
    Part.EYES,
    Part.EYES,
    Part.BROWS,
    Part.BROWS,
    Part.NOSE,
    Part.MOUTH,
    Part.MOUTH,
    Part.SKIN,
)
"""The class each keypoint lies on when it can be seen."""

FLIP_PAIRS = ((0, 1), (2, 3), (5, 6))
"""Keypoints that change places when the picture is mirrored."""

_RANK = (0, 3, 2, 8, 7, 5, 6, 1, 4)
"""Of two classes with equally many sub-pixels in a pixel, the one in front gets it."""

_CPU_SUBPIXELS = 8 * 128 * 128
"""Sub-pixels painted at once on a CPU, so that the maps stay in its cache."""

_GPU_SUBPIXELS = 256 * 128 * 128


@dataclass(frozen=True)
class Renders:
    """N drawn faces with their labels.

    Attributes:
        images: float32 [N, 3, H, W], RGB in [-1, 1].
        masks: uint8 [N, H, W]; value k means `CLASS_NAMES[k]`.
        keypoints: float32 [N, K, 3]; (row, column, visibility), in pixels; the centre of the
            first pixel is (0, 0), so that a rounded point indexes the mask. Visibility: 2 seen,
            1 hidden by hair, a hat or the turn of the head, 0 outside the picture.
        depth: float32 [N, H, W], metres from the viewer.
    """

    images: Tensor
    masks: Tensor
    keypoints: Tensor
    depth: Tensor


def render(parameters: Tensor, size: int = 64, supersample: int = 2) -> Renders:
    """Draw one face per row of `parameters`.

    Args:
        parameters: float32 [N, NUM_PARAMETERS] in [0, 1].
        size: H = W of the results, in pixels.
        supersample: sub-pixels per pixel and axis, 1 to 5. A pixel's colour and depth are the means
            over its sub-pixels, its class is the one most of them have.
    """
    if not 1 <= supersample <= 5:
        raise ValueError(f"supersample must be 1 to 5, got {supersample}")
    budget = _CPU_SUBPIXELS if parameters.device.type == "cpu" else _GPU_SUBPIXELS
    chunk = max(1, budget // (size * supersample) ** 2)
    chunks = torch.split(parameters.detach().float(), chunk)
    return _joined([_render(some, size, supersample) for some in chunks])


def render_batchwise(
    parameters: Tensor, size: int = 64, supersample: int = 2, batch: int = 64
) -> Iterator[Renders]:
    """As `render`, `batch` faces at a time, for more faces than fit into memory."""
    for some in torch.split(parameters, batch):
        yield render(some, size, supersample)


def _joined(renders: list[Renders]) -> Renders:
    return Renders(
        images=torch.cat([r.images for r in renders]),
        masks=torch.cat([r.masks for r in renders]),
        keypoints=torch.cat([r.keypoints for r in renders]),
        depth=torch.cat([r.depth for r in renders]),
    )


def _render(parameters: Tensor, size: int, supersample: int) -> Renders:
    v = values(parameters)
    scene = layers.set_scene(v, size * supersample)
    canvas = _painted(scene, len(parameters), size * supersample)
    colours = canvas.colours(palette_of(v))
    return Renders(
        images=F.avg_pool2d(colours, supersample).mul_(2).sub_(1),
        masks=_majority(canvas.part, supersample),
        keypoints=_keypoints(scene, canvas.part, size),
        depth=F.avg_pool2d(canvas.depth[:, None], supersample)[:, 0],
    )


def _painted(scene: Scene, n: int, size: int) -> Canvas:
    """All layers, from the back to the front."""
    canvas = Canvas.blank(n, size, scene.x.device)
    layers.paint_background(canvas, scene)
    layers.paint_clothes(canvas, scene)
    layers.paint_back_hair(canvas, scene)
    layers.paint_neck(canvas, scene)
    light = layers.face_light(scene)
    layers.paint_face(canvas, scene, light)
    for eye in (scene.at.left, scene.at.right):
        layers.paint_eye(canvas, scene, eye)
        layers.paint_brow(canvas, scene, eye)
    layers.paint_nose(canvas, scene, light)
    layers.paint_mouth(canvas, scene)
    layers.paint_fringe(canvas, scene)
    accessories.paint_hood(canvas, scene)
    accessories.paint_hat(canvas, scene)
    accessories.paint_glasses(canvas, scene)
    return canvas


def _majority(part: Tensor, supersample: int) -> Tensor:
    """The commonest class of each block: uint8 [N, R, R] -> [N, R / supersample, ...]."""
    step = range(supersample)
    blocks = [part[:, i::supersample, j::supersample].contiguous() for i in step for j in step]
    best = torch.zeros_like(blocks[0])
    for k, rank in enumerate(_RANK):
        count = torch.zeros_like(blocks[0])
        for block in blocks:
            count += block == k
        # 9 * 25 + 8 < 256: the count decides, the rank breaks ties and names the class.
        best = torch.maximum(best, count.mul_(len(_RANK)).add_(rank))
    by_rank = sorted(range(len(_RANK)), key=_RANK.__getitem__)
    return part.new_tensor(by_rank)[(best % len(_RANK)).long()]


def _keypoints(scene: Scene, part: Tensor, size: int) -> Tensor:
    """Places and visibilities, float32 [N, K, 3]."""
    at, v = scene.at, scene.v
    corner = 0.8 * at.mouth_half_width
    corner_y = at.mouth[1] + v["smile"] * (0.4 - 0.8**2)
    places = [
        (at.left.x, at.left.y),
        (at.right.x, at.right.y),
        (at.left.x, at.left.brow_y),
        (at.right.x, at.right.brow_y),
        _nose_tip(at),
        (at.mouth[0] - corner, corner_y),
        (at.mouth[0] + corner, corner_y),
        at.chin,
    ]
    x, y = (torch.cat(axis, dim=1)[..., 0] for axis in zip(*places, strict=True))  # [N, K] each
    column, row = layers.from_head({k: t[..., 0] for k, t in v.items()}, x, y)
    points = torch.stack([row, column], dim=-1).add_(1).div_(2)  # [N, K, 2]
    return torch.cat([points * size - 0.5, _visibility(points, part)], dim=-1)


def _visibility(points: Tensor, part: Tensor) -> Tensor:
    """Whether the sub-pixel under a point has the point's class.

    Args:
        points: float32 [N, K, 2]; (row, column) as fractions of the picture's sides.
        part: uint8 [N, R, R], classes of the sub-pixels.

    Returns:
        float32 [N, K, 1]: 2 seen, 1 hidden, 0 outside.
    """
    within = ((points >= 0) & (points < 1)).all(-1)
    n, size, _ = part.shape
    row, column = (points * size).long().clamp(0, size - 1).unbind(-1)
    found = part[torch.arange(n, device=part.device)[:, None], row, column]
    seen = found == part.new_tensor(KEYPOINT_PARTS)
    return (within.float() + (within & seen).float()).unsqueeze(-1)


def _nose_tip(at: Anatomy) -> tuple[Tensor, Tensor]:
    """A little above the lower end of the nose."""
    (x0, y0), (x1, y1) = at.bridge, at.tip
    return x0 + 0.85 * (x1 - x0), y0 + 0.85 * (y1 - y0)

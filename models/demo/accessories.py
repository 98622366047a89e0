"""What a face may wear: layers in front of all others. See `layers` for the terms."""

import torch

from models.demo.canvas import Canvas, Part, ellipse
from models.demo.layers import Scene, lit


def paint_hood(canvas: Canvas, s: Scene) -> None:
    """A hood over the hair, open around the face; none where its size is 0."""
    v = s.v
    size = v["hood"]
    outline = s.hair - v["hair_curl"] * s.waves + 0.3 * size.sqrt()
    half_width = v["head_width"] * (1.5 - 0.45 * size)
    half_height = v["head_height"] * (1.4 - 0.45 * size)
    opening = ellipse(s.x / half_width, s.y / half_height)
    where = (outline > 0) & (opening < 0) & (size > 0)
    across = (s.x - s.at.hair[0]) / s.at.hair_half_width
    light = 0.9 + 0.3 * opening.clamp(-1, 0) + v["light_strength"] * lit(s, across)
    canvas.paint(where, Part.CLOTHES, light, s.cloth, canvas.depth.clamp(max=1.32))


def paint_hat(canvas: Canvas, s: Scene) -> None:
    """A cap over the hair, with a darker brim; none where its depth is 0."""
    v = s.v
    outline = s.hair - v["hair_curl"] * s.waves + (2 * v["hat"]).clamp(max=0.28)
    top = s.at.hair[1] - s.at.hair_half_height
    brim = top + v["hat"] * (v["head_height"] + 0.1 * (1 - s.face_x.square()))
    up = brim - s.y
    light = torch.where(up < 0.1, 0.65, 1.0) + v["light_strength"] * lit(s, s.face_x)
    where = (outline > 0) & (up > 0) & (v["hat"] > 0)
    canvas.paint(where, Part.CLOTHES, light, 1 - 0.3 * s.cloth, canvas.depth.clamp(max=1.3))


def paint_glasses(canvas: Canvas, s: Scene) -> None:
    """Tinted glasses: they dim what is under them and leave its class alone."""
    v = s.v
    glass = torch.zeros_like(s.face, dtype=torch.bool)
    for eye in (s.at.left, s.at.right):
        dx = (s.x - eye.x) / (eye.half_width * 1.5)
        dy = (s.y - eye.y) / (v["eye_size"] * 1.3)
        glass |= ellipse(dx, dy) > 0
    glass &= (s.face > 0) & (canvas.part != Part.HAIR)
    canvas.light = torch.where(glass, canvas.light * (1 - 0.9 * v["glasses"]), canvas.light)

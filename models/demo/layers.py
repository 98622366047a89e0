"""The layers of a face, from the back to the front, each painted on a `Canvas`.

A layer decides which sub-pixels it covers from a function that is positive inside. `Scene` holds
what all layers share. Maps are float32 [N, R, R], values of a face are [N, 1, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.demo.anatomy import HEAD_Y, Anatomy, Eye, Values, measure
from models.demo.canvas import Canvas, Part, ellipse


@dataclass(frozen=True)
class Scene:
    """Coordinates of the sub-pixels and the shapes that several layers need.

    Attributes:
        v: the named values of the faces.
        at: the places of their parts.
        column: [1, 1, R], the picture's own coordinate from -1 (left) to 1.
        row: [1, R, 1], the same from -1 (top) to 1.
        x: [N, R, R], head coordinates (see `anatomy`), and `y` the same.
        waves: [N, R, R] in [-1, 1], for curly edges.
        cloth: [N, R, R] in [0, 1], how far clothes show their second colour.
        hair: [N, R, R], above 0 inside the outline of the hair.
        face: [N, R, R], above 0 on the face.
        face_x: [N, R, R], across the face, -1 and 1 at its borders.
        bulge: [N, R, R] in [0, 1], how far the face comes towards the viewer.
    """

    v: Values
    at: Anatomy
    column: Tensor
    row: Tensor
    x: Tensor
    y: Tensor
    waves: Tensor
    cloth: Tensor
    hair: Tensor
    face: Tensor
    face_x: Tensor
    bulge: Tensor


def set_scene(v: Values, size: int) -> Scene:
    """The scene of the faces `v` at `size` x `size` sub-pixels."""
    at = measure(v)
    centres = (torch.arange(size, device=v["yaw"].device) + 0.5) * (2 / size) - 1
    column, row = centres.view(1, 1, -1), centres.view(1, -1, 1)
    x, y = to_head(v, column, row)
    waves = (torch.sin(14 * column) * torch.sin(12 * row)).expand_as(x)
    cloth = ((row - v["shift_y"] - 0.45) / 0.6).clamp(0, 1).expand_as(x)
    face_x = x / (v["head_width"] * (1 - v["jaw"] * (y / v["head_height"]).clamp_(min=0).square_()))
    face = ellipse(face_x, y / v["head_height"])
    hair = _hair_outline(v, at, x, y) + v["hair_curl"] * waves
    bulge = face.clamp(0, 1).sqrt_()
    return Scene(v, at, column, row, x, y, waves, cloth, hair, face, face_x, bulge)


def to_head(v: Values, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """From the picture's coordinates in [-1, 1] to head coordinates."""
    right, down = column - v["shift_x"], row - v["shift_y"] - HEAD_Y
    cosine, sine = torch.cos(v["roll"]) / v["scale"], torch.sin(v["roll"]) / v["scale"]
    return cosine * right + sine * down, cosine * down - sine * right


def from_head(v: Values, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """From head coordinates to the picture's (column, row) in [-1, 1]."""
    cosine, sine = torch.cos(v["roll"]) * v["scale"], torch.sin(v["roll"]) * v["scale"]
    column = cosine * x - sine * y + v["shift_x"]
    row = sine * x + cosine * y + v["shift_y"] + HEAD_Y
    return column, row


def _hair_outline(v: Values, at: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    """A round cap above its middle, hanging almost straight below it."""
    x_middle, y_middle = at.hair
    down = y - y_middle
    above = down.clamp(max=0) / at.hair_half_height
    below = (down.clamp_(min=0) / (v["hair_length"] * v["head_height"])).square_()
    return ellipse((x - x_middle) / at.hair_half_width, above).sub_(below.square_())


def paint_background(canvas: Canvas, s: Scene) -> None:
    """Two colours blending in one direction."""
    v = s.v
    cosine, sine = torch.cos(v["background_direction"]), torch.sin(v["background_direction"])
    blend = (cosine * s.column + sine * s.row).mul_(0.4).add_(0.5)  # [N, R, R]
    canvas.mix = blend.clamp_(0, 1)


def paint_clothes(canvas: Canvas, s: Scene) -> None:
    """Shoulders, from one colour to another."""
    v = s.v
    across = (s.column - 0.7 * v["shift_x"]) / v["shoulder_width"]
    body = ellipse(across, (s.row - 1.25 - v["shift_y"]) / 0.62)  # [N, R, R]
    light = 0.62 + 0.4 * body.clamp(0, 1).sqrt_() + v["light_strength"] * lit(s, across)
    canvas.paint(body > 0, Part.CLOTHES, light, s.cloth, 1.5 - 0.3 * body)


def lit(s: Scene, across: Tensor) -> Tensor:
    """Light from one side on something round; `across` is -1 and 1 at its borders."""
    return s.v["light_direction"] * across


def _paint_hair(canvas: Canvas, s: Scene, where: Tensor, depth: Tensor) -> None:
    """Hair from its first colour at the roots to its second, with a glow on the lit side."""
    across = (s.x - s.at.hair[0]) / s.at.hair_half_width
    light = s.hair.clamp(0, 1).mul_(0.3).add_(0.72 + s.v["light_strength"] * lit(s, across))
    tips = ((s.y - s.v["hair_roots"]) / 0.35 + 0.5).clamp_(0, 1)
    canvas.paint(where, Part.HAIR, light, tips, depth)


def paint_back_hair(canvas: Canvas, s: Scene) -> None:
    """All hair that is not on the forehead."""
    _paint_hair(canvas, s, s.hair > 0, 1.4 - 0.15 * s.hair)


def paint_neck(canvas: Canvas, s: Scene) -> None:
    """The neck down to a round neckline, in the shadow of the chin."""
    v = s.v
    across = (s.column - v["shift_x"]) / v["neck_width"]  # [N, 1, R]
    top = v["shift_y"] + HEAD_Y + 0.3
    base = v["shift_y"] + 0.6 + (v["neckline"] + 0.1) * (1 - across.square()).clamp(0, 1).sqrt()
    chin = v["shift_y"] + HEAD_Y + v["scale"] * v["head_height"]
    where = (across.abs() < 1) & (s.row > top) & (s.row < base)
    fall = ((s.row - chin) / 0.22).clamp(0, 1)  # [N, R, 1]
    round_ = 1 - 0.25 * across.square() + v["light_strength"] * lit(s, across)
    canvas.paint(where, Part.NECK, (0.48 + 0.3 * fall) * round_, depth=torch.full_like(s.x, 1.38))


def face_light(s: Scene) -> Tensor:
    """Light on the skin of the face, [N, R, R]."""
    v = s.v
    side = v["light_direction"] * s.face_x
    return side.add_(s.bulge).sub_(0.7).mul_(v["light_strength"]).add_(0.97)


def paint_face(canvas: Canvas, s: Scene, light: Tensor) -> None:
    """Skin, with stubble on cheeks and chin and whatever is painted on it."""
    v = s.v
    low = (s.y - 0.12 + 0.2 * s.bulge) / 0.2  # Higher at the cheeks than around the mouth.
    beard = low.clamp_(0, 1).mul_(v["beard"])
    eyes = 0.5 * (s.at.left.y + s.at.right.y)
    band = (1.6 - (s.y - eyes).abs() / 0.13).clamp_(0, 1).mul_(v["band"])
    mix = torch.maximum(beard, band)
    for eye in (s.at.left, s.at.right):
        apart = (s.x - eye.x).square() + (s.y - eye.y - 0.24).square()
        mix = torch.where(apart < v["cheeks"].square(), 0.9, mix)
    canvas.paint(s.face > 0, Part.SKIN, light, mix, 1.25 - 0.16 * s.bulge)


def paint_eye(canvas: Canvas, s: Scene, eye: Eye) -> None:
    """White, iris, pupil and a dark lid."""
    dx, dy = (s.x - eye.x) / eye.half_width, (s.y - eye.y) / eye.half_height
    inside = ellipse(dx, dy)
    where = (inside > 0) & (s.face > 0)
    narrow = 0.8 * eye.half_height
    iris = ellipse((s.x - eye.iris_x) / narrow, dy.mul(1.15))
    lid = (inside < 0.35) & (dy < 0)
    light = torch.where((iris > 0.72) | lid, s.v["pupil"], 1.0)
    canvas.paint(where, Part.EYES, light, (iris > 0).float())


def paint_brow(canvas: Canvas, s: Scene, eye: Eye) -> None:
    """A slanted, slightly arched bar."""
    dx = (s.x - eye.x) / eye.brow_half_width
    middle = eye.brow_y + dx * (eye.brow_slope * eye.brow_half_width) + 0.025 * dx.square()
    inside = ellipse(dx.square(), (s.y - middle) / s.v["brow_thickness"])
    canvas.paint((inside > 0) & (s.face > 0), Part.BROWS, torch.ones_like(s.v["yaw"]))


def paint_nose(canvas: Canvas, s: Scene, face_light: Tensor) -> None:
    """From the bridge to the tip, with a shaded outline and the shadow of the nostrils."""
    (bridge_x, bridge_y), (tip_x, tip_y) = s.at.bridge, s.at.tip
    down = (s.y - bridge_y) / (tip_y - bridge_y)  # 0 at the bridge, 1 at the tip
    ahead = down.clamp(0, 1)
    across = (s.x - bridge_x - (tip_x - bridge_x) * ahead) / (
        s.at.nose_half_width * (0.45 + 0.55 * ahead.square())
    )
    inside = ellipse(across, (2 * (down - 0.54) / 1.08).square_())
    edge = (0.6 - inside).clamp_(0, 0.6) * s.v["nose_outline"]
    nostrils = (down > 0.86).float().mul_(0.3)
    side = (s.v["light_strength"] * lit(s, across)).add_(1.08)
    light = face_light * side.sub_(edge).sub_(nostrils)
    depth = canvas.depth - 0.06 * ahead * inside.clamp(0, 1)
    canvas.paint((inside > 0) & (s.face > 0), Part.NOSE, light, depth=depth)


def paint_mouth(canvas: Canvas, s: Scene) -> None:
    """Lips, curved by a smile, and the dark between them."""
    dx = (s.x - s.at.mouth[0]) / s.at.mouth_half_width
    dy = s.y - (s.at.mouth[1] + s.v["smile"] * (0.4 - dx.square()))
    inside = ellipse(dx, dy / s.at.mouth_half_height)
    gap = ellipse(dx / 0.85, dy / (s.v["mouth_opening"] + 0.014))
    light = torch.where(gap > 0, s.v["teeth"], 1.0)
    canvas.paint((inside > 0) & (s.face > 0), Part.MOUTH, light)


def paint_fringe(canvas: Canvas, s: Scene) -> None:
    """The hair in front of the forehead and the temples."""
    v = s.v
    parting = v["fringe"] * v["head_height"] * 1.1 + v["fringe_slant"] * s.face_x
    line = parting + 0.3 * v["hair_length"].clamp(max=0.9) * s.face_x.square()
    line = line + (0.05 + 0.2 * v["hair_curl"]) * s.waves
    where = (s.y < line - v["head_height"]) & ((s.hair > 0) | (s.face > 0))
    _paint_hair(canvas, s, where, canvas.depth - 0.02)

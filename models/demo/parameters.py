"""What a drawn face is made of: one vector u in [0, 1]^P, each number named below.

Every parameter acts continuously on the picture, so that a smooth generator can
follow it. Rare things (hat, beard, glasses) are ramps: the part of the range that
is below zero means "none". Lengths are in half-widths of the picture. Knows nothing of pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.seeding import philox


@dataclass(frozen=True)
class Parameter:
    """One number of a face: u = 0 means `lo`, u = 1 means `hi`, and linear between."""

    name: str
    lo: float
    hi: float
    meaning: str
    ramp: bool = False
    """Values below zero count as zero: the thing is absent."""


def _ramp(name: str, share: float, hi: float, meaning: str) -> Parameter:
    """Absent in 1 - `share` of all faces, then growing to `hi`."""
    return Parameter(name, hi * (share - 1) / share, hi, meaning, ramp=True)


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("yaw", -0.5, 0.5, "radians; above 0 the face looks to the viewer's right"),
    Parameter("pitch", -0.22, 0.22, "radians; above 0 the face looks down"),
    Parameter("roll", -0.14, 0.14, "radians; above 0 the head leans to the viewer's right"),
    Parameter("shift_x", -0.06, 0.06, "centre of the head, to the right"),
    Parameter("shift_y", -0.05, 0.05, "centre of the head, downwards"),
    Parameter("scale", 0.9, 1.06, "size of the head"),
    Parameter("head_width", 0.44, 0.54, "half the width of the face"),
    Parameter("head_height", 0.58, 0.68, "half the height of the face"),
    Parameter("jaw", 0.0, 0.3, "how much narrower the face is at the chin"),
    Parameter("light_direction", -1.0, 1.0, "from the left to the right"),
    Parameter("light_strength", 0.1, 0.85, "contrast of light and shadow"),
    Parameter("skin_lightness", 0.2, 0.95, "of the skin's colour"),
    Parameter("skin_warmth", -0.35, 0.55, "blue to orange"),
    Parameter("skin_tint", -0.3, 0.3, "magenta to green"),
    _ramp("beard", 0.45, 0.95, "density of the stubble on cheeks and chin; it stays skin"),
    Parameter("paint_lightness", 0.05, 0.95, "of everything painted on the skin"),
    Parameter("paint_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("paint_tint", -0.3, 0.3, "magenta to green"),
    _ramp("cheeks", 0.7, 0.22, "radius of painted cheeks; they stay skin"),
    _ramp("band", 0.5, 0.95, "strength of a painted band across the eyes; it stays skin"),
    Parameter("hair_lightness", 0.05, 0.95, "of the hair's colour"),
    Parameter("hair_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("hair_tint", -0.3, 0.3, "magenta to green"),
    Parameter("hair2_lightness", 0.05, 0.95, "of the colour of the hair's tips"),
    Parameter("hair2_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("hair2_tint", -0.3, 0.3, "magenta to green"),
    Parameter("hair_roots", -0.7, 0.9, "how far down the hair has its first colour"),
    Parameter("hair_length", 0.15, 1.7, "how far the hair hangs below the middle of the head"),
    Parameter("fringe", 0.08, 0.62, "how far the hair comes down the forehead, in face heights"),
    Parameter("fringe_slant", -0.45, 0.45, "parting: to which side the fringe falls"),
    Parameter("hair_volume", 0.92, 1.5, "width of the hair over width of the face"),
    _ramp("hair_curl", 0.7, 0.22, "waviness of the hair's edge"),
    Parameter("eye_size", 0.125, 0.155, "half the width of an eye"),
    Parameter("eye_openness", 0.5, 0.85, "height of an eye over its width"),
    Parameter("eye_spacing", 0.42, 0.54, "radians from the middle of the face to an eye"),
    Parameter("gaze", -0.4, 0.4, "iris to the left or right, in eye widths"),
    Parameter("sclera", 0.25, 1.0, "lightness of the white of the eyes"),
    Parameter("pupil", 0.15, 1.2, "light on pupil and lid"),
    Parameter("brow_height", 0.025, 0.085, "gap between eye and brow"),
    Parameter("brow_tilt", -0.35, 0.35, "sad to angry"),
    Parameter("brow_thickness", 0.05, 0.075, "half the thickness of a brow"),
    Parameter("brow_lightness", 0.05, 0.95, "of the brows' colour"),
    Parameter("nose_width", 0.085, 0.135, "half the width of the nose at its tip"),
    Parameter("nose_outline", 0.3, 0.8, "how dark the border of the nose is"),
    Parameter("nose_length", 0.3, 0.42, "radians from the middle of the face to the tip"),
    Parameter("mouth_width", 0.16, 0.25, "half the width of the mouth"),
    _ramp("mouth_opening", 0.65, 0.07, "half the height of the opening between the lips"),
    Parameter("teeth", 0.1, 1.7, "light between the lips"),
    Parameter("smile", -0.06, 0.1, "how far the corners of the mouth are raised"),
    Parameter("lip_fullness", 0.045, 0.075, "half the thickness of the lips"),
    Parameter("lip_lightness", 0.05, 0.95, "of the lips' colour"),
    Parameter("neckline", -0.12, 0.34, "depth of the neckline below the chin"),
    Parameter("neck_width", 0.2, 0.29, "half the width of the neck"),
    Parameter("shoulder_width", 0.7, 1.0, "half the width of the shoulders"),
    Parameter("clothes_lightness", 0.1, 0.9, "of the clothes' colour"),
    Parameter("clothes_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("clothes_tint", -0.3, 0.3, "magenta to green"),
    Parameter("clothes2_lightness", 0.1, 0.9, "of the clothes' second colour, and of hats"),
    Parameter("clothes2_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("clothes2_tint", -0.3, 0.3, "magenta to green"),
    Parameter("background_lightness", 0.1, 0.9, "of the first background colour"),
    Parameter("background_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("background_tint", -0.3, 0.3, "magenta to green"),
    Parameter("background2_lightness", 0.1, 0.9, "of the second background colour"),
    Parameter("background2_warmth", -0.5, 0.5, "blue to orange"),
    Parameter("background2_tint", -0.3, 0.3, "magenta to green"),
    Parameter("background_direction", 0.0, 3.14, "radians; from the first colour to the second"),
    _ramp("hat", 0.35, 0.85, "how far a cap is pulled down, in face heights; it is clothes"),
    _ramp("hood", 0.35, 1.0, "how far a hood is drawn together around the face; it is clothes"),
    _ramp("glasses", 0.35, 0.85, "darkness of tinted glasses; the label is what is under"),
)
"""The meaning of u[:, i], in order."""

NUM_PARAMETERS = len(PARAMETERS)


def sample_parameters(n: int, seed: int, first: int = 0) -> Tensor:
    """Faces `first` to `first + n - 1` of `seed`: float32 [n, NUM_PARAMETERS] in [0, 1).

    Face i depends on (seed, i) only.
    """
    faces = [philox(seed, first + i).random(NUM_PARAMETERS, dtype=np.float32) for i in range(n)]
    return torch.from_numpy(np.array(faces, np.float32).reshape(n, NUM_PARAMETERS))


def values(parameters: Tensor) -> dict[str, Tensor]:
    """From u to named values.

    Args:
        parameters: float32 [N, NUM_PARAMETERS] in [0, 1].

    Returns:
        For each name, float32 [N, 1, 1] in the unit of the table, ready to meet [N, H, W].
    """
    if parameters.ndim != 2 or parameters.shape[1] != NUM_PARAMETERS:
        raise ValueError(f"parameters must be [N, {NUM_PARAMETERS}], got {list(parameters.shape)}")
    table = parameters.new_tensor([[p.lo, p.hi, 0.0 if p.ramp else -torch.inf] for p in PARAMETERS])
    lo, hi, floor = table.unbind(1)  # [P] each
    scaled = torch.maximum(lo + (hi - lo) * parameters, floor)  # [N, P]
    return {p.name: scaled[:, i, None, None] for i, p in enumerate(PARAMETERS)}

"""The two colours of every part of a face.

Clothes, hair and background are drawn from one family of colours that includes skin tones, so
that no colour gives a class away. Knows nothing of places.
"""

import torch
from torch import Tensor

from models.demo.anatomy import Values


def palette_of(v: Values) -> Tensor:
    """First and second colour by part: values [N, 1, 1] -> float32 [N, 2, 3, K] RGB in [0, 1]."""
    skin, hair = _skin(v), _opponent(v, "hair")
    clothes, iris = _opponent(v, "clothes"), _iris(v)
    white = torch.full_like(skin, 0.95)
    stubble = 0.35 * skin + 0.3 * hair
    lips = _lips(v, skin)
    # In the order of `canvas.Part`.
    pairs = [
        (_opponent(v, "background"), _opponent(v, "background2")),
        (skin, stubble),
        (0.75 * hair, 1.15 * hair + 0.06),
        (white, iris),
        (0.5 * hair, hair),
        (skin, skin),
        (lips, lips),
        (skin, skin),
        (clothes, (0.95 - clothes).roll(1, dims=1)),
    ]
    first, second = (torch.stack(list(side), dim=-1) for side in zip(*pairs, strict=True))
    return torch.stack([first, second], dim=1).clamp_(0, 1)  # [N, 2, 3, K]


def _opponent(v: Values, thing: str) -> Tensor:
    """From lightness, warmth (blue to orange) and tint (magenta to green) to RGB: [N, 3]."""
    axes = (v[f"{thing}_{axis}"][:, 0] for axis in ("lightness", "warmth", "tint"))
    lightness, warmth, tint = axes  # [N, 1] each
    colour = lightness + warmth * lightness.new_tensor([0.55, 0.0, -0.55])
    return (colour + tint * lightness.new_tensor([-0.4, 0.5, -0.4])).clamp(0.02, 0.98)


def _skin(v: Values) -> Tensor:
    """[N, 3]."""
    tone, warmth = v["skin_tone"][:, 0], v["skin_warmth"][:, 0]
    dark, light = tone.new_tensor([0.36, 0.23, 0.16]), tone.new_tensor([1.0, 0.82, 0.7])
    return torch.lerp(dark, light, tone) + warmth * tone.new_tensor([0.06, -0.05, -0.09])


def _iris(v: Values) -> Tensor:
    """[N, 3]: brown, then green, then blue."""
    u = v["iris_colour"][:, 0]
    brown, green, blue = u.new_tensor([[0.32, 0.17, 0.07], [0.2, 0.45, 0.25], [0.2, 0.4, 0.8]])
    return torch.where(u < 0.5, torch.lerp(brown, green, 2 * u), torch.lerp(green, blue, 2 * u - 1))


def _lips(v: Values, skin: Tensor) -> Tensor:
    """[N, 3]: darker and redder than the skin."""
    red = skin.new_tensor([0.78, 0.1, 0.16])
    return torch.lerp(skin * skin.new_tensor([0.85, 0.55, 0.55]), red, v["lip_colour"][:, 0])

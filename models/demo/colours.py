"""The two colours of every part of a face.

All parts are drawn from one family of colours, each for itself, so that no colour gives a class
away. Knows nothing of places.
"""

import torch
from torch import Tensor

from models.demo.anatomy import Values


def palette_of(v: Values) -> Tensor:
    """First and second colour by part: values [N, 1, 1] -> float32 [N, 2, 3, K] RGB in [0, 1]."""
    skin, hair, clothes, paint = (
        _colour(v, thing) for thing in ("skin", "hair", "clothes", "paint")
    )
    white = v["sclera"][:, 0] * skin.new_tensor([0.95, 0.93, 0.9])
    lips, brows = (_made_up(v, thing, skin) for thing in ("lip", "brow"))
    # In the order of `canvas.Part`.
    pairs = [
        (_colour(v, "background"), _colour(v, "background2")),
        (skin, paint),
        (hair, _colour(v, "hair2")),
        (white, 1 - paint),
        (brows, brows),
        (skin, skin),
        (lips, lips),
        (skin, skin),
        (clothes, _colour(v, "clothes2")),
    ]
    first, second = (torch.stack(list(side), dim=-1) for side in zip(*pairs, strict=True))
    return torch.stack([first, second], dim=1).clamp_(0, 1)  # [N, 2, 3, K]


def _colour(v: Values, thing: str) -> Tensor:
    """From lightness, warmth (blue to orange) and tint (magenta to green) to RGB: [N, 3]."""
    tint = v[f"{thing}_tint"][:, 0]  # [N, 1]
    colour = _untinted(v[f"{thing}_lightness"], v[f"{thing}_warmth"])
    return (colour + tint * tint.new_tensor([-0.4, 0.5, -0.4])).clamp(0.02, 0.98)


def _made_up(v: Values, thing: str, skin: Tensor) -> Tensor:
    """Brows or lips, [N, 3]: as warm as the hair, of a lightness of their own, partly skin."""
    colour = _untinted(v[f"{thing}_lightness"], v["hair_warmth"])
    return torch.lerp(colour.clamp(0.02, 0.98), skin, 0.15)


def _untinted(lightness: Tensor, warmth: Tensor) -> Tensor:
    """[N, 3] from [N, 1, 1] each."""
    return lightness[:, 0] + warmth[:, 0] * lightness.new_tensor([0.55, 0.0, -0.55])

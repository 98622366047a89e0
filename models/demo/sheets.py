"""Contact sheets: many images in one PNG, for eyes."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from models.demo.cache import to_uint8


def grid(images: Tensor, columns: int) -> Tensor:
    """float32 [N, 3, H, W] in [-1, 1] -> uint8 [rows * H, columns * W, 3]; N fills the rows."""
    n, c, h, w = images.shape
    rows = n // columns
    tiles = to_uint8(images[: rows * columns]).view(rows, columns, c, h, w)
    return tiles.permute(0, 3, 1, 4, 2).reshape(rows * h, columns * w, c)


def save_pair(left: Tensor, right: Tensor, path: Path, columns: int = 8) -> None:
    """Two grids side by side with a white gap, e.g. samples beside renders."""
    first, second = grid(left, columns), grid(right, columns)
    gap = torch.full((first.shape[0], 8, 3), 255, dtype=torch.uint8)
    Image.fromarray(torch.cat([first, gap, second], dim=1).numpy()).save(path)

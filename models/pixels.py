"""What a generator drew, as pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.images import Pixels


def as_pixels(images: Tensor, size: tuple[int, int]) -> Pixels:
    """float32 [N, 3, h, w] in [-1, 1] -> uint8 [N, H, W, 3]: v * 127.5 + 128, cut off, clipped."""
    if tuple(images.shape[2:]) != size:
        images = F.interpolate(images, size, mode="bilinear", align_corners=False)
    scaled = (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    pixels: Pixels = scaled.permute(0, 2, 3, 1).cpu().numpy()
    return pixels

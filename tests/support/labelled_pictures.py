"""Labelled pictures to fit to a canvas, and the policies to do it with."""

import numpy as np

from models.data.fitting import Align, AlignFace, CentreCrop, Pad, Resize
from models.data.labelled import Labelled
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

MASK = SegmentationSpec(classes=tuple("abcdefgh"))
POINTS = KeypointsSpec(names=("left_eye", "right_eye", "mouth_left", "mouth_right", "dot"))
DEPTH = DepthSpec(largest=100.0)
SPECS = (MASK, POINTS, DEPTH)

FACE = [(20.0, 24.0, 2.0), (23.0, 37.0, 2.0), (35.0, 22.0, 1.0), (37.0, 32.0, 2.0)]
UPRIGHT = (Resize(), CentreCrop(), Pad(), Pad(fill="mirror"))
POLICIES = (*UPRIGHT, Align(), AlignFace(), AlignFace(fill="black"))


def item(height=60, width=56, dot=(30.0, 28.0)):
    """
    Black, with a round white dot three pixels wide, and labels of all kinds that know of it.
    """
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - dot[0], columns - dot[1])
    blob = 255 * np.exp(-np.square(distance) / 8)
    depth = np.where(distance < 4, 5, 50).astype(np.float32)
    return Labelled(
        "k",
        np.repeat(blob.round().astype(np.uint8)[..., None], 3, axis=2),
        {
            "segmentation": (distance < 4).astype(np.uint8),
            "keypoints": np.array([*FACE, (*dot, 2)], dtype=np.float32),
            "depth": depth,
        },
        "pictures/k.png",
    )


def noise(height, width):
    """
    A picture and labels without two equal neighbours, and nothing known at one corner.
    """
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 90, (height, width)).astype(np.float32)
    depth[0, 0] = np.nan
    labels = {
        "segmentation": rng.integers(0, 8, (height, width), dtype=np.uint8),
        "depth": depth,
        "keypoints": np.array([(0, 0, 2), (1, 2, 1), (0, 1, 0)] + [(1, 1, 2)] * 2, np.float32),
    }
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Labelled("n", image, labels, "n.png")

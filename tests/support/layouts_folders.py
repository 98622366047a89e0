"""Small datasets in the layouts that are folders of files: contents by path, two or three items."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from support.memory_files import MemoryFiles
from support.picture_files import saved

from models.data.images import encode_image, encode_png
from models.errors import InvalidDataset
from models.labels import SegmentationSpec

SIZE = (4, 6)
"""(height, width) of all pictures here."""

PARTS = SegmentationSpec(classes=("background", "skin", "hair"))


def npy(array):
    """
    An .npy file.
    """
    target = io.BytesIO()
    np.save(target, np.asarray(array))
    return target.getvalue()


def picture(shade=7, size=SIZE, kind="png"):
    """
    A picture of one shade.
    """
    return encode_image(np.full((*size, 3), shade, dtype=np.uint8), kind)


def ids(fill=0, size=SIZE):
    """
    Class ids: `fill`, and the next id in the last row.
    """
    mask = np.full(size, fill, dtype=np.uint8)
    mask[-1] = fill + 1
    return mask


def painted(rows, size=SIZE, mode="RGB"):
    """
    A black-and-white PNG that is white in the given rows.
    """
    shown = np.zeros(size, dtype=np.uint8)
    shown[rows] = 255
    return saved(Image.fromarray(shown).convert(mode))


def grey16(values, size=SIZE):
    """
    A grey PNG of 16 bits.
    """
    return saved(Image.fromarray(np.broadcast_to(np.asarray(values, dtype=np.uint16), size)))


def folder():
    """
    The plain folder with all kinds of labels; of the second item as arrays and as JPEG.
    """
    points = {"a": [[1, 2.5, 2], [0, 3, 1]], "b": [[5, 0, 2], [-1, -1, 0]]}
    return {
        "faces/images/a.png": picture(),
        "faces/masks/a.png": encode_png(ids()),
        "faces/depth/a.png": grey16(2500),
        "faces/images/b.jpg": picture(9, kind="jpg"),
        "faces/masks/b.npy": npy(ids(1).astype(np.int64)),
        "faces/depth/b.npy": npy(np.full(SIZE, 1.5)),
        "faces/keypoints.json": json.dumps(points).encode(),
        "faces/README.txt": b"free",
    }


def authors():
    """
    Pictures and masks by number; the second mask of half its picture's size.
    """
    return {
        "training/image_0.png": picture(),
        "training/image_mask0.npy": npy(ids()),
        "training/image_1.jpg": picture(9, kind="jpg"),
        "training/image_mask1.npy": npy([[[0, 1, 2], [1, 1, 0]]]),
        "training/latents.npy": npy(np.zeros((2, 3))),
    }


def celebamask():
    """
    Face 0 in parts, face 12 in one piece; masks of half their pictures' size.
    """
    top, small = "CelebAMask-HQ/", (2, 3)
    return {
        f"{top}CelebA-HQ-img/0.jpg": picture(kind="jpg"),
        f"{top}CelebAMask-HQ-mask-anno/0/00000_skin.png": painted([0, 1], small),
        f"{top}CelebAMask-HQ-mask-anno/0/00000_neck.png": painted([1], small, "L"),
        f"{top}CelebA-HQ-img/12.jpg": picture(9, kind="jpg"),
        f"{top}CelebAMask-HQ-mask/12.png": encode_png(ids(13, small)),
        f"{top}README.txt": b"",
    }


def cityscapes():
    """
    A scene for training and one for validation, with all that they may have, and one of the test.
    """
    camera = {"extrinsic": {"baseline": 0.25, "pitch": 0.03}, "intrinsic": {"fx": 2000.0, "fy": 1}}
    contents = {}
    for split, city in (("train", "ulm"), ("val", "bonn"), ("test", "mainz")):
        place = f"{split}/{city}/{city}_000001_000019"
        contents |= {
            f"leftImg8bit/{place}_leftImg8bit.png": picture(),
            f"gtFine/{place}_gtFine_labelIds.png": encode_png(ids(7)),
            f"gtFine/{place}_gtFine_color.png": b"not read",
            f"gtFine/{place}_gtFine_polygons.json": b"not read",
            f"disparity/{place}_disparity.png": grey16([[0, 1, 2561, 5121, 30000, 257]]),
            f"camera/{place}_camera.json": json.dumps(camera).encode(),
        }
    return contents


def deepfashion():
    """
    Two people with masks and keypoints, and one with keypoints alone.
    """
    contents, places, sights = {}, [], []
    for number, stem in enumerate(("MEN-id_1_full", "WOMEN-id_2_side", "WOMEN-id_3_back")):
        contents[f"images/{stem}.jpg"] = picture(number, kind="jpg")
        at = [(number, 1), (5, 3), *[(-1, -1)] * 19]
        places.append(f"{stem}.jpg {' '.join(f'{x} {y}' for x, y in at)}")
        sights.append(f"{stem}.jpg 0 1 {' '.join('2' * 19)}")
    contents["segm/MEN-id_1_full_segm.png"] = encode_png(ids(13))
    contents["segm/WOMEN-id_2_side_segm.png"] = encode_png(ids(22))
    elsewhere = "WOMEN-elsewhere.jpg 1"
    contents["keypoints/keypoints_loc.txt"] = "\n".join([elsewhere, *places]).encode()
    contents["keypoints/keypoints_vis.txt"] = "\n".join([*sights, elsewhere]).encode()
    return contents


def without(contents, *names):
    """
    A dataset less some of its files.
    """
    assert set(names) <= set(contents)
    return {name: data for name, data in contents.items() if name not in names}


def faults(layout, contents, reading):
    """
    What a dataset is refused with, by file, and the keys of the items that it gives all the same.
    """
    keys = []
    with pytest.raises(InvalidDataset) as caught:
        keys.extend(item.key for item in layout.read(MemoryFiles(contents), reading))
    found = dict(caught.value.problems)
    assert len(found) == len(caught.value.problems)
    return found, keys

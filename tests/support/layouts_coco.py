"""Small COCO datasets, entry by entry, how they are read, and a rasteriser of another kind."""

import json

import numpy as np

from models.data.formats.coco import Coco
from models.data.images import encode_png
from models.data.labelled import Reading
from models.errors import InvalidDataset
from models.labels import KeypointsSpec, SegmentationSpec
from tests.support.memory_files import MemoryFiles

JSON = "annotations.json"
SPEC = SegmentationSpec(classes=("background", "door", "mirror"))
POINTS = KeypointsSpec(names=("nose", "chin"))
CATEGORIES = [{"id": 3, "name": "door"}, {"id": 90, "name": "mirror", "supercategory": "car"}]


def image(number, name="", size=(6, 8), **more):
    """
    A picture's entry.
    """
    name = name or f"{number}.png"
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]} | more


def thing(number, of, segmentation=None, category=3, **more):
    """
    An annotation's entry, with the fields that no reader needs.
    """
    entry = {"id": number, "image_id": of, "category_id": category, "iscrowd": False}
    drawn = {} if segmentation is None else {"segmentation": segmentation}
    return entry | drawn | {"area": 1.0, "bbox": [0, 0, 1, 1]} | more


def box(top, left, bottom, right):
    """
    The polygon around the pixels of rows top..bottom-1 and columns left..right-1.
    """
    return [left, top, right, top, right, bottom, left, bottom]


def document(images, annotations, categories=CATEGORIES):
    """
    A COCO json.
    """
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content).encode()


def picture(size=(6, 8), shade=7):
    """
    A PNG of one shade.
    """
    return encode_png(np.full((*size, 3), shade, dtype=np.uint8))


def read(members, layout=None, labels=(SPEC,), **how):
    """
    What a layout makes of these files.
    """
    return list((layout or Coco()).read(MemoryFiles(members), Reading(labels, **how)))


def sift(members, **how):
    """
    The keys of all good items of these files, and what is wrong with the others.
    """
    keys = []
    try:
        for item in Coco().read(MemoryFiles(members), Reading((SPEC,), **how)):
            keys.append(item.key)
    except InvalidDataset as error:
        return keys, list(error.problems)
    return keys, []


def even_odd(polygon, size):
    """
    Which pixel centres, at (i + 0.5, j + 0.5), lie within a polygon [corners, 2] of (x, y), and
    how far each is from its outline in pixels: bool and float [H, W].
    """
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside, distance = np.zeros(size, dtype=bool), np.full(size, np.inf)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = np.array([x1 - x0, y1 - y0])
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * along[0] / along[1])
        at = np.clip(((x - x0) * along[0] + (y - y0) * along[1]) / max(along @ along, 1e-9), 0, 1)
        distance = np.minimum(distance, np.hypot(x - x0 - at * along[0], y - y0 - at * along[1]))
    return inside, distance

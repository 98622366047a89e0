"""COCO's keypoints of pictures that another layout finds by their names."""

from pathlib import PurePosixPath

from models.data.formats.coco_files import check_size
from models.data.formats.coco_json import Image
from models.data.formats.coco_keypoints import Keypoints
from models.data.formats.coco_loading import load
from models.data.formats.pairing import Found, Labels, Series, Size, add
from models.data.labelled import LabelArray
from models.data.problems import Problems
from models.data.sample import item_key
from models.labels import KeypointsSpec


def coco_points(data: bytes, name: str, spec: KeypointsSpec, problems: Problems) -> Labels:
    """The keypoints of a COCO json by the keys of its pictures' names, without their folders.

    Args:
        data: the json.
        name: what errors call it.
        spec: the points wanted.
        problems: gets its faults.

    Raises:
        InvalidDataset: it cannot be read, or has not the points that are wanted.
    """
    document = load(data, name, problems)
    keypoints = Keypoints(spec, document, problems)
    if not keypoints.are_known:
        problems.check()
    images, found = dict[str, Image](), dict[str, Found]()
    for image in document.images:
        if document.annotations.of(image.id):
            stem = PurePosixPath(image.file_name).stem
            add(found, f"{name}: {image}", stem, problems)
            images.setdefault(item_key(stem), image)

    def read(entry: Found, size: Size) -> LabelArray:
        image = images[item_key(entry.stem)]
        check_size(size, image, entry.file, name)
        return keypoints.of(image, document.annotations.of(image.id))

    return Labels(Series("keypoints", f"{name}: ", ("",)), found, read)

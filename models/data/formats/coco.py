"""The layout COCO: one json of polygons, run lengths and keypoints, and the pictures it names.

    annotations/instances_default.json     images/default/a.jpg      CVAT
    result.json                            images/1f3a-a.jpg         Label Studio
    train/_annotations.coco.json           train/a.jpg               Roboflow
    annotations.json                       a.jpg                     COCO-Annotator

A picture without annotations is a fault unless the option `unannotated` says `skip` or
`background`: exports list what is yet to be annotated too, and a mask of background alone would
teach that there is nothing to see.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from models.data.formats.asked import check_reading
from models.data.formats.coco_document import Document, Things
from models.data.formats.coco_files import Pictures, check_size, chosen, documents
from models.data.formats.coco_json import BadEntry, Image, listed
from models.data.formats.coco_keypoints import Keypoints
from models.data.formats.coco_loading import load
from models.data.formats.coco_masks import Masks
from models.data.formats.pairing import read_whole
from models.data.images import decode_image
from models.data.labelled import Files, LabelArray, Labelled, Reading
from models.data.problems import Problems
from models.data.sample import item_key
from models.errors import InvalidDataset, InvalidImage
from models.labels import KeypointsSpec, SegmentationSpec

KINDS = frozenset({"segmentation", "keypoints"})
UNANNOTATED = "unannotated"
_ANNOTATIONS = "annotations"
_CHOICES = ("refuse", "skip", "background")


class Coco:
    """A COCO json beside its pictures, from whichever tool.

    Options: `annotations`, the json to read where there are several; `unannotated`.
    """

    name = "coco"
    looks_like = "a COCO json (annotations.json, annotations/instances_….json) and its pictures"
    kinds = KINDS

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a file is called as COCO jsons are."""
        return bool(documents(names))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All good items by key; faults are raised after the last one (see `registry.Layout`)."""
        check_reading(reading, KINDS, (_ANNOTATIONS, UNANNOTATED), files.name)
        jsons = [name for name in files.names if name.lower().endswith(".json")]
        found = documents(files.names) or jsons
        document = chosen(files.names, found, reading.options.get(_ANNOTATIONS), files.name)
        yield from read_document(files, reading, document, Pictures(files.names, document).find)


class LabelStudio:
    """What Label Studio exports as COCO; its versions name pictures by various foreign paths.

    Options: `unannotated`.
    """

    name = "label-studio"
    looks_like = "Label Studio's COCO export (result.json and images/…)"
    kinds = KINDS

    def fits(self, names: Sequence[str]) -> bool:
        """Whether there is a `result.json` with a folder `images` beside it."""
        return any(
            any(name.startswith(f"{result.removesuffix('result.json')}images/") for name in names)
            for result in _results(names)
        )

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All good items by key; faults are raised after the last one (see `registry.Layout`)."""
        check_reading(reading, KINDS, (UNANNOTATED,), files.name)
        document = chosen(files.names, _results(files.names), None, files.name)
        pictures = Pictures(files.names, document, elsewhere=True)
        yield from read_document(files, reading, document, pictures.find)


def _results(names: Sequence[str]) -> list[str]:
    return [name for name in names if PurePosixPath(name).name == "result.json"]


class _Maker(Protocol):
    """Makes one kind of label, and notes what hinders it."""

    def __call__(self, image: Image, annotations: Things) -> LabelArray | None: ...


def read_document(
    files: Files, reading: Reading, name: str, find: Callable[[Image], str]
) -> Iterator[Labelled]:
    """All good items of one json by key, each picture decoded when it is asked for.

    Args:
        files: where the json and the pictures are.
        reading: the labels wanted, the names of classes, the option `unannotated`.
        name: the json.
        find: says which file a picture is, or raises `BadEntry`.

    Raises:
        InvalidDataset: after the last good item, if there were faults; or early, if there were
            too many of them or the json cannot be read.
    """
    problems = Problems(reading.most_faults)
    document = load(read_whole(files, name), name, problems)
    makers = _makers(document, reading, problems)
    images = _annotated(document, reading, problems, files.name)
    for key, file, image in _located(images, find, name, problems):
        try:
            item = _item(files, key, file, image, document, makers)
        except InvalidImage as error:
            problems.note(error)
        else:
            if item is not None:
                yield item
    problems.check()


def _makers(document: Document, reading: Reading, problems: Problems) -> Mapping[str, _Maker]:
    """What makes each of the labels wanted."""
    makers: dict[str, _Maker] = {}
    for spec in reading.labels:
        if isinstance(spec, SegmentationSpec):
            makers[spec.kind] = Masks(spec, reading.merge, document, problems)
        elif isinstance(spec, KeypointsSpec):
            makers[spec.kind] = Keypoints(spec, document, problems)
    return makers


def _annotated(
    document: Document, reading: Reading, problems: Problems, whole: str
) -> Sequence[Image]:
    """The pictures to read; all without annotations are one fault, or as the user says."""
    choice = reading.options.get(UNANNOTATED, _CHOICES[0])
    if choice not in _CHOICES:
        found = f"the option {UNANNOTATED} is {choice!r}"
        raise InvalidDataset([(whole, f"{found}; it must be one of {', '.join(_CHOICES)}")])
    if choice == "background":
        return document.images
    annotated = [image for image in document.images if document.annotations.of(image.id)]
    bare = {image.id for image in document.images} - {image.id for image in annotated}
    if bare and choice == "refuse":
        found = f"{len(bare):,} pictures have no annotations (image {listed(bare)})"
        remedy = f"annotate them, or set the option {UNANNOTATED} to skip or background"
        problems.add(document.name, f"{found}; {remedy}")
    return annotated


def _located(
    images: Sequence[Image], find: Callable[[Image], str], document: str, problems: Problems
) -> list[tuple[str, str, Image]]:
    """(key, file, picture) of all that have a file and a key of their own, sorted by key."""
    found: dict[str, list[tuple[str, Image]]] = {}
    for image in images:
        try:
            file = find(image)
        except BadEntry as error:
            problems.add(document, f"{image}: {error}")
        else:
            found.setdefault(item_key(PurePosixPath(file).stem), []).append((file, image))
    located = []
    for key, claims in sorted(found.items()):
        (file, image), *others = claims
        if not others:
            located.append((key, file, image))
        elif all(other == file for other, _ in others):
            ids = listed(each.id for _, each in claims)
            problems.add(document, f"image {ids}: are all of {file}; keep one of the entries")
        else:
            all_files = " and ".join(dict.fromkeys(each for each, _ in claims))
            problems.add(document, f"{all_files} would all be stored as {key!r}; rename them")
    return located


def _item(
    files: Files,
    key: str,
    file: str,
    image: Image,
    document: Document,
    makers: Mapping[str, _Maker],
) -> Labelled | None:
    """A picture with its labels; none if a label's fault, which its maker has noted, spoils it.

    Raises:
        InvalidImage: the picture cannot be read, or has another size than the json says.
    """
    pixels = decode_image(files.read(file), file)
    check_size(pixels.shape[:2], image, file, document.name)
    annotations = document.annotations.of(image.id)
    labels = {kind: make(image, annotations) for kind, make in makers.items()}
    whole = {kind: label for kind, label in labels.items() if label is not None}
    return Labelled(key, pixels, whole, file) if len(whole) == len(makers) else None

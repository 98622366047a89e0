"""The layout of Car-Parts v2: a COCO json beside a folder `JPEGImages`, once or twice.

    trainingset/annotations.json     trainingset/JPEGImages/train1.jpg
    testset/annotations.json         testset/JPEGImages/car1.jpg

COCO-Annotator wrote it: pictures have a `path` relative to the json besides their `file_name`.
Its classes and how they are merged are a domain's matter; the rest is `coco`'s.
"""

from collections.abc import Iterator, Sequence

from models.data.formats.asked import check_reading
from models.data.formats.coco import KINDS, UNANNOTATED, read_document
from models.data.formats.coco_files import Pictures
from models.data.formats.coco_json import BadEntry, Image, shown
from models.data.labelled import Files, Labelled, Reading
from models.errors import InvalidDataset

_SPLIT = "split"
_DOCUMENT = "annotations.json"


class CarParts:
    """Car-Parts v2, whole or one of its sets.

    Options: `split`, the set to read where there are both (`trainingset`, `testset`);
    `unannotated` as in `coco`.
    """

    name = "car-parts"
    looks_like = "Car-Parts v2 (trainingset/annotations.json and trainingset/JPEGImages/…)"
    kinds = KINDS

    def fits(self, names: Sequence[str]) -> bool:
        """Whether an `annotations.json` has a folder `JPEGImages` beside it."""
        return bool(_sets(names))

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All good items by key; faults are raised after the last one (see `registry.Layout`)."""
        check_reading(reading, KINDS, (_SPLIT, UNANNOTATED), files.name)
        folder = _chosen(_sets(files.names), reading.options.get(_SPLIT), files.name)
        document = f"{folder}{_DOCUMENT}"
        pictures = Pictures([n for n in files.names if n.startswith(folder)], document)
        yield from read_document(
            files, reading, document, lambda image: pictures.named(_spelling(image))
        )


def _sets(names: Sequence[str]) -> list[str]:
    """The folders of whole sets: "" for the top, else e.g. `trainingset/`."""
    folders = {name[: -len(_DOCUMENT)] for name in names if f"/{name}".endswith(f"/{_DOCUMENT}")}
    return sorted(f for f in folders if any(name.startswith(f"{f}JPEGImages/") for name in names))


def _chosen(folders: Sequence[str], split: str | None, whole: str) -> str:
    """The set to read; training and test pictures are never mixed without a word."""
    fitting = [f for f in folders if split is None or f"/{f}".endswith(f"/{split}/")]
    if len(fitting) == 1:
        return fitting[0]
    if not folders:
        problem = f"holds no {_DOCUMENT} beside a folder JPEGImages"
    else:
        known = " and ".join(folder.rstrip("/") or "the top" for folder in folders)
        problem = f"holds sets in {known}; say which to read in the option {_SPLIT}"
    raise InvalidDataset([(whole, problem)])


def _spelling(image: Image) -> str:
    """A picture's name below its set: its `path`, which must be of the same file."""
    if image.path is None:
        return image.file_name
    if image.path.rpartition("/")[2] != image.file_name.rpartition("/")[2]:
        raise BadEntry(f"its path {shown(image.path)} is of another file; make both the same")
    return image.path

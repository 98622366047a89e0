"""Which file a COCO json is, and which files its pictures are. Pure: opens nothing.

Jsons name their pictures as the tool that wrote them saw its disk. A name is looked up among the
files that are there, never opened, so that none can lead out of them.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from models.data.formats.coco_json import BadEntry, Image, shown
from models.errors import InvalidDataset, InvalidImage

# By name alone, for a layout is told apart before any file is opened.
_DOCUMENT = re.compile(
    r"(^|/)(annotations|labels|[^/]*coco[^/]*|(instances|person_keypoints)_[^/]*)\.json$"
    r"|(^|/)annotations/(?!captions_|image_info_|panoptic_)[^/]*\.json$",
    re.IGNORECASE,
)


def documents(names: Sequence[str]) -> list[str]:
    """The files that are COCO jsons, going by their names."""
    return [name for name in names if _DOCUMENT.search(name)]


def chosen(names: Sequence[str], found: Sequence[str], wanted: str | None, whole: str) -> str:
    """The one json to read.

    Args:
        names: all files.
        found: those that may be meant if nothing else is said.
        wanted: a path or its end, if the user says one.
        whole: what errors call the dataset.

    Raises:
        InvalidDataset: there is none, or more than one.
    """
    if wanted is not None:
        found = [name for name in names if f"/{name}".endswith(f"/{wanted}")]
    if len(found) == 1:
        return found[0]
    if wanted is not None or not found:
        problem = f"holds no COCO json{f' {wanted}' if wanted else ''}; add it"
    else:
        problem = f"holds the COCO jsons {', '.join(found[:5])}"
    remedy = "say which in the option annotations" if found else "or name one in annotations"
    raise InvalidDataset([(whole, f"{problem}; {remedy}")])


class Pictures:
    """Finds pictures by the names that a json gives them."""

    def __init__(self, names: Sequence[str], document: str, *, elsewhere: bool = False) -> None:
        """Index the files.

        Args:
            names: of all that may be meant.
            document: the json that they are named in.
            elsewhere: whether names that lead out of the dataset are those of another machine, of
                which the last part still counts; else they are faults.
        """
        self._elsewhere = elsewhere
        self._names = frozenset(names)
        self._folders = _likely_folders(document)
        self._namesakes: dict[str, list[str]] = {}
        for name in names:
            self._namesakes.setdefault(PurePosixPath(name).name, []).append(name)

    def find(self, image: Image) -> str:
        """The file of a picture, by its `file_name`."""
        return self.named(image.file_name)

    def named(self, spelling: str) -> str:
        """The file with this name: in a likely folder, else the only one that ends with it.

        Raises:
            BadEntry: there is none, or several, or it would lie outside of the dataset.
        """
        parts = spelling.replace("\\", "/").split("/")
        is_outside = parts[0] == "" or parts[0].endswith(":") or ".." in parts
        if is_outside and not self._elsewhere:
            raise BadEntry("its name points outside of the dataset; write it as in images/a.jpg")
        path = "/".join(part for part in parts if part not in ("", "."))
        for folder in self._folders:
            if f"{folder}{path}" in self._names:
                return f"{folder}{path}"
        # Label Studio's local files are called /data/local-files/?d=folder/a.jpg.
        bare = path.rpartition("/")[2].rpartition("?d=")[2]
        namesakes = self._namesakes.get(bare, [])
        fitting = [name for name in namesakes if name.endswith(f"/{path}")] or namesakes
        if not fitting:
            raise BadEntry(f"there is no file {shown(bare)}; add it, or remove its entry")
        if len(fitting) > 1:
            several = " and ".join(fitting[:2])
            raise BadEntry(f"may be {several}; give files names of their own")
        return fitting[0]


def _likely_folders(document: str) -> list[str]:
    """Where pictures lie: beside the json, in images/, or in a folder called as its split is.

    `annotations/instances_val.json` says `a.jpg` of `a.jpg`, `images/a.jpg`, `val/a.jpg` and
    `images/val/a.jpg`.
    """
    path = PurePosixPath(document)
    split = path.stem.rpartition("_")[2]
    top = path.parent.parent if path.parent.name == "annotations" else path.parent
    places = (path.parent, top, top / "images", top / split, top / "images" / split)
    return ["" if place == PurePosixPath() else f"{place}/" for place in dict.fromkeys(places)]


def check_size(found: tuple[int, ...], image: Image, file: str, document: str) -> None:
    """Whether a picture is as large as its entry says.

    Args:
        found: (H, W) of the picture, in pixels.
        image: its entry.
        file: what errors call the picture.
        document: what they call the json.

    Raises:
        InvalidImage: it is not.
    """
    said = (image.height, image.width)
    if found == said:
        return
    turned = "; it looks turned, for EXIF orientation is applied" if found == said[::-1] else ""
    sizes = f"has {found[0]} x {found[1]} pixels, but {document} says {said[0]} x {said[1]}"
    remedy = "annotate it at the size that it has"
    raise InvalidImage(file, f"{sizes} of {image} (height x width){turned}; {remedy}")

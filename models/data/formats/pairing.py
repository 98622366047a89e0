"""Files that belong together: by key, with a fault for each that is missing or unexpected.

Files outside of the folders that a layout knows (a licence, a README) are left alone; anything
unexpected within them is a fault, for it may be a label that is missed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from models.data.images import EXTENSIONS, decode_image
from models.data.labelled import Files, LabelArray, Labelled
from models.data.problems import Problems
from models.data.sample import item_key
from models.errors import InvalidDataset, InvalidImage

PICTURES = tuple(f".{extension}" for extension in EXTENSIONS)
"""What files of pictures end in."""

Size = tuple[int, int]
"""(H, W) of a picture, in pixels."""


@dataclass(frozen=True)
class Series:
    """Files of one sort, one for each picture.

    Attributes:
        what: errors call one of them.
        folder: they lie in, `/` at its end; for lines or entries of one file its name and `: `.
        endings: what their names end in, after what they share with the picture's name; the
            first is the one that remedies name.
        others: endings of files that may lie among them and are not read.
    """

    what: str
    folder: str
    endings: tuple[str, ...]
    others: tuple[str, ...] = ()

    def file(self, stem: str) -> str:
        """What the file for a picture called `stem` should be called."""
        more = f" (or {', '.join(self.endings[1:])})" if self.endings[1:] else ""
        return f"{self.folder}{stem}{self.endings[0]}{more}"


@dataclass(frozen=True)
class Found:
    """A file of a series, and the name that it shares with those of other series.

    Attributes:
        file: what errors call it.
        stem: the shared name.
        is_clear: whether it alone is meant by that name; else no picture is made of it.
    """

    file: str
    stem: str
    is_clear: bool = True


Finds = Mapping[str, Found]
"""The files of a series by their keys."""


@dataclass(frozen=True)
class Labels:
    """The labels of one kind.

    Attributes:
        series: the sort of file that they come from.
        found: these files.
        read: makes the label of a picture of the given size; raises `InvalidImage`.
    """

    series: Series
    found: Finds
    read: Callable[[Found, Size], LabelArray]


def roots(names: Sequence[str], marks: Sequence[str]) -> list[str]:
    """The folders in which a layout lies: "" for the top, else e.g. `faces/`.

    Args:
        names: of all files. Those with `..` in their paths count for nothing.
        marks: folders (`/` at the end) and files that tell the layout.
    """
    found = set()
    for name in names:
        if ".." in name.split("/"):
            continue
        folder, _, below = name.partition("/")
        if _is_any(name, marks):
            found.add("")
        elif _is_any(below, marks):
            found.add(f"{folder}/")
    return sorted(found)


def only_root(files: Files, marks: Sequence[str]) -> str:
    """The one folder in which a layout lies.

    Raises:
        InvalidDataset: there is none, or more than one.
    """
    found = roots(files.names, marks)
    if not found:
        raise InvalidDataset([(files.name, f"holds none of {', '.join(marks)}")])
    if len(found) > 1:
        places = " and ".join(root or "the top" for root in found)
        problem = f"has {' or '.join(marks)} in {places}; keep one dataset in an archive"
        raise InvalidDataset([(files.name, problem)])
    return found[0]


def find(names: Sequence[str], series: Series, problems: Problems) -> dict[str, Found]:
    """The files of a series by key; whatever else lies in its folder is noted as a fault."""
    found: dict[str, Found] = {}
    for name in names:
        if not name.startswith(series.folder):
            continue
        path = name[len(series.folder) :]
        if "/" in path:
            problems.add(name, f"lies too deep; move it into {series.folder}")
        elif ending := _ending(path, series.endings):
            add(found, name, path[: -len(ending)], problems)
        elif not _ending(path, series.others):
            wanted = ", ".join(series.endings)
            problems.add(name, f"does not end in {wanted}; remove or convert it")
    return found


def add(found: dict[str, Found], file: str, stem: str, problems: Problems) -> None:
    """Put a file to the others of its series by its key; two of one key are a fault."""
    key = item_key(stem)
    if key in found:
        other = found[key].file
        found[key] = replace(found[key], is_clear=False)
        problems.add(file, f"would be stored as {key!r}, like {other}; rename one of them")
    else:
        found[key] = Found(file, stem)


def read_whole(files: Files, name: str) -> bytes:
    """A file that all pictures need.

    Raises:
        InvalidDataset: it is damaged or too large.
    """
    try:
        return files.read(name)
    except InvalidImage as error:
        raise InvalidDataset([(error.name, error.problem)]) from error


def read_pairs(
    files: Files,
    images: tuple[Series, Finds],
    labels: Mapping[str, Labels],
    problems: Problems,
    also: Sequence[tuple[Series, Finds]] = (),
) -> Iterator[Labelled]:
    """Every picture that has all its labels, by key, each decoded when it is asked for.

    Args:
        files: where they come from.
        images: the pictures' series, and what was found of it.
        labels: by kind.
        problems: faults that were found before.
        also: series that must be complete besides, and what was found of them.

    Raises:
        InvalidDataset: after the last good one, if there are faults: those noted before, each
            file that lacks another, and those of every picture and label that cannot be read.
    """
    series = [(sort.series, sort.found) for sort in labels.values()]
    for key in _complete(images, [*series, *also], problems):
        labelled = _read(files, key, images[1][key].file, labels, problems)
        if labelled is not None:
            yield labelled
    problems.check()


def _complete(
    images: tuple[Series, Finds], labels: Sequence[tuple[Series, Finds]], problems: Problems
) -> list[str]:
    """The keys that are clear in all series, sorted; each file that lacks another is noted."""
    pictures, found_images = images
    if not found_images:
        problems.add(pictures.folder, f"holds no {pictures.what}; add some")
        return []
    keys = set(found_images)
    for series, found in labels:
        keys &= set(found)
        missing = sorted(found_images.keys() - found.keys())
        if missing and not found:
            wanted = series.file(found_images[missing[0]].stem)
            problems.add(series.folder.rstrip(": "), f"holds no {series.what}; add {wanted}")
            continue
        for key in missing:
            remedy = f"add {series.file(found_images[key].stem)}, or leave the {pictures.what} out"
            problems.add(found_images[key].file, f"has no {series.what}; {remedy}")
        for key in sorted(found.keys() - found_images.keys()):
            remedy = f"add {pictures.file(found[key].stem)}, or leave the {series.what} out"
            problems.add(found[key].file, f"has no {pictures.what}; {remedy}")
    sorts = [found_images, *(found for _, found in labels)]
    return sorted(key for key in keys if all(found[key].is_clear for found in sorts))


def _read(
    files: Files, key: str, image_file: str, labels: Mapping[str, Labels], problems: Problems
) -> Labelled | None:
    """One labelled picture; none if it or one of its labels is at fault."""
    try:
        image = decode_image(files.read(image_file), image_file)
    except InvalidImage as error:
        problems.note(error)
        return None
    size, read = (image.shape[0], image.shape[1]), dict[str, LabelArray]()
    for kind, sort in labels.items():
        try:
            read[kind] = sort.read(sort.found[key], size)
        except InvalidImage as error:
            problems.note(error)
    return Labelled(key, image, read, image_file) if len(read) == len(labels) else None


def _is_any(path: str, marks: Sequence[str]) -> bool:
    return any(path.startswith(mark) if mark.endswith("/") else path == mark for mark in marks)


def _ending(path: str, endings: Sequence[str]) -> str | None:
    """Which of the endings a file's name has, whatever its case."""
    return next((end for end in endings if path.lower().endswith(end.lower())), None)

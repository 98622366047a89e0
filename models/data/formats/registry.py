"""The dataset layouts that we read, one line each, told apart by what is in the archive.

A new layout is one file beside this one and one line in `LAYOUTS`.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from models.data.admission import ArchiveLimits
from models.data.formats.authors_folder import AuthorsFolder
from models.data.formats.car_parts import CarParts
from models.data.formats.celebamask import CelebAMask
from models.data.formats.cityscapes import Cityscapes
from models.data.formats.coco import Coco, LabelStudio
from models.data.formats.deepfashion import DeepFashion
from models.data.formats.folder import PlainFolder
from models.data.labelled import Files, Labelled, Reading
from models.data.opening import open_files
from models.errors import InvalidDataset


class Layout(Protocol):
    """One way to arrange a labelled dataset in files.

    Attributes:
        name: what users call it.
        looks_like: what a dataset of this layout holds, for error messages.
        kinds: the kinds of labels that it can hold.
    """

    name: str
    looks_like: str
    kinds: frozenset[str]

    def fits(self, names: Sequence[str]) -> bool:
        """Whether these files mean to be of this layout, perhaps with faults."""

    def read(self, files: Files, reading: Reading) -> Iterator[Labelled]:
        """All good items, sorted by key, each decoded when it is asked for.

        Raises:
            InvalidDataset: after the last good item, with all that are at fault; or early, for a
                fault of the whole, or after `reading.most_faults` of single items.
        """


LAYOUTS: tuple[Layout, ...] = (
    CelebAMask(),
    Cityscapes(),
    DeepFashion(),
    CarParts(),
    LabelStudio(),
    Coco(),
    AuthorsFolder(),
    PlainFolder(),  # The last, for its folders are called as those of others are.
)
"""Every layout; the first that fits is taken."""


def layout_of(name: str) -> Layout:
    """The layout called `name`.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    for layout in LAYOUTS:
        if layout.name == name:
            return layout
    known = ", ".join(layout.name for layout in LAYOUTS)
    raise ValueError(f"there is no layout {name!r}; there are {known}")


def read_archive(
    source: Path | Files,
    reading: Reading,
    name: str = "archive",
    limits: ArchiveLimits | None = None,
    layout: Layout | None = None,
) -> Iterator[Labelled]:
    """All labelled pictures of a zip, a tar, a tar.gz or a folder.

    Args:
        source: where it is; or files that are open already, wherever they are.
        reading: what is wanted of it.
        name: what errors call it as a whole; open files have a name.
        limits: how much it may hold; open files have their own.
        layout: how it is arranged; by default the first of `LAYOUTS` that fits.

    Raises:
        InvalidDataset: while iterating, as `Layout.read`, or at once where nothing can be read.
    """
    opened: AbstractContextManager[Files] = (
        open_files(source, name, limits) if isinstance(source, Path) else nullcontext(source)
    )
    with opened as files:
        yield from (layout or _fitting(files)).read(files, reading)


def _fitting(files: Files) -> Layout:
    for layout in LAYOUTS:
        if layout.fits(files.names):
            return layout
    known = "; or ".join(layout.looks_like for layout in LAYOUTS)
    found = ", ".join(files.names[:5]) or "no files"
    raise InvalidDataset([(files.name, f"must hold {known}. It holds {found}")])

"""The dataset layouts that we read, one line each, told apart by what is in the archive.

A new layout is one file beside this one and one line in `LAYOUTS`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from models.data.archives import Archive, ArchiveLimits
from models.data.formats.zip_folder import ZipFolder
from models.data.sample import Sample
from models.errors import InvalidDataset
from models.labels import LabelSpec


class Layout(Protocol):
    """One way to arrange a labelled dataset in an archive.

    Attributes:
        looks_like: what an archive of this layout holds, for error messages.
    """

    looks_like: str

    def fits(self, names: Sequence[str]) -> bool:
        """Whether an archive with these files means to be of this layout, perhaps with faults."""

    def read(self, archive: Archive, label: LabelSpec) -> Iterator[Sample]:
        """All samples, sorted by key, each decoded when it is asked for.

        Raises:
            InvalidDataset: after the last good sample, if there were faults; or early, after
                `problems.LIMIT` of them.
        """


LAYOUTS: tuple[Layout, ...] = (ZipFolder(),)


def read_archive(
    path: Path, label: LabelSpec, name: str = "archive", limits: ArchiveLimits | None = None
) -> Iterator[Sample]:
    """All samples of an uploaded archive, by the first layout that fits.

    Args:
        path: a zip file.
        label: what its labels mean.
        name: what errors call the archive as a whole.
        limits: how much it may hold.

    Raises:
        InvalidDataset: while iterating, as `Layout.read`; what came before is then worth nothing.
    """
    with Archive(path, name, limits) as archive:
        for layout in LAYOUTS:
            if layout.fits(archive.names):
                yield from layout.read(archive, label)
                return
        known = "; or ".join(layout.looks_like for layout in LAYOUTS)
        found = ", ".join(archive.names[:5]) or "no files"
        raise InvalidDataset([(name, f"must hold {known}. It holds {found}")])

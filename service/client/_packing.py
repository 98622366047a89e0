"""Packs a folder as one file to upload: an uncompressed zip, the same for the same files.

Judges what can be judged without reading a file, so that a folder that would be refused is not
sent. Needs the standard library alone; what the files mean is for the service to say.
"""

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from service.client._errors import Misused

MAX_FILES = 20_000
MAX_BYTES = 16 * 2**30
"""What the service takes as one dataset: files, and bytes of all of them together."""

_PIECE = 2**20
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")
"""What file managers leave behind, but for hidden files, which are left out as well."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = (stat.S_IFREG | 0o644) << 16


@dataclass(frozen=True)
class _File:
    """A file to be packed, at `path`; `name` is its path below the folder, `/`-separated."""

    name: str
    path: Path
    size: int


@contextmanager
def packed(
    folder: Path,
    only: Sequence[str] = (),
    on_bytes: Callable[[int, int], None] | None = None,
) -> Iterator[Path]:
    """A folder as a zip in a temporary folder (of `TMPDIR`), gone when the `with` ends.

    Hidden files and folders and what file managers leave are left out. Links to files within the
    folder become those files. Equal files make equal zips, whatever their times are.

    Args:
        folder: what to pack.
        only: patterns of the paths below the folder that are wanted, e.g. `images/1?.jpg`; all
            if empty. `*` stands for anything, a `/` too, `?` for one character, `[0-4]` for one of
            those; upper and lower case differ.
        on_bytes: called after each file with the bytes so far and in all.

    Raises:
        Misused: there is nothing to pack, too much, a pattern without files, a name that cannot
            be sent, or a link out of the folder.
        OSError: a file cannot be read, or there is no room for the zip.
    """
    files = _wanted(folder, only)
    with tempfile.TemporaryDirectory(prefix="handsoff-") as temporary:
        target = Path(temporary, f"{folder.resolve().name or 'folder'}.zip")
        _write(files, target, on_bytes)
        yield target


def _write(
    files: Sequence[_File], target: Path, on_bytes: Callable[[int, int], None] | None
) -> None:
    done, total = 0, sum(file.size for file in files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, _EARLIEST)
            entry.external_attr = _FILE_MODE
            # A file may have grown since it was measured: then there is room for its length too.
            with file.path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink, _PIECE)
            done += file.size
            if on_bytes:
                on_bytes(done, total)


def _wanted(folder: Path, only: Sequence[str]) -> Sequence[_File]:
    """The files to pack, by name in order."""
    root = folder.resolve(strict=True)
    names = _chosen(sorted(_names(root)), only, folder)
    if len(names) > MAX_FILES:
        raise Misused(
            f"{folder} holds {len(names):,} files, and a dataset may have {MAX_FILES:,}; "
            "choose some by patterns (only)"
        )
    if not names:
        raise Misused(f"{folder} holds no files to send")
    files = [_file(root, name) for name in names]
    total = sum(file.size for file in files)
    if total > MAX_BYTES:
        problem = f"{folder} holds {total:,} bytes, and a dataset may have {MAX_BYTES:,}"
        raise Misused(f"{problem}; choose some by patterns (only)")
    return files


def _chosen(names: Sequence[str], only: Sequence[str], folder: Path) -> Sequence[str]:
    """The names that match one of the patterns, each of which must match one."""
    found = {pattern: {n for n in names if fnmatchcase(n, pattern)} for pattern in only}
    for pattern, matching in found.items():
        if not matching:
            shown = ", ".join(names[:3]) or "no files"
            raise Misused(f"no file in {folder} is called {pattern}; it holds {shown}")
    return sorted(set().union(*found.values())) if only else names


def _names(folder: Path, above: str = "") -> Iterator[str]:
    """Paths of all files below a folder; not of what is hidden or left by file managers."""
    with os.scandir(folder) as listed:
        for found in listed:
            name = f"{above}{found.name}"
            if found.name.startswith(".") or found.name.lower() in _JUNK:
                continue
            if found.is_dir(follow_symlinks=False):
                yield from _names(Path(found.path), f"{name}/")
            else:
                yield name


def _file(root: Path, name: str) -> _File:
    """A file of a folder, where it lies.

    Raises:
        Misused: its name cannot be sent, or it is a link out of the folder, a device or nothing.
    """
    path = root / name
    if not name.isprintable():
        raise Misused(f"{name!r} has characters in its name that cannot be sent; rename it")
    try:
        target = path.resolve(strict=True) if path.is_symlink() else path
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other.
        raise Misused(f"{path} is a link to nothing; remove it") from error
    found = target.stat()
    if not target.is_relative_to(root):
        raise Misused(f"{path} is a link out of the folder; put the file itself there")
    if not stat.S_ISREG(found.st_mode):
        raise Misused(f"{path} is a device, or a link to a folder; put the files themselves there")
    return _File(name, target, found.st_size)

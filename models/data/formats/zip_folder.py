"""The layout `images/…` beside `masks/…`: files of one stem belong together.

    images/0001.jpg     masks/0001.png
    images/0002.png     masks/0002.png

Both folders may lie within one folder at the top. Files elsewhere (a licence, a README) are
left alone; anything unexpected within the two is a fault, for it may be a label that is missed.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from models.data.archives import Archive
from models.data.images import EXTENSIONS
from models.data.problems import Problems
from models.data.sample import Sample, item_key, read_sample
from models.errors import InvalidImage
from models.labels import LabelSpec

_IMAGES = "images"
_MASKS = "masks"


class ZipFolder:
    """A zip of `images/` and `masks/`."""

    looks_like = "images/… and masks/… with files of the same names (images/a.jpg, masks/a.png)"

    def fits(self, names: Sequence[str]) -> bool:
        """Whether there is a folder `images` or `masks` at the top or one below it."""
        return bool(_roots(names))

    def read(self, archive: Archive, label: LabelSpec) -> Iterator[Sample]:
        """All samples by key; faults are raised after the last one (see `registry.Layout`)."""
        problems = Problems()
        for key, image, mask in _pairs(archive, problems):
            try:
                sample = read_sample(
                    key, (image, archive.read(image)), (mask, archive.read(mask)), label
                )
            except InvalidImage as error:
                problems.note(error)
            else:
                yield sample
        problems.check()


def _roots(names: Sequence[str]) -> set[str]:
    """The folders that hold `images` or `masks`: "" for the top, else e.g. `faces/`."""
    roots = set()
    for name in names:
        folders = name.split("/")[:-1]
        for depth in (0, 1):
            if folders[depth : depth + 1] in ([_IMAGES], [_MASKS]):
                roots.add("".join(f"{folder}/" for folder in folders[:depth]))
                break
    return roots


def _pairs(archive: Archive, problems: Problems) -> list[tuple[str, str, str]]:
    """(key, image, mask) of every complete sample, sorted by key."""
    roots = sorted(_roots(archive.names))
    if len(roots) > 1:
        places = " and ".join(root or "the top" for root in roots)
        problems.add(archive.name, f"has images/ or masks/ in {places}; keep one dataset in a zip")
        problems.check()
    images = _by_key(archive.names, f"{roots[0]}{_IMAGES}/", problems)
    masks = _by_key(archive.names, f"{roots[0]}{_MASKS}/", problems)
    for key in sorted(images.keys() - masks.keys()):
        wanted = f"{roots[0]}{_MASKS}/{PurePosixPath(images[key]).stem}.png"
        problems.add(images[key], f"has no mask; add {wanted}, or leave the image out")
    for key in sorted(masks.keys() - images.keys()):
        wanted = f"{roots[0]}{_IMAGES}/{PurePosixPath(masks[key]).stem}.png (or .jpg, .webp)"
        problems.add(masks[key], f"has no image; add {wanted}, or leave the mask out")
    return [(key, images[key], masks[key]) for key in sorted(images.keys() & masks.keys())]


def _by_key(names: Sequence[str], folder: str, problems: Problems) -> dict[str, str]:
    """The picture files directly in `folder`, by key."""
    found: dict[str, str] = {}
    for name in names:
        if not name.startswith(folder):
            continue
        path = PurePosixPath(name)
        key = item_key(path.stem)
        if "/" in name[len(folder) :]:
            problems.add(name, f"lies too deep; move it into {folder}")
        elif path.suffix.lower().lstrip(".") not in EXTENSIONS:
            problems.add(name, f"is not called .{', .'.join(EXTENSIONS)}; remove or convert it")
        elif key in found:
            problems.add(name, f"would be stored as {key!r}, like {found[key]}; rename one of them")
        else:
            found[key] = name
    return found

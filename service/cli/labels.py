"""What the options of `handsoff dataset …` say: labels, the files that they are in, and the fit."""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli.failures import WrongUsage

if TYPE_CHECKING:
    from service.client import Label

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
ENDINGS: Mapping[str, frozenset[str]] = {
    "image": PICTURES,
    "label": PICTURES | {".npy"},
    "keypoints": frozenset({".json"}),
    "depth": frozenset({".npy", ".png"}),
}
"""What files of each part of an item are called."""


class Fit(StrEnum):
    """How pictures are brought onto the canvas."""

    RESIZE = "resize"
    CROP = "crop"
    PAD = "pad"
    ALIGN = "align"
    ALIGN_FACE = "align-face"

    @property
    def policy(self) -> str:
        """What the API calls it."""
        return {"crop": "centre_crop", "align-face": "align_face"}.get(self, str(self))


class OnFault(StrEnum):
    """What becomes of a dataset with bad files."""

    STRICT = "strict"
    SKIP = "skip"


def labels_of(
    classes: str | None, label: Path | None, domain: str | None
) -> "Sequence[Label] | None":
    """What the labels mean, from one of the options; None where a domain says it.

    Raises:
        WrongUsage: none or several of the options, or a file that is no label.
    """
    from service.client import Segmentation

    if sum(option is not None for option in (classes, label, domain)) != 1:
        raise WrongUsage(
            "say what the labels mean, with either --classes a,b,c or --label FILE.json "
            "or --domain NAME"
        )
    if classes is not None:
        return [Segmentation(classes=tuple(name.strip() for name in classes.split(",")))]
    return None if label is None else _read(label)


def _read(file: Path) -> "Sequence[Label]":
    """The labels in a JSON file: one, or a list of them."""
    from service.client import LABELS

    try:
        found = json.loads(file.read_text())
        entries = found if isinstance(found, list) else [found]
        return [LABELS[each.get("kind", "segmentation")].model_validate(each) for each in entries]
    except (ValueError, LookupError, AttributeError) as error:
        raise WrongUsage(
            f'{file}: write JSON like {{"classes": ["background", "face"]}}, or a list of such '
            f"with kinds: {', '.join(LABELS)}"
        ) from error


def fit_of(fit: Fit | None, canvas: str | None, landmarks: str | None) -> dict[str, Any] | None:
    """The API's `fit`, from its options; None where there are none.

    Raises:
        WrongUsage: the canvas is no HEIGHTxWIDTH.
    """
    asked: dict[str, Any] = {}
    if fit is not None:
        asked["policy"] = {"name": fit.policy}
    if canvas is not None:
        height, by, width = canvas.partition("x")
        if not (by and height.isdecimal() and width.isdecimal()):
            raise WrongUsage(f"--canvas {canvas}: write HEIGHTxWIDTH in pixels, e.g. 512x512")
        asked["canvas"] = {"height": int(height), "width": int(width)}
    if landmarks is not None:
        names = [name.strip() for name in landmarks.split(",")]
        asked["landmarks"] = {"kind": "keypoints", "names": names}
    return asked or None


def items_of(**places: Path | None) -> Sequence[Mapping[str, Path]]:
    """The files of items, by key in order: those of one name belong together.

    Args:
        places: by part (see `ENDINGS`) a folder, or for a single item a file; None if not given.

    Raises:
        WrongUsage: there are labels without images or the other way round, a folder is empty, or
            a partner is missing.
    """
    given = {part: place for part, place in places.items() if place is not None}
    if not given:
        return []
    if "image" not in given or len(given) == 1:
        raise WrongUsage("--images and --masks (or --keypoints, --depth) belong together")
    if given["image"].is_file():
        return [given]
    found = {part: _files(place, ENDINGS[part]) for part, place in given.items()}
    images = found["image"]
    for part, files in found.items():
        _check_partners(images, files, given[part])
        _check_partners(files, images, given["image"])
    return [{part: files[name] for part, files in found.items()} for name in sorted(images)]


def _check_partners(files: Mapping[str, Path], others: Iterable[str], folder: Path) -> None:
    alone = sorted(files.keys() - set(others))
    if alone:
        raise WrongUsage(f"{files[alone[0]]} has no partner in {folder} ({len(alone)} in all)")


def _files(folder: Path, endings: frozenset[str]) -> Mapping[str, Path]:
    """The files of a folder with one of these endings, by name without it."""
    if folder.is_file():
        raise WrongUsage(f"{folder} is a file, and the images are a folder; name a folder")
    found = {file.stem: file for file in folder.iterdir() if file.suffix.lower() in endings}
    if not found:
        raise WrongUsage(f"{folder} holds no files ending in {', '.join(sorted(endings))}")
    return found

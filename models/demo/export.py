"""Writes drawn faces as the plain files a user would have: folders, or one zip.

    images/face_000000.png     RGB
    masks/face_000000.png      one byte per pixel, the class
    depth/face_000000.npy      float32 [H, W], metres
    keypoints.json             COCO keypoints: (x, y) order, 'left' is the viewer's left
    classes.json               a segmentation `LabelSpec`

Face i of seed s is the same bytes whatever the count and wherever the range begins.
Run as `python -m models.demo.export --out DIR --count N --seed S [--zip FILE]`.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.demo.renderer import (
    CLASS_NAMES,
    KEYPOINT_NAMES,
    PALETTE,
    Renders,
    render,
    sample_parameters,
)
from models.labels import SegmentationSpec

_HEAD_CLASSES = [k for k, name in enumerate(CLASS_NAMES) if name not in ("background", "clothes")]

_CATEGORY = {"id": 1, "name": "face", "keypoints": list(KEYPOINT_NAMES), "skeleton": []}


def export(out: Path, count: int, seed: int, first: int = 0) -> None:
    """Write faces `first` to `first + count - 1` of `seed` into the folder `out`."""
    for folder in ("images", "masks", "depth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index, face in _faces(count, seed, first):
        name = _name(index)
        (out / f"images/{name}.png").write_bytes(_image_png(face))
        (out / f"masks/{name}.png").write_bytes(_mask_png(face))
        np.save(out / f"depth/{name}.npy", face.depth[0].numpy())
        images.append(_entry(index, face))
        annotations.append(_annotation(index, face))
    coco = {"images": images, "annotations": annotations, "categories": [_CATEGORY]}
    _write_json(out / "keypoints.json", coco)
    spec = SegmentationSpec(classes=CLASS_NAMES, palette=PALETTE)
    _write_json(out / "classes.json", spec.model_dump(mode="json"))


def export_zip(file: Path, count: int, seed: int, first: int = 0) -> None:
    """Write images and masks of the same faces as a zip whose bytes depend on them only."""
    with zipfile.ZipFile(file, "w") as archive:
        for index, face in _faces(count, seed, first):
            _add(archive, f"images/{_name(index)}.png", _image_png(face))
            _add(archive, f"masks/{_name(index)}.png", _mask_png(face))


def _faces(count: int, seed: int, first: int) -> Iterator[tuple[int, Renders]]:
    """Each face with its index, drawn alone: floats of a batch may depend on its size."""
    if count < 1 or first < 0:
        raise ValueError(f"need count >= 1 and first >= 0, got {count} and {first}")
    for index in range(first, first + count):
        yield index, render(sample_parameters(1, seed, first=index))


def _name(index: int) -> str:
    return f"face_{index:06d}"


def _image_png(face: Renders) -> bytes:
    levels = face.images[0].add(1).mul(127.5).round().clamp(0, 255)  # [3, H, W]
    return _png(levels.byte().permute(1, 2, 0).numpy())


def _mask_png(face: Renders) -> bytes:
    return _png(face.masks[0].numpy())


def _png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """A PNG file of uint8 [H, W, 3] (RGB) or [H, W] ('L')."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """One member without time, owner or compression, for PNGs are compressed already."""
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o644 << 16
    archive.writestr(member, content)


def _annotation(index: int, face: Renders) -> dict[str, Any]:
    """The COCO annotation of one face; its box holds all of the head and the neck."""
    points = face.keypoints[0].double().numpy()
    flat: list[float] = []
    for row, column, visibility in points:
        seen = visibility > 0  # COCO writes a point without a place as three zeros.
        flat += [round(column, 3), round(row, 3), int(visibility)] if seen else [0.0, 0.0, 0]
    rows, columns = np.nonzero(np.isin(face.masks[0].numpy(), _HEAD_CLASSES))
    left, top = int(columns.min()), int(rows.min())
    return {
        "id": index,
        "image_id": index,
        "category_id": 1,
        "iscrowd": 0,
        "area": len(rows),
        "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
        "num_keypoints": int((points[:, 2] > 0).sum()),
        "keypoints": flat,
    }


def _entry(index: int, face: Renders) -> dict[str, Any]:
    """The COCO entry of one picture."""
    height, width = face.masks.shape[1:]
    return {"id": index, "file_name": f"{_name(index)}.png", "height": height, "width": width}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.demo.export", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, help="folder to write to")
    parser.add_argument("--zip", type=Path, help="zip of images and masks to write")
    parser.add_argument("--count", type=int, required=True, help="how many faces")
    parser.add_argument("--seed", type=int, default=0, help="which world of faces")
    parser.add_argument("--first", type=int, default=0, help="index of the first face")
    given = parser.parse_args(arguments)
    if given.out is None and given.zip is None:
        parser.error("give --out, --zip or both")
    if given.out is not None:
        export(given.out, given.count, given.seed, given.first)
    if given.zip is not None:
        export_zip(given.zip, given.count, given.seed, given.first)


if __name__ == "__main__":
    main()

"""Pictures of labels for people: colours for classes, points, numbers and depth, and sheets.

Everything is uint8 [H, W, 3] RGB in 0..255. Nothing here is read by a program again.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.data.images import Pixels
from models.labels import SegmentationSpec

Palette = Sequence[tuple[int, int, int]]

UNLABELLED = (128, 128, 128)
"""The colour of pixels without a class: ignored, or outside the palette."""

_PAPER = (250, 250, 250)
_INK = (40, 40, 40)
_GAP = 4
_TEXT = 15  # Height of letters, in pixels.
_LINE = 22

# Dark to bright, so that it also reads in grey: black, purple, red, orange, pale yellow.
_HEAT = np.array([(0, 0, 0), (80, 18, 120), (215, 48, 60), (252, 160, 40), (255, 252, 200)])

# Matplotlib's viridis at ten equal steps: equal steps of depth look equally far apart.
_VIRIDIS = np.array(
    [
        (68, 1, 84),
        (72, 40, 120),
        (62, 74, 137),
        (49, 104, 142),
        (38, 130, 142),
        (31, 158, 137),
        (53, 183, 121),
        (109, 205, 89),
        (180, 222, 44),
        (253, 231, 37),
    ]
)


def default_palette(n: int) -> tuple[tuple[int, int, int], ...]:
    """Colours for `n` classes (1..255), all different: a dark one for id 0, then bright ones.

    Neighbouring ids are far apart in hue; every few ids the lightness changes too.
    """
    if not 1 <= n <= 255:
        raise ValueError(f"a palette has 1 to 255 colours, got {n}")
    return ((24, 26, 38), *(_bright(index) for index in range(n - 1)))


def palette_of(spec: SegmentationSpec) -> tuple[tuple[int, int, int], ...]:
    """The label's own colours, or default ones."""
    return spec.palette or default_palette(len(spec.classes))


def _bright(index: int) -> tuple[int, int, int]:
    hue = (0.02 + index * 0.618034) % 1.0  # The golden ratio never comes back to a hue.
    lightness = (0.56, 0.42, 0.72)[index % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)


def colourise(mask: Pixels, palette: Palette) -> Pixels:
    """A mask [H, W] of class ids in its classes' colours: uint8 [H, W, 3].

    Ids without a colour (an ignore_index) become `UNLABELLED`.
    """
    table = np.full((256, 3), UNLABELLED, dtype=np.uint8)
    table[: len(palette)] = palette
    coloured: Pixels = table[mask]
    return coloured


def heat(values: NDArray[np.floating]) -> Pixels:
    """Numbers [H, W], clipped to 0..1, as colours from black (0) to pale yellow (1)."""
    return _along(_HEAT, values)


def _along(colours: NDArray[np.int_], values: NDArray[np.floating]) -> Pixels:
    """Numbers [...], clipped to 0..1, as places on a line through `colours`: uint8 [..., 3]."""
    at = np.clip(values, 0.0, 1.0) * (len(colours) - 1)
    channels = [np.interp(at, np.arange(len(colours)), channel) for channel in colours.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def depth_colours(depth: NDArray[np.floating]) -> Pixels:
    """Depth [H, W] as colours from yellow, the nearest of this picture, to violet, the farthest.

    Pixels without a depth (NaN) become `UNLABELLED`.
    """
    there = ~np.isnan(depth)
    coloured = np.full((*depth.shape, 3), UNLABELLED, dtype=np.uint8)
    if there.any():
        known = depth[there].astype(np.float64)
        nearest, farthest = known.min(), known.max()
        coloured[there] = _along(_VIRIDIS, (farthest - known) / max(farthest - nearest, 1e-9))
    return coloured


def depth_palette(n: int) -> tuple[tuple[int, int, int], ...]:
    """`n` of those colours at equal steps, the nearest first."""
    colours = _along(_VIRIDIS, np.linspace(1.0, 0.0, n)).tolist()
    return tuple((red, green, blue) for red, green, blue in colours)


def keypoint_palette(n: int) -> tuple[tuple[int, int, int], ...]:
    """Bright colours for `n` points; neighbours are far apart."""
    return tuple(_bright(index) for index in range(n))


def draw_keypoints(
    image: Pixels, points: NDArray[np.floating], skeleton: Sequence[tuple[int, int]]
) -> Pixels:
    """A copy of a picture [H, W, 3] with dots, and lines between those that belong together.

    Args:
        image: the picture.
        points: [K, 3 or more] of row, column, visibility. Seen points (2) are filled, hidden ones
            (1) are rings, others (0) are not drawn.
        skeleton: pairs of points.
    """
    canvas = Image.fromarray(image)
    draw, radius = ImageDraw.Draw(canvas), max(1, max(image.shape) // 80)
    places = {k: (p[1], p[0]) for k, p in enumerate(points.tolist()) if p[2] > 0}
    for one, other in skeleton:
        if one in places and other in places:
            draw.line((places[one], places[other]), _PAPER, max(1, radius // 2))
    colours = keypoint_palette(len(points))
    for k, place in places.items():
        inside = colours[k] if points[k, 2] > 1 else None
        draw.circle(place, radius, inside, colours[k])
    return np.array(canvas)


def difference(one: Pixels, other: Pixels, full: float = 64.0) -> Pixels:
    """Where two pictures [H, W, 3] differ, as heat.

    Args:
        one: a picture.
        other: another of the same shape.
        full: the absolute difference, averaged over the channels, that is drawn brightest.
    """
    if one.shape != other.shape:
        shapes = f"{list(one.shape)} and {list(other.shape)}"
        raise ValueError(f"pictures to compare must have one shape, got {shapes}")
    distance = np.abs(one.astype(np.float64) - other).mean(axis=-1)  # [H, W]
    return heat(distance / full)


def contact_sheet(
    rows: Sequence[Sequence[Pixels]],
    captions: Sequence[str] = (),
    tile: int = 192,
    titles: Sequence[str] = (),
) -> Pixels:
    """Pictures side by side, as one picture.

    Args:
        rows: pictures [H, W, 3] or grey [H, W] of any size, row by row from the top.
        captions: one per column, written above it; none at all if empty.
        tile: longest side of a picture on the sheet, in pixels. Larger ones are averaged
            down; smaller ones are repeated a whole number of times, so that pixels stay pixels.
        titles: one per row, written above it; none at all if empty.
    """
    if not any(rows):
        raise ValueError("a contact sheet needs at least one picture")
    cells = [[_fitted(picture, tile) for picture in row] for row in rows]
    width = max(cell.width for row in cells for cell in row) + _GAP
    above = _LINE if titles else 0
    height = max(cell.height for row in cells for cell in row) + _GAP + above
    top = _LINE if captions else 0
    columns = max(len(row) for row in cells)
    sheet = Image.new("RGB", (columns * width + _GAP, len(cells) * height + _GAP + top), _PAPER)
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            sheet.paste(cell, (_GAP + column * width, top + above + _GAP + row * height))
    for column, text in enumerate(captions):
        _write(sheet, text, (_GAP + column * width, _GAP), width - _GAP)
    for row, text in enumerate(titles):
        _write(sheet, text, (_GAP, top + _GAP + row * height), columns * width - _GAP)
    return np.array(sheet)


def _fitted(picture: Pixels, tile: int) -> Image.Image:
    image = Image.fromarray(picture).convert("RGB")
    longest = max(image.size)
    if longest > tile:
        size = [max(1, round(side * tile / longest)) for side in image.size]
        return image.resize((size[0], size[1]), Image.Resampling.BOX)
    factor = tile // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _write(sheet: Image.Image, text: str, place: tuple[int, int], width: int) -> None:
    """A line at a place (x, y), cut after so many pixels."""
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    while text and draw.textlength(text, font) > width:
        text = text[:-1]
    draw.text(place, text, _INK, font)


def legend(names: Sequence[str], palette: Palette, width: int) -> Pixels:
    """Which colour is which class: a strip [H, width, 3] of swatches and names, wrapped."""
    font = ImageFont.load_default(_TEXT)
    places: list[tuple[int, int]] = []
    x, y = _GAP, _GAP
    for name in names:
        needed = _LINE + int(font.getlength(name)) + 4 * _GAP
        if x > _GAP and x + needed > width:
            x, y = _GAP, y + _LINE
        places.append((x, y))
        x += needed
    strip = Image.new("RGB", (width, y + _LINE + _GAP), _PAPER)
    draw = ImageDraw.Draw(strip)
    for name, colour, (x, y) in zip(names, palette, places, strict=True):
        draw.rectangle((x, y, x + _TEXT, y + _TEXT), colour, _INK)
        draw.text((x + _LINE, y), name, _INK, font)
    return np.array(strip)

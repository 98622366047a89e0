"""What benchmarks found, as tables to read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.shapes import SHAPES

Found = Mapping[str, Any]

WAYS = {
    "synthesis": "(a) bare synthesis",
    "labelled": "(b) synthesis and labels",
    "labelling": "    labels alone",
    "naive": "(c) naive labels alone",
    "naive_half": "    naive, half precision",
    "shard": "(d) a whole shard",
}


def labelling(found: Found) -> str:
    """Each shape's ways: time, memory and arithmetic of an image, and what the bars are about."""
    lines = [f"{found['device']}, {found['threads']} threads; of one image:"]
    heads = ("", "ms", "processor ms", "peak MB", "GMAC", "of roofline", "repeats")
    for shape, figures in found["shapes"].items():
        ways = [_way(text, figures[way]) for way, text in WAYS.items() if way in figures]
        ratios, exact = figures["ratios"], figures["exactness"]
        lines += ["", shape, *_rows([heads, *ways])]
        lines += [
            f"  labels alone {ratios['labelling_speedup']:.1f} times as fast as the naive ones,"
            f" in {ratios['labelling_memory']:.3f} of their memory",
            f"  (b) {ratios['labelled_of_synthesis']:.3f} as fast as (a),"
            f" (d) {ratios['shard_of_labelled']:.3f} as fast as (b)",
            f"  logits differ by {exact['error']:.1e} of the largest at most,"
            f" classes are the same on {100 * exact['same_class']:.3f} % of pixels",
        ]
    return "\n".join(lines)


def _way(text: str, figures: Found) -> Sequence[str]:
    cost = f"{figures['macs'] / 1e9:.2f}" if "macs" in figures else ""
    share = f"{100 * figures['share_of_roofline']:.0f} %" if "share_of_roofline" in figures else ""
    times = (f"{1000 * figures[name]:.1f}" for name in ("seconds", "processor_seconds"))
    peak = f"{figures['peak_bytes'] / 1e6:.0f}"
    return (text, *times, peak, cost, share, str(figures["repeats"]))


def generation(found: Found) -> str:
    """Each shape's shards beside bare drawing, and the memory of a long generation."""
    heads = ("", "drawn/s", "kept/s", "shard of drawing", "each", "storing")
    shapes = {name: part for name, part in found.items() if name in SHAPES}
    lines = _rows([heads, *(_shard(name, part) for name, part in shapes.items())])
    if memory := found.get("memory"):
        first, last = memory["first"], memory["last"]
        grown = memory["bytes_an_image"]["rss"]
        lines += [
            f"  {memory['images']:,} images in {memory['seconds']:.0f} s: resident"
            f" {first['rss'] / 1e6:.0f} MB after {first['images']:,},"
            f" {last['rss'] / 1e6:.0f} MB at the end"
            + ("" if grown is None else f"; {grown:.1f} bytes an image after the first 2,000")
        ]
    return "\n".join(lines)


def _shard(name: str, part: Found) -> Sequence[str]:
    each = part["ratio"]["of_each"]
    return (
        name,
        f"{part['drawn_per_second_alone']:.2f}",
        f"{part['samples_per_second']:.2f}",
        f"{part['ratio']['median']:.3f}",
        f"{min(each):.3f} to {max(each):.3f}",
        f"{100 * part['share_of_storing']:.2f} %",
    )


def _rows(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with columns below each other: the first to the left, the others to the right."""
    kept = list(rows)
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    return ["  " + "  ".join(_padded(row, widths)).rstrip() for row in kept]


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    first, *others = zip(row, widths, strict=True)
    yield first[0].ljust(first[1])
    yield from (cell.rjust(width) for cell, width in others)

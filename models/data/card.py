"""The README.md of a generated dataset: a Hugging Face card that people read too. Pure.

The YAML at its head is no ornament: without `dataset_info.features` the Hugging Face loader
guesses types from the first five samples, and cuts later floats down to integers if those were
whole. Strings in it are written as JSON, which is YAML.
"""

import json
from collections.abc import Iterable
from string import Template

from models.data.images import ImageFormat
from models.data.kinds import kind_of
from models.data.kinds.base import Kind
from models.data.manifest import GenerationManifest
from models.data.ranks import is_ranked
from models.data.text import plain, quoted

# Licences that Hugging Face knows by these names; others are written out beside `other`.
_KNOWN_LICENCES = (
    "apache-2.0",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "mit",
    "unknown",
)

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)

_INFO_TYPES = (
    ("candidate", "int64"),
    ("height", "int64"),
    ("index", "int64"),
    ("psi", "float64"),
    ("score", "float64"),
    ("seed", "int64"),
    ("shard", "int64"),
    ("width", "int64"),
)

_TEXT = Template("""\
# $title

$samples labelled images, $height x $width pixels, drawn by a generative model and labelled by
an ensemble that was trained on a few labelled images. **Synthetic**: no image shows a
real scene, and no label was checked by a person. $dropped

![Samples and their labels](previews/overview.png)

$labels

## Reading

`data/` holds $shards WebDataset shards. A sample is a picture (`$image`), facts (`json`) and:

$members

```python
import io

import numpy as np
import webdataset as wds
from PIL import Image


def class_ids(data):  # "pil" alone would turn masks into RGB pictures.
    return np.asarray(Image.open(io.BytesIO(data)))


shards = "data/shard-{000000..$last}.tar"
dataset = wds.WebDataset(shards, shardshuffle=False).decode(
    wds.handle_extension("mask.png", class_ids), "pil"
)
for sample in dataset:
    image, facts = sample["$image"], sample["json"]
    $reads
```

With Hugging Face `datasets`, the types above are used:

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder", split="train")
```

`metadata.parquet` has a row per sample (uncertainty score, class shares, where its bytes lie), to
choose samples without opening shards. `manifest.json` has the SHA-256 of every file.

## Origin

Truncation psi $psi, seed $seed. Licence: $licence. Made from:

```json
$lineage
```
""")


def generation_card(
    manifest: GenerationManifest, image_format: ImageFormat, size: tuple[int, int]
) -> str:
    """The README.md of a generation.

    Args:
        manifest: of the generation; its `files` are not looked at.
        image_format: extension of the pictures in the shards.
        size: (H, W) of the pictures, in pixels.
    """
    kinds = [kind_of(spec) for spec in manifest.labels]
    text = _TEXT.substitute(
        title=plain(manifest.name or "Generated dataset"),
        samples=f"{manifest.samples:,}",
        height=size[0],
        width=size[1],
        dropped=_dropped(manifest),
        labels="\n\n".join(_described(manifest, kinds)),
        members="\n".join(f"- `{kind.member}`: {kind.reading}" for kind in kinds),
        reads="\n    ".join(f'{_variable(kind)} = sample["{kind.member}"]' for kind in kinds),
        shards=len(manifest.shards),
        image=image_format,
        last=f"{len(manifest.shards) - 1:06d}",
        psi=manifest.psi,
        seed=manifest.seed,
        licence=plain(manifest.licence or "unknown"),
        lineage=json.dumps(manifest.lineage, indent=1, sort_keys=True),
    )
    return "\n".join(["---", *_head(manifest, image_format, size), "---", "", text])


def _variable(kind: Kind) -> str:
    """What the example calls a label: its file's name."""
    return kind.member.partition(".")[0]


def _dropped(manifest: GenerationManifest) -> str:
    if is_ranked(manifest.plan):
        return "`kept` in `metadata.parquet` marks those whose uncertainty has the paper's ranks."
    dropped = manifest.candidates - manifest.samples
    if not dropped:
        return "All that were drawn were kept."
    share = f"the {100 * manifest.dropped_share:.1f} % whose labels were the least certain"
    return f"Of {manifest.candidates:,} drawn, {share} were left out."


def _head(
    manifest: GenerationManifest, image_format: ImageFormat, size: tuple[int, int]
) -> Iterable[str]:
    """The lines of YAML that Hugging Face reads."""
    licence = manifest.licence or "unknown"
    if licence.lower() in _KNOWN_LICENCES:
        yield f"license: {licence.lower()}"
    else:
        yield "license: other"
        yield f"license_name: {quoted(licence)}"
    yield f"pretty_name: {quoted(manifest.name or 'Generated dataset')}"
    tasks = ", ".join(kind_of(spec).task for spec in manifest.labels)
    yield f"task_categories: [{tasks}]"
    category = next((word for limit, word in _SIZES if manifest.samples < limit), "n>1T")
    yield f"size_categories: [{quoted(category)}]"
    yield "tags: [synthetic, webdataset]"
    yield from ("configs:", "- config_name: default", "  data_files:")
    yield from ("  - split: train", '    path: "data/shard-*.tar"')
    yield from ("dataset_info:", "  features:")
    yield from _features(manifest, image_format, size)


def _features(
    manifest: GenerationManifest, image_format: ImageFormat, size: tuple[int, int]
) -> Iterable[str]:
    """The type of every field of a sample, as the loader names them."""
    kinds = [kind_of(spec) for spec in manifest.labels]
    yield from (f"  - name: {image_format}", "    dtype: image")
    for kind in kinds:
        yield from kind.feature(size)
    yield from ("  - name: json", "    struct:")
    label = (("label", "int64"),) if manifest.plan.get("class_shares") else ()
    for name, dtype in (*_INFO_TYPES, *label):
        yield from (f"    - name: {name}", f"      dtype: {dtype}")
    if len(kinds) > 1:
        yield from _floats("scores", [spec.kind for spec in manifest.labels])
    for kind in kinds:
        yield from _floats(kind.figure, kind.names)
    for name in ("__key__", "__url__"):
        yield from (f"  - name: {name}", "    dtype: string")


def _floats(field: str, names: Iterable[str]) -> Iterable[str]:
    """A field of the JSON that holds a number for each name."""
    yield from (f"    - name: {field}", "      struct:")
    for name in names:
        yield from (f"      - name: {quoted(name)}", "        dtype: float64")


def _described(manifest: GenerationManifest, kinds: Iterable[Kind]) -> Iterable[str]:
    """What the labels of each kind mean."""
    means = manifest.statistics.by_field
    for kind in kinds:
        yield "\n".join(kind.described(means[kind.figure]))

"""Small generations to describe: shards of noise with everything that is said about them."""

import numpy as np

from models.data.images import encode_image, encode_png
from models.data.manifest import GenerationManifest, SampleInfo, ShardFragment
from models.data.shards import ShardSample, write_shard
from models.data.statistics import pixel_shares
from models.data.summary import GenerationTally
from models.labels import SegmentationSpec

SPEC = SegmentationSpec(classes=("background", "skin | hair", "eyes"))
SIZE = (8, 6)
SHARD_SIZE = 3


def content(index):
    """
    The image [8, 6, 3] and mask [8, 6] of a sample.
    """
    stream = np.random.default_rng(index)
    image = stream.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return image, stream.integers(0, 3, SIZE, dtype=np.uint8)


def info(index, spec=SPEC):
    """
    What a sample says of itself.
    """
    return SampleInfo(
        index=index,
        seed=2**63 - 1,
        shard=index // SHARD_SIZE,
        candidate=index % SHARD_SIZE + 1,
        score=index / 10,
        psi=1.0,
        height=SIZE[0],
        width=SIZE[1],
        class_pixel_share=pixel_shares(content(index)[1], spec),
    )


def write_generation(folder, count, image_format="png", spec=SPEC):
    """
    Write the shards of a generation below `folder`; their fragments.
    """
    fragments = []
    (folder / "data").mkdir(parents=True)
    for shard in range(-(-count // SHARD_SIZE)):
        infos = [
            info(index, spec)
            for index in range(shard * SHARD_SIZE, min(count, (shard + 1) * SHARD_SIZE))
        ]
        samples = [
            ShardSample(
                f"{one.index:09d}",
                {
                    image_format: encode_image(content(one.index)[0], image_format),
                    "mask.png": encode_png(content(one.index)[1]),
                    "json": one.to_json(),
                },
            )
            for one in infos
        ]
        path = f"data/shard-{shard:06d}.tar"
        written = write_shard(folder / path, samples)
        fragments.append(ShardFragment.of(path, written, len(infos) + 1, infos))
    return fragments


def manifest(fragments, spec=SPEC, **changes):
    """
    The manifest of a generation of these shards.
    """
    tally = GenerationTally()
    shards = list(tally.watching(fragments))
    facts = {
        "samples": tally.samples,
        "candidates": tally.candidates,
        "dropped_share": tally.dropped_share,
        "shards": tuple(shard.entry for shard in shards),
        "files": (),
        "label": spec,
        "psi": 1.0,
        "seed": 7,
        "lineage": {"generator": {"sha256": "0" * 64}},
        "statistics": tally.statistics(),
        "versions": {"torch": "2.13.0"},
        "plan": {"batch": 4},
    }
    return GenerationManifest(**{**facts, **changes})

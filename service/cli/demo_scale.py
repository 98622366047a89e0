"""How large the demo is: two presets in one table. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Scale:
    """Counts and settings of one demo.

    Attributes:
        images, validation, test: labelled renders to learn from, to choose by and to test on.
        samples: labelled images to make.
        shard_size: samples in a shard.
        inversion, label_generator, recipe: fields of the API's configurations; what is left out
            has the API's defaults.
    """

    images: int
    validation: int
    test: int
    samples: int
    shard_size: int
    inversion: Mapping[str, Any]
    label_generator: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)


# The distance is `perceptual`, on a seeded random trunk, so that nothing has to be downloaded.
FULL = Scale(
    images=16,
    validation=50,
    test=500,
    samples=2000,
    shard_size=500,
    inversion={"distance": "perceptual", "steps": 100, "restyle_iterations": 3},
)
# Enough to see that everything runs; the figures mean nothing.
QUICK = Scale(
    images=4,
    validation=4,
    test=8,
    samples=64,
    shard_size=32,
    inversion={"distance": "perceptual", "steps": 5, "starts": 32},
    label_generator={"members": 3, "max_steps": 50, "calibration_samples": 100},
    recipe={"steps": 20, "batch": 8, "width": 8},
)

# Worlds of faces that share no face: training, validation, test. The generator learnt from
# another one, and the label generator never sees the last two.
SEEDS = {"training": 101, "validation": 102, "test": 103}
GENERATION_SEED = 2000


def scale_of(images: int, samples: int, quick: bool) -> Scale:
    """The preset, with what the command line asks for in its place."""
    return QUICK if quick else replace(FULL, images=images, samples=samples)

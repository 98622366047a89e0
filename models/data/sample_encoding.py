"""A generated image as a shard keeps it: its files, and what is said of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from models.data.images import ImageFormat, Pixels, encode_image
from models.data.kinds import kind_of
from models.data.labelled import LabelArray
from models.data.manifest import SampleInfo
from models.data.shards import ShardSample
from models.labels import LabelSpec

ENCODERS: Mapping[str, int] = {"cpu": 1, "cuda": 8}
"""Threads that encode beside a device, by its kind: a CPU's cores are at work already, and a GPU
makes pictures of 512 x 512 several times faster than one core writes them as PNG."""


@dataclass(frozen=True)
class Place:
    """Which image of which generation: with the networks, all that it was drawn from.

    Attributes:
        index: its number in its generation.
        seed, shard, candidate, psi: see `SampleInfo`.
    """

    index: int
    seed: int
    shard: int
    candidate: int
    psi: float


@dataclass(frozen=True)
class Generated:
    """A generated image with its labels.

    Attributes:
        place: where it comes from.
        image: uint8 [H, W, 3] RGB.
        labels: by kind, each as its spec says.
        scores: how uncertain each label is, by kind; the first one's is the sample's.
        label: the class that was drawn; None where the generator knows none.
    """

    place: Place
    image: Pixels
    labels: Mapping[str, LabelArray]
    scores: Mapping[str, float]
    label: int | None = None


def encode_sample(
    made: Generated, specs: Sequence[LabelSpec], image_format: ImageFormat
) -> tuple[ShardSample, SampleInfo]:
    """The files of a sample; the same bytes for the same image, labels and numbers.

    Args:
        made: the image.
        specs: what its labels mean, one of each kind.
        image_format: of the image.
    """
    members: dict[str, bytes] = {image_format: encode_image(made.image, image_format)}
    figures: dict[str, dict[str, float]] = {}
    for spec in specs:
        kind, label = kind_of(spec), made.labels[spec.kind]
        figures[kind.figure] = kind.figures(label)
        members[kind.member] = kind.encode(label)
    info = SampleInfo.model_validate(
        {
            **asdict(made.place),
            "score": next(iter(made.scores.values())),
            "scores": dict(made.scores) if len(made.scores) > 1 else None,
            "label": made.label,
            "height": made.image.shape[0],
            "width": made.image.shape[1],
            **figures,
        }
    )
    return ShardSample(f"{info.index:09d}", members | {"json": info.to_json()}), info

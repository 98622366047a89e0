"""Labelled images of a generator, batch by batch. Which of them are kept is others' affair.

A GPU works on its own once it has been told what to do, so a batch is begun and fetched apart:
whoever begins the next one before fetching keeps the GPU busy. On a CPU a batch that was begun
is done.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.class_mix import Shares
from models.data.sample_encoding import Generated, Place
from models.label_generator import LabelGenerator, Labels
from models.labels import LabelSpec
from models.latents import Codes, drawn_codes
from models.pixels import as_pixels
from models.stylegan2.networks import Generator

Precision = Literal["float32", "float16"]
"""What images are computed in; a float16 network's first blocks stay in float32."""

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "float16": torch.float16}

_PIXELS_AT_ONCE = {"cpu": 2**16, "cuda": 2**22}


@dataclass(frozen=True)
class Drawn:
    """N labelled images, on the CPU.

    Attributes:
        images: uint8 [N, H, W, 3].
        labels: of each label generator.
        classes: of the generator, one per image; None where it knows none.
    """

    images: NDArray[np.uint8]
    labels: tuple[Labels, ...]
    classes: tuple[int, ...] | None = None

    def one(self, index: int, specs: Sequence[LabelSpec], place: Place) -> Generated:
        """The image in row `index`, whose labels mean `specs` and which comes from `place`."""
        pairs = list(zip(specs, self.labels, strict=True))
        return Generated(
            place,
            self.images[index],
            {spec.kind: labels.values[index].numpy() for spec, labels in pairs},
            {spec.kind: float(labels.scores[index]) for spec, labels in pairs},
            None if self.classes is None else self.classes[index],
        )


@dataclass(frozen=True)
class Begun:
    """N labelled images on the device, which may still be at work on them.

    Attributes:
        images: float32 [N, 3, h, w] in [-1, 1].
        labels: of each label generator.
        size: (H, W) of the labels, and of the images when they are fetched.
        classes: see `Drawn`.
        made: on CUDA, happens when all of them are done.
    """

    images: Tensor
    labels: tuple[Labels, ...]
    size: tuple[int, int]
    classes: tuple[int, ...] | None
    made: torch.cuda.Event | None

    @torch.no_grad()
    def fetched(self, beside: torch.cuda.Stream | None = None) -> Drawn:
        """The images, when they are done.

        Args:
            beside: on CUDA, the stream to copy in, so that what has been begun since goes on
                meanwhile; without it the copy waits for that.
        """
        with self._within(beside):
            # These copies are waited for, so nothing reads the tensors when they are freed.
            labels = tuple(some.cpu() for some in self.labels)
            return Drawn(as_pixels(self.images, self.size), labels, self.classes)

    def _within(self, beside: torch.cuda.Stream | None) -> AbstractContextManager[object]:
        if beside is None or self.made is None:
            return nullcontext()
        beside.wait_event(self.made)
        return torch.cuda.stream(beside)


def batch_size(device: torch.device, image_size: Sequence[int]) -> int:
    """How many images (H, W) are computed together: as many as fit the cache or the GPU."""
    return max(1, min(64, _PIXELS_AT_ONCE[device.type] // (image_size[0] * image_size[1])))


def precision_of(generator: Generator) -> Precision:
    """What a generator computes in where it is: half where the network was made for it, on CUDA."""
    is_half = generator.w_avg.is_cuda and generator.config.half_from is not None
    return "float16" if is_half else "float32"


def draw(
    generator: Generator,
    label_generators: Sequence[LabelGenerator],
    streams: Sequence[np.random.Generator],
    psi: float,
    shares: Shares = (),
) -> Drawn:
    """One labelled image per random stream, all computed as one batch; see `drawn_codes`."""
    codes = drawn_codes(generator, streams, psi, shares)
    return begin(generator, label_generators, codes).fetched()


def render(generator: Generator, label_generators: Sequence[LabelGenerator], ws: Tensor) -> Drawn:
    """Images of style codes ws [N, num_ws, w_dim], with labels; see `begin`."""
    return begin(generator, label_generators, Codes(ws, None)).fetched()


@torch.no_grad()
def begin(
    generator: Generator,
    label_generators: Sequence[LabelGenerator],
    codes: Codes,
    precision: Precision | None = None,
) -> Begun:
    """Images of N style codes, with labels, at the labels' size.

    Args:
        generator: on any device.
        label_generators: of its images, on the same.
        codes: as `drawn_codes` gives them.
        precision: None for `precision_of` the generator.

    Raises:
        ValueError: label generators of one kind twice, or of labels of different sizes.
    """
    size = _size_of(label_generators)
    dtype = DTYPES[precision or precision_of(generator)]
    images, features = generator.synthesize_with_features(codes.ws, dtype=dtype)
    labels = tuple(some.predict(features) for some in label_generators)
    made = torch.cuda.current_stream(images.device).record_event() if images.is_cuda else None
    return Begun(images, labels, size, codes.classes, made)


def _size_of(label_generators: Sequence[LabelGenerator]) -> tuple[int, int]:
    """(H, W) of the labels of all label generators, which must go together."""
    kinds = [some.spec.kind for some in label_generators]
    if len(set(kinds)) != len(kinds) or not kinds:
        raise ValueError(f"one label generator of each kind is needed, got {', '.join(kinds)}")
    sizes = {some.size for some in label_generators}
    if len(sizes) > 1:
        raise ValueError(f"label generators of one generator have one size, got {sorted(sizes)}")
    return sizes.pop()

"""The label generator: M small MLPs that read hypercolumns and vote on every pixel's label.

    h1 = W1 x + b1,  h2 = W2 relu(h1) + b2,  outputs = W3 relu(h2) + b3      (HandsOff, 3.2)

for each member, where what training had between the layers (standardised features, BatchNorm
after ReLU) is folded into W and b, exactly. `W1` is applied to feature maps, not to
hypercolumns (`models.hypercolumns`). Training is in `models.label_generator_training`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models import fused_check, fused_layers, hypercolumns
from models.errors import CheckpointError
from models.fused_layers import Layers
from models.heads import head_of
from models.heads.base import Decision, Head, Vote
from models.labels import LabelSpec

SCHEMA_VERSION = "1"
KIND = "label-generator"
LARGEST_LABEL = 512
"""Rows of a label at most; larger generators' images are reduced to it, as the authors do."""

_NUMBERS_AT_ONCE = {"cpu": 2**19, "cuda": 2**28}
"""Hidden values of a tile: on a CPU so many that they stay in its cache."""

_WIDTH_AT_ONCE = 384
"""Hidden values of a pixel: members with so many together share a pass over the maps.

All members at once would need M times the memory for maps that are projected at native size;
one narrow member after the other would spend its time on reading the maps.
"""

_LARGEST_IN_HALF = 2.0**12
"""A weight as large stands before features so small that float16 does not resolve them."""


@dataclass(frozen=True)
class Labels:
    """What a label generator says of N images.

    Attributes:
        values: a label for each, as the head of its kind finishes it: masks uint8 [N, H, W],
            points float32 [N, K, 4] or depth float32 [N, H, W].
        uncertainty: float32 [N, H, W].
        scores: float32 [N], how uncertain each label is; what counts depends on the kind.
    """

    values: Tensor
    uncertainty: Tensor
    scores: Tensor

    def cpu(self) -> "Labels":
        """The same on the CPU."""
        return Labels(*(getattr(self, f.name).cpu() for f in fields(self)))

    @classmethod
    def join(cls, parts: Sequence["Labels"]) -> "Labels":
        """The labels of all images, in order."""
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)))


@dataclass(frozen=True)
class LabelGenerator:
    """An ensemble that labels the images of one generator.

    Attributes:
        layers: its weights.
        spec: what its labels mean.
        size: (H, W) of its labels.
        vote: how members agree.
        feature_shapes: (C_l, h_l, w_l) of the maps it reads, constant first.
        generator_sha256: of the generator whose features it was trained on.
        learnt: what its head took from the labels it was trained on.
    """

    layers: Layers
    spec: LabelSpec
    size: tuple[int, int]
    vote: Vote
    feature_shapes: tuple[tuple[int, int, int], ...]
    generator_sha256: str
    learnt: Mapping[str, float] = field(default_factory=dict)

    @property
    def head(self) -> Head:
        """What knows its kind of label."""
        return head_of(self.spec, self.learnt)

    def to(self, device: torch.device) -> "LabelGenerator":
        """The same on another device."""
        return replace(self, layers=self.layers.to(device))

    @torch.no_grad()
    def predict(self, features: Sequence[Tensor]) -> Labels:
        """Labels of N images.

        Args:
            features: the generator's maps [N, C_l, h_l, w_l], learned constant first, on the
                device of this label generator. On CUDA, maps whose finest are float16 are read
                and weighted in float16, with sums of float32 in what is above the first layer;
                everything else is float32.

        Raises:
            ValueError: maps of other shapes than those it was trained on.
        """
        self._check(features)
        together = self._images_fused() if self._is_fused(features) else self._portions()[0]
        portions = zip(*(torch.split(f, together) for f in features), strict=True)
        return Labels.join([self._labels(portion) for portion in portions])

    @torch.no_grad()
    def outputs(self, features: Sequence[Tensor]) -> Tensor:
        """What each member says of each pixel, before they agree.

        Args:
            features: as `predict` takes them; the outputs of all N images are kept at once.

        Returns:
            float32 [M, K, N, H, W].
        """
        self._check(features)
        if self._is_fused(features):
            return fused_layers.said(self.projected(features), self.layers)
        maps = hypercolumns.native_maps(features, self.size)
        members = len(self.layers.b3)
        outputs = self.layers.b3.new_empty(*self.layers.b3.shape, len(features[0]), *self.size)
        _, edge = self._portions()
        for first in range(0, members, self._members_together):
            some = slice(first, first + self._members_together)
            layers = self.layers.of(some)
            weight, bias = layers.w1.flatten(0, 1), layers.b1.flatten()
            for tile, hidden in hypercolumns.project(maps, weight, bias, edge):
                tile.of(outputs[some]).copy_(layers.above_first(hidden))
        return outputs

    def projected(self, features: Sequence[Tensor]) -> hypercolumns.Projected:
        """The first layers of all members, in float16 where the finest maps are."""
        dtype = self._factors(features)
        maps = hypercolumns.native_maps(features, self.size, dtype)
        weight, bias = self.layers.w1.flatten(0, 1), self.layers.b1.flatten()
        return hypercolumns.Projected.of(maps, weight.to(dtype), bias.to(dtype))

    def _is_fused(self, features: Sequence[Tensor]) -> bool:
        """Whether one kernel does all that is above the projected maps."""
        is_enlarged = self.feature_shapes[0][1] < self.size[0]
        if not (features[0].is_cuda and is_enlarged and fused_layers.fits(self.layers)):
            return False
        channels = sum(c for c, height, _ in self.feature_shapes if height >= self.size[0])
        shape = fused_layers.Shape.of(self.layers, channels)
        return fused_check.works(shape, self._factors(features), features[0].device)

    def _factors(self, features: Sequence[Tensor]) -> torch.dtype:
        """What maps and weights are multiplied in: float16 where the finest maps are given in it.

        Generators that compute in float16 give such maps (`drawing.precision_of`). On 64 samples
        of the demo domain (the kernel's rounding imitated on a CPU) 14 of 262,144 pixels got
        another class; scores moved by 5e-4 of themselves, logits by 9e-4 of the largest.
        """
        is_half = features[-1].dtype == torch.float16 and self._largest_weight <= _LARGEST_IN_HALF
        return torch.float16 if is_half else torch.float32

    @cached_property
    def _largest_weight(self) -> float:
        layers = self.layers
        return max(float(x.abs().max()) for x in (layers.w1, layers.b1, layers.w2, layers.w3))

    def _labels(self, features: Sequence[Tensor]) -> Labels:
        """The labels of N images that are computed together."""
        if self.head.votes and self._is_fused(features):
            projected = self.projected(features)
            return self._finished(fused_layers.voted(projected, self.layers, self.vote))
        return self._decided(self.outputs(features))

    def _check(self, features: Sequence[Tensor]) -> None:
        shapes = tuple(tuple(f.shape[1:]) for f in features)
        if shapes != self.feature_shapes:
            raise ValueError(f"trained on maps {list(self.feature_shapes)}, given {list(shapes)}")

    def _decided(self, outputs: Tensor) -> Labels:
        """The labels of N images, of outputs [M, K, N, H, W]."""
        head, shape = self.head, outputs.shape[2:]
        pixels = max(1, self._numbers_at_once // self.layers.b3.numel())
        portions = torch.split(outputs.flatten(2), pixels, dim=2)  # [M, K, P] each
        decisions = [head.decide(portion.mT, self.vote) for portion in portions]
        values = torch.cat([decision.values for decision in decisions]).view(*shape, -1)
        uncertainty = torch.cat([decision.uncertainty for decision in decisions]).view(shape)
        return self._finished(Decision(values, uncertainty))

    def _finished(self, decided: Decision) -> Labels:
        """The labels of N images, of decisions [N, H, W, J] and uncertainties [N, H, W]."""
        finished = self.head.finish(decided.values, decided.uncertainty)
        return Labels(finished.values, decided.uncertainty, finished.scores)

    def _portions(self) -> tuple[int, int]:
        """Number of images that are computed together, and edge of a tile in pixels."""
        members, width = self.layers.b1.shape
        budget = self._numbers_at_once // (min(members, self._members_together) * width)
        edge = 8
        while edge < max(self.size) and (2 * edge) ** 2 <= budget:
            edge *= 2
        return max(1, budget // edge**2), edge

    def _images_fused(self) -> int:
        """Number of images whose projected maps, of all members, are held at once."""
        # Half as many samples as pixels, corners counted.
        of_an_image = self.layers.b1.numel() * self.size[0] * self.size[1] // 2
        return max(1, self._numbers_at_once // of_an_image)

    @property
    def _members_together(self) -> int:
        """How many members share a pass over the maps."""
        return max(1, _WIDTH_AT_ONCE // self.layers.b1.shape[1])

    @property
    def _numbers_at_once(self) -> int:
        return _NUMBERS_AT_ONCE[self.layers.b1.device.type]


def label_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """The size of labels for images of (H, W): halved until they have at most 512 rows."""
    height, width = image_size
    while height > LARGEST_LABEL:
        height, width = height // 2, width // 2
    return height, width


def save_label_generator(label_generator: LabelGenerator, path: Path) -> None:
    """Write everything of a label generator to one safetensors file."""
    tensors = {
        f.name: getattr(label_generator.layers, f.name).cpu().contiguous() for f in fields(Layers)
    }
    about = {
        "size": label_generator.size,
        "vote": label_generator.vote,
        "feature_shapes": label_generator.feature_shapes,
        "generator_sha256": label_generator.generator_sha256,
        "label": label_generator.spec.model_dump(mode="json"),
        "learnt": dict(label_generator.learnt),
    }
    header = {"schema_version": SCHEMA_VERSION, "kind": KIND, "about": json.dumps(about)}
    save_file(tensors, path, metadata=header)


def load_label_generator(path: Path) -> LabelGenerator:
    """What `save_label_generator` wrote, on the CPU.

    Raises:
        CheckpointError: not such a file, or a newer schema.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    if (header.get("kind"), header.get("schema_version")) != (KIND, SCHEMA_VERSION):
        raise CheckpointError(
            f"{path} holds {header.get('kind', 'no kind')!r} of schema "
            f"{header.get('schema_version')!r}, not {KIND!r} of {SCHEMA_VERSION!r}"
        )
    about = json.loads(header["about"])
    return LabelGenerator(
        layers=Layers(**tensors),
        spec=TypeAdapter(LabelSpec).validate_python(about["label"]),
        size=tuple(about["size"]),
        vote=Vote(about["vote"]),
        feature_shapes=tuple(tuple(shape) for shape in about["feature_shapes"]),
        generator_sha256=about["generator_sha256"],
        # Files of the time when all labels were masks have none.
        learnt=about.get("learnt", {}),
    )

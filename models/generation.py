"""Endless labelled images: which latents a shard draws, which of them it keeps, and its bytes.

Candidate k of shard s takes its latent from `philox(seed, s, k)`. It is always computed as slot
k mod B of batch k div B, for floating point repeats only for equal batches. Candidates whose
score is above the threshold are dropped, and drawing goes on until the shard is full: exactly
the wanted number, each shard independent of all others (HandsOff 3.3 drops after the fact).

Several label generators of one generator, each of another kind, label the same images; a
candidate must pass the threshold of each.

The caller's thread draws, selects and writes; others encode. On a GPU the next batch is begun
before the last one is fetched, so that it never waits for the rest.
"""

from collections import abc, deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, model_validator

from models.class_mix import Shares
from models.data.images import ImageFormat
from models.data.manifest import SampleInfo
from models.data.sample_encoding import ENCODERS, Generated, Place, encode_sample
from models.data.shards import ShardSample
from models.drawing import Begun, Drawn, Precision, begin
from models.errors import UncertaintyRuleTooStrict
from models.label_generator import LabelGenerator
from models.labels import LabelSpec
from models.latents import drawn_codes
from models.overlap import in_order
from models.progress import Report
from models.seeding import philox
from models.stylegan2.networks import Generator

MOST_CANDIDATES = 20
"""A shard may need this many candidates per sample before it gives up."""
FEWEST_CANDIDATES = 1000
"""But no shard gives up before it has tried as many: a small one may just be unlucky."""

Filled = abc.Generator[tuple[ShardSample, SampleInfo], None, None]
"""A shard's samples, and what is said of each; closing it ends its threads."""

_BATCHES_BEGUN = 2
"""At a time: one is fetched while the device is at work on another."""


class Plan(BaseModel):
    """Everything that decides the bytes of a generation's shards, beside the networks.

    Attributes:
        count: samples in all.
        shard_size: samples a shard; the last may hold fewer.
        batch: candidates computed together.
        threads: of PyTorch on a CPU.
        device: its kind, `cpu` or `cuda`.
        precision: what images are computed in; see `drawing.precision_of`.
        psi: truncation; 1 is none.
        seed: of all latents.
        thresholds: by kind of label; candidates with a higher score of that kind are dropped. A
            kind without one keeps all.
        class_shares: how often each class of a conditional generator is drawn; empty for all
            equally often, and where there are none.
        image_format: of the images.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    count: int
    shard_size: int
    batch: int
    threads: int
    device: str
    precision: Precision = "float32"
    psi: float
    seed: int
    thresholds: dict[str, float] = {}
    class_shares: Shares = ()
    image_format: ImageFormat = "png"

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, given: Any) -> Any:
        """Plans of the time when all labels were masks have one threshold, which may be None."""
        if not isinstance(given, dict) or "threshold" not in given:
            return given
        only = given["threshold"]
        return {**given, "thresholds": {} if only is None else {"segmentation": only}}

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.count // self.shard_size)

    def samples_of(self, shard: int) -> int:
        """How many samples a shard holds."""
        return min(self.shard_size, self.count - shard * self.shard_size)


def fill_shard(
    generator: Generator,
    label_generators: Sequence[LabelGenerator],
    plan: Plan,
    shard: int,
    report: Report,
    encoders: int | None = None,
) -> Filled:
    """The samples of a shard, one by one, in order.

    How many candidates were drawn is the last sample's `candidate` + 1. In memory are at most
    two batches that were begun, and as many images as a batch has, or two for each thread if
    those are more, that wait to be encoded or taken. The threads end with the last sample, or
    when this is closed.

    Args:
        generator: on any device.
        label_generators: of its images, on the same.
        plan: all that decides the bytes, beside the networks.
        shard: which one.
        report: told after every batch how many samples have been drawn.
        encoders: threads that encode; None for as many as suit the device, 0 for none. They
            change no byte.

    Raises:
        UncertaintyRuleTooStrict: the shard is not full after `MOST_CANDIDATES` times its size.
    """
    threads = ENCODERS[plan.device] if encoders is None else encoders
    specs = [some.spec for some in label_generators]
    encode = partial(encode_sample, specs=specs, image_format=plan.image_format)
    chosen = _chosen(generator, label_generators, plan, shard, report)
    yield from in_order(encode, chosen, threads, ahead=max(plan.batch, 2 * threads))


def _chosen(
    generator: Generator,
    label_generators: Sequence[LabelGenerator],
    plan: Plan,
    shard: int,
    report: Report,
) -> Iterator[Generated]:
    """The shard's images, as many as it holds, in order."""
    candidates = _Candidates(generator, label_generators, plan, shard)
    wanted, slot = plan.samples_of(shard), 0
    specs = [some.spec for some in label_generators]
    while slot < wanted:
        batch = candidates.batch(wanted - slot)
        if batch is None:
            raise UncertaintyRuleTooStrict(
                f"shard {shard} found {slot} of {wanted} samples among {candidates.most} "
                f"candidates with a score of at most {_limits(plan)}: drop a smaller share, "
                "or use the truncation psi that the label generator was calibrated for"
            )
        first, drawn = batch
        for i in _certain_enough(plan, specs, drawn)[: wanted - slot]:
            index = shard * plan.shard_size + slot
            yield drawn.one(i, specs, Place(index, plan.seed, shard, first + i, plan.psi))
            slot += 1
        report("drawing", slot, wanted, "samples")


class _Candidates:
    """A shard's candidates, batch after batch; some are begun before they are asked for.

    Attributes:
        most: how many there are.
    """

    def __init__(
        self,
        generator: Generator,
        label_generators: Sequence[LabelGenerator],
        plan: Plan,
        shard: int,
    ) -> None:
        self.most = max(FEWEST_CANDIDATES, MOST_CANDIDATES * plan.samples_of(shard))
        self._networks = generator, label_generators
        self._plan = plan
        self._shard = shard
        self._begun = deque[tuple[int, Begun]]()
        self._next = 0
        device = generator.w_avg.device
        self._copies: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def batch(self, missing: int) -> tuple[int, Drawn] | None:
        """The next batch, and which candidate is its first; None after the last one.

        Args:
            missing: images that the shard lacks. Batches that it will need, whatever is found
                in those before them, are begun before this one is waited for, and no others.
        """
        needed = -(-missing // self._plan.batch)
        while self._next < self.most and len(self._begun) < min(needed, _BATCHES_BEGUN):
            self._begun.append((self._next, self._begin(self._next)))
            self._next += self._plan.batch
        if not self._begun:
            return None
        first, batch = self._begun.popleft()
        return first, batch.fetched(self._copies)

    def _begin(self, first: int) -> Begun:
        """The batch that begins with that candidate."""
        plan, (generator, label_generators) = self._plan, self._networks
        streams = [philox(plan.seed, self._shard, first + i) for i in range(plan.batch)]
        codes = drawn_codes(generator, streams, plan.psi, plan.class_shares)
        return begin(generator, label_generators, codes, plan.precision)


def _certain_enough(plan: Plan, specs: Sequence[LabelSpec], drawn: Drawn) -> list[int]:
    """Which of the drawn images pass every threshold."""
    kept = torch.ones(len(drawn.images), dtype=torch.bool)
    for spec, labels in zip(specs, drawn.labels, strict=True):
        kept &= labels.scores.double() <= plan.thresholds.get(spec.kind, np.inf)
    found: list[int] = kept.nonzero().flatten().tolist()
    return found


def _limits(plan: Plan) -> str:
    """The thresholds, for a message."""
    if len(plan.thresholds) == 1:
        return str(*plan.thresholds.values())
    return " and ".join(f"{limit} ({kind})" for kind, limit in plan.thresholds.items())

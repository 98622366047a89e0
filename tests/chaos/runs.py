"""One run: an order, faults amid it, and the verdict."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos import faults, verdict
from tests.chaos.pipeline import Customer, Plan, states
from tests.chaos.verdict import Digests
from tests.chaos.world import World
from workers import redis_names as names

_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Result:
    """
    What became of a run.

    Attributes:
        seconds: from the order to the end of its last job.
        recovery: from the last fault's end to the same.
    """

    seed: int
    faults: Sequence[faults.Fault]
    failures: Sequence[str]
    seconds: float
    recovery: float

    def as_json(self) -> dict[str, Any]:
        """
        A line of the results.
        """
        return {
            "seed": self.seed,
            "ok": not self.failures,
            "seconds": round(self.seconds, 2),
            "recovery": round(self.recovery, 2),
            "failures": list(self.failures),
            "faults": [fault.as_json() for fault in self.faults],
        }


@dataclass(frozen=True)
class Reference:
    """
    A run in which nothing happens: what it makes, and how long it takes.
    """

    digests: Mapping[str, Digests]
    seconds: float

    @property
    def stretch(self) -> float:
        """
        By how much faults come later, so that they strike all of a run on a slow machine too.
        """
        return max(1.0, self.seconds / faults.SPAN_SECONDS)


def undisturbed(world: World, patience: float) -> Reference:
    """
    The reference.
    """
    begin = time.monotonic()
    customer = Customer(world, Plan(doomed=False, cancel_after=0), patience)
    failures, _ = _weather(world, customer, [], patience)
    seconds = time.monotonic() - begin
    assert not failures, failures
    digests = {role: verdict.digests(world, made) for role, made in customer.resources.items()}
    wrong = verdict.judge(world, customer, digests)
    assert not wrong, wrong
    verdict.remove_all(world)
    return Reference(digests, seconds)


def run(world: World, seed: int, reference: Reference, patience: float) -> Result:
    """
    One run, all of whose accidents follow from `seed`, but for the machine's speed.
    """
    stream = random.Random(seed)
    plan = Plan.drawn(stream).later(reference.stretch)
    drawn = [
        fault.later(reference.stretch) for fault in faults.drawn(stream, faults.possible(world))
    ]
    world.fleet.note(f"seed {seed}")
    begin = time.monotonic()
    customer = Customer(world, plan, patience)
    failures, calm_at = _weather(world, customer, drawn, patience)
    end = time.monotonic()
    if not failures:
        failures = verdict.judge(world, customer, reference.digests)
    verdict.remove_all(world)
    return Result(seed, drawn, failures, end - begin, end - max(calm_at, begin))


def _weather(
    world: World, customer: Customer, drawn: Sequence[faults.Fault], patience: float
) -> tuple[list[str], float]:
    """
    Let faults strike and end; return when all jobs have ended: what failed, when it was calm.
    """
    begin = time.monotonic()
    due: list[tuple[float, Any]] = [(begin + one.at, one) for one in drawn]
    calm_at = begin
    while time.monotonic() < calm_at + patience:
        for moment in [one for one in due if one[0] <= time.monotonic()]:
            due.remove(moment)
            happening = moment[1]
            if isinstance(happening, faults.Fault):
                due.append((time.monotonic() + happening.seconds, faults.strike(world, happening)))
            else:
                happening()
            calm_at = time.monotonic()
        if not due and customer.is_done and _has_ended(world, customer):
            return [customer.error] if customer.error else [], calm_at
        time.sleep(_LOOK_SECONDS)
    found = states(world.client, list(customer.expected))
    return [f"not ended after {patience:.0f} s: {found} {customer.error}"], calm_at


def _has_ended(world: World, customer: Customer) -> bool:
    """
    Whether all jobs have, as the service says; it is not asked while Redis knows of one.
    """
    if world.redis.scard(names.LIVING):
        return False
    found = states(world.client, list(customer.expected))
    return all(job is not None and job.ended for job in found.values())

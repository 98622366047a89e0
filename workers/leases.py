"""Who works on which step, and how far each job is in its flow. In Redis only; knows no queue.

A step is claimed with the number of its attempt, a fencing token: it is higher than that of every
earlier attempt, and what a worker says afterwards counts only while it has the last number and
its lease has not been taken back. The last step of a stage that is completed moves the job on
to the next stage, in the same script, so exactly once.

Leases are measured by Redis's own clock, so the hosts' clocks need not agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from redis import Redis

from workers import lease_scripts as scripts
from workers import redis_names as names
from workers.steps import StepRef, step_at

_MANY = 1000
_FORGIVEN = 10


class Claim(StrEnum):
    """What became of an attempt to claim a step."""

    CLAIMED = "claimed"
    ENDED = "ended"  # The job has, or it is decided how it will.
    CANCELLED = "cancelled"  # The job shall end.
    OVER = "over"  # The step is done, or its stage is.
    HELD = "held"  # Another attempt has the step.
    STALE = "stale"  # A later attempt had it.


class Renewal(IntEnum):
    """What became of an attempt to keep a step."""

    LOST = 0
    KEPT = 1
    CANCEL = 2  # Kept, but the job shall be cancelled.


class Completion(IntEnum):
    """What became of a completed step."""

    LOST = 0
    COUNTED = 1
    ADVANCED = 2  # It was the stage's last: the job is in its next stage.


@dataclass(frozen=True)
class TakenBack:
    """A step that nobody holds any more.

    Attributes:
        attempt: the last attempt at it.
        faults: how many attempts were lost to faults.
        outages: how many were because Redis, the bucket or a disk could not be used.
        others: how many other steps of its job are held.
    """

    attempt: int
    faults: int
    outages: int
    others: int


@dataclass(frozen=True)
class StageProgress:
    """How far a stage is: the sum over its steps, in their unit.

    Attributes:
        begun_at: what was done when this phase was first heard of.
        seconds: since then.
    """

    done: int
    total: int
    begun_at: int
    seconds: float


class Leases:
    """Every claim on every step.

    Args:
        redis: a client of `workers.redis_client.connect`.
        lease_seconds: how long a step stays a silent worker's.
    """

    def __init__(self, redis: Redis, lease_seconds: float) -> None:
        self._redis = redis
        self._milliseconds = max(1, round(lease_seconds * 1000))
        self._begin = redis.register_script(scripts.BEGIN)
        self._claim = redis.register_script(scripts.CLAIM)
        self._renew = redis.register_script(scripts.RENEW)
        self._progress = redis.register_script(scripts.PROGRESS)
        self._complete = redis.register_script(scripts.COMPLETE)
        self._take_back = redis.register_script(scripts.TAKE_BACK)
        self._forgive = redis.register_script(scripts.FORGIVE)
        self._open_steps = redis.register_script(scripts.OPEN_STEPS)
        self._forget = redis.register_script(scripts.FORGET)
        self._due = redis.register_script(scripts.DUE)

    def begin(self, tenant: str, job_id: str) -> bool:
        """Put a job into its first stage, of one step; False if it has begun before."""
        return bool(self._begin(keys=[names.job(tenant, job_id)]))

    def stage(self, tenant: str, job_id: str) -> int | None:
        """Which stage a job is in; None before it has begun. Behind the last one: it is done."""
        stage = self._redis.hget(names.job(tenant, job_id), "stage")
        return None if stage is None else int(stage)

    def held(self, tenant: str, job_id: str) -> int:
        """How many steps of a job are claimed."""
        return int(self._redis.hget(names.job(tenant, job_id), "leased") or 0)

    def claim(self, step: StepRef) -> Claim:
        """Claim a step for `step.worker`, a name that no other worker ever has."""
        found = self._claim(keys=_keys(step), args=[*_hold(step), step.stage, self._milliseconds])
        return Claim(str(found))

    def renew(self, step: StepRef) -> Renewal:
        """Keep a claimed step, and hear whether its job shall be cancelled."""
        return Renewal(self._renew(keys=_keys(step), args=[*_hold(step), self._milliseconds]))

    def progress(self, step: StepRef, phase: str, done: int, total: int) -> StageProgress | None:
        """Note how far a claimed step is; how far its stage is then, or None if it is lost."""
        found = self._progress(keys=_keys(step), args=[*_hold(step), done, total, phase])
        if found is None:
            return None
        all_done, all_total, begun_at, milliseconds = (int(number) for number in found)
        return StageProgress(all_done, all_total, begun_at, milliseconds / 1000)

    def complete(self, step: StepRef, next_steps: int) -> Completion:
        """Note that a claimed step is done; if it is its stage's last, begin the next stage."""
        arguments = [*_hold(step), step.stage, next_steps]
        return Completion(self._complete(keys=_keys(step), args=arguments))

    def give_back(self, step: StepRef, *, fault: bool, outage: bool = False) -> TakenBack | None:
        """End a claim without completing the step; None if it was lost."""
        return self._taken(step, [*_hold(step), int(fault), int(outage)])

    def expired(self) -> list[StepRef]:
        """Steps whose workers have been silent for too long, with no attempt in them."""
        now = self._now()
        found = self._redis.zrangebyscore(names.LEASES, "-inf", now, start=0, num=_MANY)
        return [step_at(str(place)) for place in found]

    def take_expired(self, step: StepRef) -> TakenBack | None:
        """End a silent worker's claim, which is a fault; None if it is no longer expired."""
        return self._taken(step, [step.index, "", step.place, "", 1, 0])

    def woke(self, step: StepRef) -> bool:
        """Note that a worker lives whose step was taken for its silence; whether that counts.

        A machine that is too busy, or slept, kills nobody: its steps are no poison. But what keeps
        its worker from speaking each time is, in the end.
        """
        return bool(self._forgive(keys=_keys(step), args=[step.index, step.attempt, _FORGIVEN]))

    def open_steps(self, tenant: str, job_id: str, stage: int) -> list[StepRef]:
        """The stage's steps that are neither done nor claimed, each as its next attempt."""
        step = StepRef(tenant, job_id, stage, 0, 0)
        found = self._open_steps(keys=_keys(step), args=[_beginning(step), stage])
        numbers = [int(number) for number in found]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [StepRef(tenant, job_id, stage, index, attempt) for index, attempt in pairs]

    def forget(self, tenant: str, job_id: str) -> None:
        """End all claims on a job that has ended: its workers find that they have lost them."""
        stage = self.stage(tenant, job_id)
        if stage is not None:
            step = StepRef(tenant, job_id, stage, 0, 0)
            self._forget(keys=_keys(step), args=[_beginning(step)])

    def postpone(self, step: StepRef, seconds: float) -> None:
        """Note that an attempt shall be queued, but not yet."""
        due = self._now() + seconds * 1000
        self._redis.zadd(names.LATER, {f"{step.place}/{step.attempt}": due})

    def due(self) -> Iterator[StepRef]:
        """The postponed attempts whose time has come; each is given once."""
        while found := self._due(keys=[names.LATER], args=[_MANY]):
            for member in found:
                place, _, attempt = str(member).rpartition("/")
                yield step_at(place, int(attempt))

    def postponed(self) -> set[str]:
        """The names of the attempts that wait."""
        members = (str(m).rpartition("/") for m in self._redis.zrange(names.LATER, 0, -1))
        return {step_at(place, int(attempt)).name for place, _, attempt in members}

    def _taken(self, step: StepRef, arguments: list[str | int]) -> TakenBack | None:
        found = self._take_back(keys=_keys(step), args=arguments)
        return TakenBack(*(int(number) for number in found)) if found else None

    def _now(self) -> int:
        """Redis's time, in milliseconds of 1970."""
        seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000


def _keys(step: StepRef) -> list[str]:
    return [
        names.job(step.tenant, step.job_id),
        names.steps(step.tenant, step.job_id, step.stage),
        names.LEASES,
    ]


def _hold(step: StepRef) -> list[str | int]:
    """What every script wants to know of an attempt, and in this order."""
    return [step.index, step.attempt, step.place, step.worker]


def _beginning(step: StepRef) -> str:
    return step.place.removesuffix(str(step.index))

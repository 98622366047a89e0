"""A step of a job, named: what queues carry and leases are held for. Pure."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class StepRef:
    """One attempt at one step.

    Attributes:
        stage: which stage of the job's flow, from 0.
        index: which step of the stage, from 0.
        attempt: a fencing token: each attempt at a step has a higher one than those before.
        worker: who has claimed it, or is about to; not a part of what it is.
    """

    tenant: str
    job_id: str
    stage: int
    index: int
    attempt: int
    worker: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The attempt's name, the same whoever queues it: letters, digits, `_` and `-`."""
        return f"{self.job_id}-{self.stage}-{self.index}-a{self.attempt}"

    @property
    def place(self) -> str:
        """The step's name, the same for all attempts."""
        return f"{self.tenant}/{self.job_id}/{self.stage}/{self.index}"

    def again(self, attempt: int) -> "StepRef":
        """Another attempt at the same step."""
        return replace(self, attempt=attempt)

    def held_by(self, worker: str) -> "StepRef":
        """The same attempt in a worker's hands."""
        return replace(self, worker=worker)


def step_at(place: str, attempt: int = 0) -> StepRef:
    """The step whose `place` this is."""
    tenant, job_id, stage, index = place.split("/")
    return StepRef(tenant, job_id, int(stage), int(index), attempt)

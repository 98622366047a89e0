"""What is asked of HandsOff in one run, by a customer who asks until he is answered."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from service.client import ApiError, BadRequest, Client, ConnectionFailed
from tests.chaos.world import World

T = TypeVar("T")

COUNT, SHARD = 90, 15
SEED = 7
_ASK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Plan:
    """
    What is ordered beside a dataset and a generation: another generation, and its end.

    Attributes:
        doomed: whether there is one that is cancelled.
        cancel_after: seconds after it was accepted.
    """

    doomed: bool
    cancel_after: float

    @classmethod
    def drawn(cls, stream: random.Random) -> "Plan":
        """
        Half of the runs have a doomed one.
        """
        return cls(stream.random() < 0.5, stream.uniform(0, 3))

    def later(self, stretch: float) -> "Plan":
        """
        The same with a cancel so many times later.
        """
        return replace(self, cancel_after=self.cancel_after * stretch)


@dataclass
class Customer:
    """
    Orders in a thread of its own.

    Attributes:
        expected: how each accepted job has to end.
        resources: the ids of what was accepted: dataset, generation, doomed.
        error: what went wrong with the ordering itself.
    """

    world: World
    plan: Plan
    seconds: float
    expected: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    error: str = ""
    _keys: dict[str, str] = field(default_factory=lambda: _Keys())

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """
        Whether everything has been ordered.
        """
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._order()
        except Exception as error:  # Told as the run's failure.
            self.error = f"{type(error).__name__}: {error}"

    def _order(self) -> None:
        client = self.world.client
        dataset = self._insist(
            lambda: client.datasets.create(["dark", "red"], idempotency_key=self._keys["dataset"])
        )
        self.resources["dataset"] = dataset.id
        self._generate("generation")
        for pair in self.world.pictures:
            self._insist(lambda: client.datasets.add(dataset, [pair]))  # noqa: B023
        sealed = self._insist(
            lambda: client.datasets.seal(dataset, idempotency_key=self._keys["seal"])
        )
        self.expected[sealed.job.id] = "succeeded"
        if self.plan.doomed:
            self._doom(self._generate("doomed"))

    def _generate(self, role: str) -> str:
        made = self._insist(
            lambda: self.world.client.generations.create(
                self.world.label_generator,
                COUNT,
                shard_size=SHARD,
                seed=SEED,
                idempotency_key=self._keys[role],
            )
        )
        self.resources[role] = made.id
        self.expected[made.job.id] = "succeeded"
        return str(made.job.id)

    def _doom(self, job_id: str) -> None:
        time.sleep(self.plan.cancel_after)
        try:
            self._insist(lambda: self.world.client.jobs.cancel(job_id))
        except BadRequest as error:
            if error.code != "job_ended":
                raise
        else:
            self.expected[job_id] = "cancelled"

    def _insist(self, ask: Callable[[], T]) -> T:
        while True:
            try:
                return ask()
            except (ApiError, ConnectionFailed) as error:
                passing = isinstance(error, ConnectionFailed) or error.status >= 500
                if not passing or time.monotonic() > self._deadline:
                    raise
            time.sleep(_ASK_AGAIN_SECONDS)


class _Keys(dict[str, str]):
    """
    An Idempotency-Key for each role.
    """

    def __missing__(self, role: str) -> str:
        self[role] = str(uuid.uuid4())
        return self[role]


def states(client: Client, job_ids: list[str]) -> dict[str, Any]:
    """
    The jobs as the service shows them; None where it does not answer.
    """
    found: dict[str, Any] = {}
    for job_id in job_ids:
        try:
            found[job_id] = client.jobs.get(job_id)
        except (ApiError, ConnectionFailed):
            found[job_id] = None
    return found

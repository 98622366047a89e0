"""What a task is given: its job, where bytes live, and how to say how far it is. Torch-free."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from workers import keys
from workers.imports import Imports
from workers.jobs import JobRecord
from workers.resources import Resource
from workers.storage.base import ObjectStore

if TYPE_CHECKING:  # The runtime imports torch; a CPU worker has none.
    from workers.runtime import Runtime

P = TypeVar("P", bound=BaseModel)


class Reporter(Protocol):
    """Tells how far a phase is, at most once a second; raises what must stop the task.

    Every call is also a checkpoint: `LeaseLost` and the worker's stop signals surface here.
    """

    def __call__(self, phase: str, done: int, total: int, unit: str = "") -> None:
        """Report `done` of `total` units of `phase`."""


@dataclass(frozen=True)
class TaskContext:
    """Everything one step of a job needs.

    Attributes:
        index: which of the stage's steps this is, from 0.
        attempt: of this step, from 1; not bit-reproducible results go to `attempts/{attempt}/`.
        scratch: an empty folder, removed after the step.
        fence: raises `LeaseLost` if another worker has the step by now.
        imports: fetches files from where users keep them; without it none can be fetched.
        runtime: device, threads and warm networks; only there in a compute worker.
    """

    job: JobRecord
    resource: Resource
    index: int
    attempt: int
    store: ObjectStore
    report: Reporter
    scratch: Path
    imports: Imports | None = None
    _runtime: "Runtime | None" = None
    fence: Callable[[], None] = lambda: None

    @property
    def runtime(self) -> "Runtime":
        """The compute worker's runtime."""
        assert self._runtime is not None, "a CPU task asked for the compute runtime"
        return self._runtime

    def params(self, model: type[P]) -> P:
        """The job's parameters."""
        return model.model_validate(self.resource.spec)

    def key(self, path: str) -> str:
        """The key of an object of the resource that this job makes."""
        return keys.inside(self.job.tenant, self.resource.collection, self.resource.id, path)

    def parent_key(self, collection: str, resource_id: str, path: str) -> str:
        """The key of an object of another resource of this tenant."""
        return keys.inside(self.job.tenant, collection, resource_id, path)

    def put_json(self, path: str, value: dict[str, Any]) -> None:
        """Write a JSON document of this resource: sorted keys, UTF-8, one trailing newline.

        The document that makes the resource ready is written once: by whoever has the step, and
        never over one that an earlier attempt left.

        Raises:
            LeaseLost: it is that document, and another worker has the step by now.
        """
        key, document = self.key(path), canonical_json(value)
        if path == keys.FINAL.get(self.resource.collection):
            self.fence()
            self.store.put_if_absent(key, document)
        else:
            self.store.put(key, document, "application/json")


def canonical_json(value: dict[str, Any]) -> bytes:
    """The one byte sequence we write for a JSON document."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"

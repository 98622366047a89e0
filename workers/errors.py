"""What can go wrong in the workers' layer.

WorkersError
├── IllegalTransition      a job was asked to take a step that the drawing does not have
├── NotFound               no such job, resource or object
├── StorageError           the object store refused or failed
│   ├── ObjectNotFound     no object of that key          (also a NotFound)
│   ├── StorageFull        there is no room left in it
│   └── StorageUnavailable it cannot be reached; worth trying again
├── QueueUnavailable       Redis cannot be reached; worth trying again
├── TaskFailed             the job's own fault or its input's: final, not tried again
├── Retryable              a passing fault: the step goes back to its queue
└── LeaseLost              another worker owns this step by now; whatever we do no longer counts
"""

from collections.abc import Mapping
from typing import Any


class WorkersError(Exception):
    """The root of this layer's errors."""


class IllegalTransition(WorkersError):
    """A job was asked to take a step that the drawing does not have."""


class NotFound(WorkersError):
    """There is no such job, resource or object."""


class StorageError(WorkersError):
    """The object store refused or failed."""


class ObjectNotFound(StorageError, NotFound):
    """The object store holds nothing under that key."""


class StorageFull(StorageError):
    """There is no room left in the object store."""


class StorageUnavailable(StorageError):
    """The object store cannot be reached."""


class QueueUnavailable(WorkersError):
    """Redis cannot be reached."""


class TaskFailed(WorkersError):
    """A job ends as failed, and would fail again if it were repeated.

    Args:
        code: stable snake_case word that programs may compare, e.g. `invalid_dataset`.
        message: what is wrong, naming the offending thing, and what to do about it.
        details: more for programs, JSON-serialisable, e.g. one entry per bad file.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})


class Retryable(WorkersError):
    """A passing fault; the step goes back to its queue while it has attempts left."""


class LeaseLost(WorkersError):
    """The step's lease ran out and another attempt owns it now."""

"""What an error means for a step: the job fails, or the step is tried again. Torch-free.

PyTorch's errors are told by their names, so that a CPU worker need not have it.
"""

import errno
import re
import secrets
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from models.errors import HandsOffError, legible
from workers.errors import (
    LeaseLost,
    NotFound,
    QueueUnavailable,
    Retryable,
    StorageError,
    StorageUnavailable,
    TaskFailed,
)
from workers.jobs import JobError
from workers.stop import StepStopped, StopReason

WORKER_LOST = JobError(
    code="worker_lost",
    message="the worker stopped answering (killed, out of memory, or its machine went away)",
    retryable=True,
)
_TIMED_OUT = JobError(code="timed_out", message="one step of the job took longer than is allowed")
_DRAINED = JobError(
    code="worker_stopped", message="the worker was asked to end; another goes on", retryable=True
)
# With half a minute between them at last: a night, and a quarter of an hour.
_WAITS_FOR_SERVERS = 1000
_WAITS_FOR_PEOPLE = 30
_LONGEST = 2000  # Characters of a message: it may name what a stranger called his files.
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory", re.IGNORECASE)
# After one of these every further call on that device fails too, for as long as we live.
_DEVICE_FAULT = re.compile(r"CUDA error|CUBLAS_STATUS|cuDNN error|CUDNN_STATUS|device-side assert")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Done:
    """The step is done; `result` is what its task returned."""

    result: int | None


@dataclass(frozen=True)
class Failed:
    """The step has failed for good, and its job with it."""

    error: JobError


@dataclass(frozen=True)
class Again:
    """The step goes back to its queue.

    Attributes:
        fault: whether that counts as one of its attempts.
        exit: whether this process is of no more use.
        waits: how often it may go back for what is not its fault, in place of that.
    """

    reason: JobError
    fault: bool = True
    exit: bool = False
    waits: int = 0


@dataclass(frozen=True)
class Cancelled:
    """The step has stopped because its job shall be cancelled."""


@dataclass(frozen=True)
class Lost:
    """The step is another worker's by now."""


Outcome = Done | Failed | Again | Cancelled | Lost


def outcome_of(error: BaseException) -> Outcome:
    """What becomes of a step that ended with an error."""
    match error:
        case StepStopped():
            return outcome_of_stop(error.reason)
        case LeaseLost():
            return Lost()
        case TaskFailed():
            message = legible(error.message, _LONGEST)
            return Failed(JobError(code=error.code, message=message, details=error.details))
        case StorageUnavailable() | QueueUnavailable() | RedisError():
            return Again(_passing(error), waits=_WAITS_FOR_SERVERS)
        case Retryable():
            return Again(_passing(error))
        case HandsOffError() | NotFound():
            message = legible(str(error), _LONGEST)
            return Failed(JobError(code=snake_case(type(error).__name__), message=message))
        case StorageError():
            # Full, or it refuses us: somebody has to do something, and the job is still good then.
            return Again(_passing(error), waits=_WAITS_FOR_PEOPLE)
        case _ if _is_full(error):
            return Again(_passing(error, "disk_full"), waits=_WAITS_FOR_PEOPLE)
        case _ if _is_out_of_memory(error):
            return Failed(_out_of_memory(error))
        case _ if _is_device_fault(error):
            _log.error("device fault", exc_info=error)
            return Again(_passing(error, "device_fault"), exit=True)
    return Failed(_unexpected(error))


def outcome_of_stop(reason: StopReason) -> Outcome:
    """What becomes of a step that was stopped."""
    match reason:
        case StopReason.CANCELLED:
            return Cancelled()
        case StopReason.LEASE_LOST:
            return Lost()
        case StopReason.TIMED_OUT:
            return Failed(_TIMED_OUT)
        case StopReason.DRAINED:
            return Again(_DRAINED, fault=False)


def snake_case(name: str) -> str:
    """A class's name as an error code: `UnsafeCheckpoint` -> `unsafe_checkpoint`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _passing(error: BaseException, code: str | None = None) -> JobError:
    name = code or snake_case(type(error).__name__)
    return JobError(code=name, message=legible(str(error), _LONGEST) or name, retryable=True)


def _is_full(error: BaseException) -> bool:
    """Whether the scratch folder's disk has no room; libraries say so in words of their own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, Exception) and bool(_NO_ROOM.search(str(error)))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))


def _is_device_fault(error: BaseException) -> bool:
    if type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and bool(_DEVICE_FAULT.search(str(error)))


def _out_of_memory(error: BaseException) -> JobError:
    _log.error("out of memory", exc_info=error)
    message = "the device ran out of memory; use smaller batches, or a device with more"
    return JobError(code="out_of_memory", message=message)


def _unexpected(error: BaseException) -> JobError:
    """An error that we did not think of: the user gets a reference, the log has the rest."""
    reference = secrets.token_hex(6)
    _log.error("internal error", reference=reference, exc_info=error)
    message = f"an internal error; whoever runs this service finds it in its log as {reference}"
    return JobError(code="internal_error", message=message, details={"reference": reference})

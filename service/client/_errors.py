"""What can go wrong between a client and its service.

ClientError
├── ApiError            the service answered, and the answer was no; carries the problem body
│   ├── BadRequest      400, 409, 413, 415, 422: the request does not fit; change it
│   ├── NotAllowed      401, 403: the key is missing, wrong or too weak
│   ├── NotFound        404, 410: there is no such thing
│   └── ServiceFault    429, 5xx, even after the retries: not the caller's fault
├── Misused             what was asked makes no sense as things stand      (also a ValueError)
├── ConnectionFailed    nobody answered, even after the retries
├── JobFailed           the job that was waited for ended as failed
├── JobCancelled        the job that was waited for was cancelled
├── Timeout             the job had not ended when the caller's patience had
└── CorruptDownload     the bytes that came do not have the sha256 that the manifest names
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.client._models import Job


class ClientError(Exception):
    """The root of the client's errors.

    Attributes:
        remedy: what to do about it, one sentence; empty where nothing better is known.
    """

    remedy: str = ""


class ApiError(ClientError):
    """The service refused; `problem` is its RFC 9457 body.

    Attributes:
        status: the HTTP status.
        code: stable snake_case word that programs may compare, e.g. `not_ready`.
        detail: what is wrong, naming the offending thing.
        remedy: what to do about it.
        problem: the whole body, with whatever else it holds.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code") or f"http_{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.remedy = str(problem.get("remedy") or "")
        super().__init__(self.detail)


class BadRequest(ApiError):
    """The request does not fit what is there; it has to be changed."""


class NotAllowed(ApiError):
    """The API key is missing, wrong or lacks the right."""


class NotFound(ApiError):
    """There is no such job, resource or file."""


class ServiceFault(ApiError):
    """The service is overloaded or broken; the same request may work later."""


class Misused(ClientError, ValueError):
    """What was asked makes no sense as things stand; nothing was changed."""


class ConnectionFailed(ClientError):
    """Nobody answers at the service's address."""

    remedy = "Start a service with `handsoff up`, or name yours with --url or HANDSOFF_URL."


class JobFailed(ClientError):
    """A job ended as failed; `job.error` tells programs why."""

    def __init__(self, job: "Job") -> None:
        self.job = job
        self.code = job.error.code if job.error else "unknown"
        reason = job.error.message if job.error else "no reason was given"
        super().__init__(f"{job.kind} job {job.id} failed: {reason} [{self.code}]")


class JobCancelled(ClientError):
    """A job was cancelled before it could finish."""

    def __init__(self, job: "Job") -> None:
        self.job = job
        super().__init__(f"{job.kind} job {job.id} was cancelled")


class Timeout(ClientError):
    """A job had not ended when the time to wait for it was over; it goes on."""

    def __init__(self, job: "Job", seconds: float) -> None:
        self.job = job
        self.remedy = f"Wait longer; `handsoff jobs watch {job.id}` follows it."
        super().__init__(f"{job.kind} job {job.id} is still {job.state} after {seconds:.0f} s")


class CorruptDownload(ClientError):
    """Downloaded bytes differ from what the manifest promises, twice in a row."""

    remedy = "Fetch again; if it stays so, the stored file is damaged: make the shard again."


def api_error(status: int, problem: Mapping[str, Any]) -> ApiError:
    """The error class that fits a status."""
    if status in {401, 403}:
        return NotAllowed(status, problem)
    if status in {404, 410}:
        return NotFound(status, problem)
    if status == 429 or status >= 500:
        return ServiceFault(status, problem)
    return BadRequest(status, problem)

"""Jobs: looking at them, waiting for them, cancelling them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

from service.client._errors import (
    ConnectionFailed,
    JobCancelled,
    JobFailed,
    ServiceFault,
    Timeout,
)
from service.client._models import Job, JobState
from service.client._pages import pages
from service.client._transport import Transport

OnProgress = Callable[[Job], None]
POLL_SECONDS = 20.0
RETRY_SECONDS = 1.0
PAUSE_SECONDS = 0.2
"""Between two polls without news, lest a service that does not wait is asked in a busy loop."""


@dataclass
class Jobs:
    """The service's jobs.

    Attributes:
        patience: seconds that the service may be away while a job is waited for.
        clock: seconds on a clock that never goes back.
    """

    transport: Transport
    patience: float = 60.0
    clock: Callable[[], float] = time.monotonic

    def get(self, job_id: str) -> Job:
        """A job as it stands.

        Raises:
            NotFound: there is none of that id.
        """
        return Job.model_validate(self.transport.get(f"/v1/jobs/{job_id}").json())

    def list(
        self, state: str | None = None, kind: str | None = None, limit: int | None = None
    ) -> Iterator[Job]:
        """Jobs, newest first: of one state, of one kind, at most `limit`."""
        return pages(self.transport, "/v1/jobs", Job, limit, {"state": state, "kind": kind})

    def cancel(self, job_id: str) -> Job:
        """Ask for a job's end. What runs stops within seconds; what has ended stays as it is.

        Raises:
            BadRequest: it has ended already.
        """
        return Job.model_validate(self.transport.create(f"/v1/jobs/{job_id}/cancel"))

    def wait(
        self,
        job: Job | str,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Wait until a job succeeds; the service is asked to answer when something changes.

        Args:
            job: the job or its id.
            on_progress: called with the job at first and after every change.
            timeout: seconds to wait at most; None for as long as it takes.

        Raises:
            JobFailed: it failed.
            JobCancelled: it was cancelled.
            Timeout: it has not ended in time; it goes on.
            ConnectionFailed: the service was away for longer than `patience`.
        """
        for seen in self.watch(job, timeout):
            if on_progress:
                on_progress(seen)
            last = seen
        if last.state == JobState.CANCELLED:
            raise JobCancelled(last)
        if last.state == JobState.FAILED:
            raise JobFailed(last)
        return last

    def watch(self, job: Job | str, timeout: float | None = None) -> Iterator[Job]:
        """A job now and after each change, until it has ended.

        Raises:
            Timeout: it has not ended in time; it goes on.
            ConnectionFailed: the service was away for longer than `patience`.
        """
        job_id = job.id if isinstance(job, Job) else job
        end = None if timeout is None else self.clock() + timeout
        first = self._poll(job_id, "", 0)
        assert first is not None, "nothing but If-None-Match is answered with 304"
        seen, etag = first
        yield seen
        while not seen.ended:
            left = POLL_SECONDS if end is None else min(POLL_SECONDS, end - self.clock())
            if left <= 0 and timeout is not None:
                raise Timeout(seen, timeout)
            changed = self._poll_patiently(job_id, etag, left)
            if changed:
                seen, etag = changed
                yield seen
            else:
                self.transport.sleep(PAUSE_SECONDS)

    def _poll_patiently(self, job_id: str, etag: str, seconds: float) -> tuple[Job, str] | None:
        """One poll, repeated while the service is away, e.g. because it is restarted."""
        give_up = self.clock() + self.patience
        while True:
            try:
                return self._poll(job_id, etag, seconds)
            except (ConnectionFailed, ServiceFault):
                if self.clock() >= give_up:
                    raise
                self.transport.sleep(RETRY_SECONDS)

    def _poll(self, job_id: str, etag: str, seconds: float) -> tuple[Job, str] | None:
        """The job and its new ETag; None if nothing has changed after so many seconds."""
        response = self.transport.get(
            f"/v1/jobs/{job_id}",
            params={"wait": f"{seconds:.0f}"} if seconds >= 1 else {},
            headers={"If-None-Match": etag} if etag else {},
            timeout=seconds + 15,
        )
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return None
        return Job.model_validate(response.json()), response.headers.get("ETag", "")

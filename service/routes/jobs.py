"""Jobs: how far they are, now, at the next change or as a stream; and how to stop them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App
from service.errors import JobEnded
from service.etags import matches
from service.pagination import DEFAULT_LIMIT, After, Limit, invalid_cursor, link_to_next
from service.problems import responses
from service.schemas import JobBody, JobPage
from workers.clock import utc_now
from workers.jobs import JobKind, JobRecord, JobState

COLLECTION = "jobs"
MAX_WAIT_SECONDS = 60
router = APIRouter(prefix="/v1/jobs", tags=[COLLECTION])

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="seconds to wait for a change against If-None-Match; without that header, "
        "for the job's end",
    ),
]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="the last event seen; it is not sent again"),
]


@router.get("", operation_id="list_jobs", summary="List jobs, newest first", responses=responses())
def list_jobs(
    request: Request,
    response: Response,
    app: App,
    tenant: Tenant,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
    state: JobState | None = None,
    kind: JobKind | None = None,
) -> JobPage:
    """Of one state or kind, or all of them."""
    try:
        records, cursor = app.jobs.list(tenant, limit, after, state, kind)
    except ValueError as error:
        raise invalid_cursor(after or "") from error
    response.headers.update(link_to_next(request, cursor))
    data = [JobBody.of(record) for record in records]
    return JobPage(data=data, has_more=cursor is not None, next_cursor=cursor)


@router.get(
    "/{job_id}",
    operation_id="get_job",
    summary="One job as it stands, or as soon as it changes",
    response_model=JobBody,
    responses={304: {"description": "It has not changed"}, **responses(404)},
)
async def get_job(
    job_id: str,
    app: App,
    tenant: Tenant,
    wait: Wait = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """`Retry-After` says when it is worth asking again."""
    record = await run_in_threadpool(app.jobs.get, tenant, job_id)

    def is_news(now: JobRecord) -> bool:
        return now.state.is_terminal or not (
            if_none_match is None or matches(if_none_match, _etag(now))
        )

    if wait:
        record = await app.watch.until(record, is_news, wait)
    headers = {"ETag": _etag(record), "Cache-Control": "no-cache"}
    if not record.state.is_terminal:
        headers["Retry-After"] = str(seconds_to_next_look(record, utc_now()))
    if matches(if_none_match, _etag(record)):
        return Response(status_code=304, headers=headers)
    body = JobBody.of(record).model_dump_json()
    return Response(body, headers=headers, media_type="application/json")


async def followed_job(
    job_id: str,
    app: App,
    tenant: Tenant,
    last_event_id: LastEventId = None,
) -> JobRecord:
    """The job whose events are asked for; it must be there before the stream begins."""
    record = await run_in_threadpool(app.jobs.get, tenant, job_id)
    if record.state.is_terminal and last_event_id == str(record.version):
        raise HTTPException(204)  # Nothing will come: this is how browsers are told to stop.
    return record


@router.get(
    "/{job_id}/events",
    operation_id="follow_job",
    summary="A job's changes as server-sent events",
    response_class=EventSourceResponse,
    responses={204: {"description": "All has been seen"}, **responses(404)},
)
async def follow_job(
    app: App,
    first: Annotated[JobRecord, Depends(followed_job)],
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Begins with the job as it stands and ends with its end."""
    async for record in app.watch.snapshots(first):
        if str(record.version) != last_event_id:
            yield ServerSentEvent(data=JobBody.of(record), event="job", id=str(record.version))


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    operation_id="cancel_job",
    summary="Ask for a job to be stopped",
    responses=responses(404, 409),
)
def cancel_job(job_id: str, app: App, tenant: Tenant, response: Response) -> JobBody:
    """It becomes `cancelled` once nothing of it runs any more; asking twice is harmless."""
    record = app.jobs.get(tenant, job_id)
    if not record.state.is_terminal:
        record = app.orchestrator.cancel(tenant, job_id)
    if record.state.is_terminal and record.state is not JobState.CANCELLED:
        raise JobEnded(f"job {job_id} has {record.state}; there is nothing to cancel")
    body = JobBody.of(record)
    response.headers["Location"] = body.links["self"]
    return body


def seconds_to_next_look(record: JobRecord, now: datetime) -> int:
    """When it is worth asking again: soon for what is young or nearly done, else rarely."""
    age = (now - record.created_at).total_seconds()
    left = record.progress.eta_seconds if record.progress else None
    pause = min(max(age / 10, 2), 15)
    return round(pause if left is None else max(2, min(pause, left)))


def _etag(record: JobRecord) -> str:
    return f'"{record.version}"'

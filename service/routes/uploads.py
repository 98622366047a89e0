"""Uploads: described first; the bytes go to the bucket, or through here where it has no door."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App, Making, mark_replay
from service.problems import responses
from service.schemas import DeletedBody, PutTarget, ResourceState, UploadBody, UploadRequest
from service.services import Services
from service.uploads import Arrived, Upload

COLLECTION = "uploads"
router = APIRouter(prefix="/v1/uploads", tags=[COLLECTION])

_BINARY: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "",
    status_code=201,
    operation_id="create_upload",
    summary="Announce a file",
    responses=responses(409, 413, 415, 507),
)
def create_upload(
    body: UploadRequest, call: Making, request: Request, response: Response
) -> UploadBody:
    """`put` says where its bytes go."""

    def prepare(new_id: str) -> Callable[[datetime], Arrived]:
        call.app.uploads.check_size(body.size)
        call.app.resources.refuse_deleted(call.tenant, new_id)
        said = body.model_dump()
        return lambda at: call.app.uploads.describe(
            Upload(id=new_id, tenant=call.tenant, created_at=at, **said)
        )

    def find(new_id: str) -> Arrived | None:
        return call.app.uploads.find(call.tenant, new_id)

    arrived, replayed = call.once(COLLECTION, body.model_dump(), find, prepare)
    mark_replay(response, replayed)
    answer = _body(call.app, request, arrived)
    response.headers["Location"] = answer.links["self"]
    return answer


@router.get(
    "/{upload_id}",
    operation_id="get_upload",
    summary="Whether a file has arrived",
    responses=responses(404),
)
def get_upload(upload_id: str, app: App, tenant: Tenant, request: Request) -> UploadBody:
    """`ready` once all of its bytes are there."""
    return _body(app, request, app.uploads.get(tenant, upload_id))


@router.put(
    "/{upload_id}/content",
    operation_id="put_upload_content",
    summary="Send a file's bytes through the service",
    openapi_extra=dict(_BINARY),
    responses=responses(404, 413, 507),
)
async def put_content(upload_id: str, app: App, tenant: Tenant, request: Request) -> UploadBody:
    """Streamed to the store. Size and SHA-256 are checked where they were announced."""
    upload = (await run_in_threadpool(app.uploads.get, tenant, upload_id)).upload
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else None
    arrived = await app.uploads.receive(upload, request.stream(), size)
    return await run_in_threadpool(_body, app, request, arrived)


@router.delete(
    "/{upload_id}",
    operation_id="delete_upload",
    summary="Delete a file that was sent",
    responses=responses(404, 409),
)
def delete_upload(upload_id: str, app: App, tenant: Tenant) -> DeletedBody:
    """Whatever has read it keeps what it took from it; what has not is in the way."""
    app.uploads.get(tenant, upload_id)
    removed = app.deletion.delete(tenant, COLLECTION, upload_id, cascade=False)
    return DeletedBody(deleted=list(removed.places), bytes=removed.bytes)


def _body(app: Services, request: Request, arrived: Arrived) -> UploadBody:
    upload = arrived.upload
    target = app.store.upload_target(upload.content_key, app.settings.url_seconds)
    through_here = str(request.url_for("put_content", upload_id=upload.id))
    return UploadBody(
        id=upload.id,
        filename=upload.filename,
        state=ResourceState.PENDING if arrived.size is None else ResourceState.READY,
        size=upload.size if arrived.size is None else arrived.size,
        sha256=upload.sha256,
        created_at=upload.created_at,
        put=PutTarget(
            url=target.url if target else through_here, headers=target.headers if target else {}
        ),
        links={"self": f"/v1/uploads/{upload.id}"},
    )

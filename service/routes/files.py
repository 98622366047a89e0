"""The files of every collection's resources: their list, and each of them."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App
from service.downloads import Conditions
from service.pagination import After, link_to_next
from service.problems import responses
from service.resources import noun
from service.schemas import FileBody, FilePage

MAX_FILES = 1000
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {}}}


def files_router(collection: str) -> APIRouter:
    """The routes to the files of one collection's resources."""
    router = APIRouter(prefix=f"/v1/{collection}", tags=[collection])
    one = noun(collection)
    name = one.replace(" ", "_")

    @router.get(
        "/{resource_id}/files",
        operation_id=f"list_{name}_files",
        summary=f"The files of a {one}",
        responses=responses(404),
    )
    def list_files(
        resource_id: str,
        request: Request,
        response: Response,
        app: App,
        tenant: Tenant,
        limit: Annotated[int, Query(ge=1, le=MAX_FILES)] = MAX_FILES,
        after: After = None,
    ) -> FilePage:
        view = app.resources.view(tenant, collection, resource_id)
        files, cursor = app.downloads.page(view, limit, after)
        response.headers.update(link_to_next(request, cursor))
        root = f"{request.base_url}v1/{collection}/{resource_id}/files/"
        data = [
            FileBody(path=f.path, bytes=f.size, sha256=f.sha256, url=root + quote(f.path))
            for f in files
        ]
        return FilePage(data=data, has_more=cursor is not None, next_cursor=cursor)

    def get_file(
        resource_id: str, path: str, request: Request, app: App, tenant: Tenant
    ) -> Response:
        """Ranges and conditional requests are understood; a bucket may answer in our place."""
        view = app.resources.view(tenant, collection, resource_id)
        return app.downloads.send(view, path, Conditions.of(request))

    path = "/{resource_id}/files/{path:path}"
    router.add_api_route(
        path,
        get_file,
        methods=["GET"],
        operation_id=f"get_{name}_file",
        summary=f"One file of a {one}",
        response_class=Response,
        responses={
            200: _BYTES,
            206: _BYTES,
            307: {"description": "The bucket hands it out, under `Location`"},
            **responses(404, 416),
        },
    )
    # For readers that ask for the size first; the same, so it is not documented twice.
    router.add_api_route(path, get_file, methods=["HEAD"], include_in_schema=False)
    return router

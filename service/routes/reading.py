"""What every collection can be asked: one resource, pages of them, and to forget one."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App
from service.pagination import DEFAULT_LIMIT, After, Limit, link_to_next
from service.problems import responses
from service.resources import body_of, noun
from service.schemas import DeletedBody, ResourceBody, ResourcePage

Cascade = Annotated[bool, Query(description="Delete what was made of it too.")]
DryRun = Annotated[bool, Query(description="Only say what would be deleted.")]


def collection_router(collection: str) -> APIRouter:
    """A router for a collection, with the routes that read it."""
    router = APIRouter(prefix=f"/v1/{collection}", tags=[collection])
    one = noun(collection)
    name = one.replace(" ", "_")

    @router.get(
        "",
        operation_id=f"list_{name}s",
        summary=f"List {one}s, newest first",
        responses=responses(),
    )
    def list_resources(
        request: Request,
        response: Response,
        app: App,
        tenant: Tenant,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> ResourcePage:
        views, cursor = app.resources.page(tenant, collection, limit, after)
        response.headers.update(link_to_next(request, cursor))
        return ResourcePage(
            data=[body_of(view) for view in views],
            has_more=cursor is not None,
            next_cursor=cursor,
        )

    @router.get(
        "/{resource_id}",
        operation_id=f"get_{name}",
        summary=f"One {one} as it stands",
        responses=responses(404),
    )
    def get_resource(resource_id: str, app: App, tenant: Tenant) -> ResourceBody:
        return body_of(app.resources.view(tenant, collection, resource_id))

    @router.delete(
        "/{resource_id}",
        operation_id=f"delete_{name}",
        summary=f"Delete a {one} with all of its files",
        responses=responses(404, 409),
    )
    def delete_resource(
        resource_id: str,
        app: App,
        tenant: Tenant,
        cascade: Cascade = False,
        dry_run: DryRun = False,
    ) -> DeletedBody:
        app.resources.load(tenant, collection, resource_id)
        removed = app.deletion.delete(tenant, collection, resource_id, cascade, dry_run)
        return DeletedBody(deleted=list(removed.places), bytes=removed.bytes)

    return router

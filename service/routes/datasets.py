"""Datasets: labelled real images, sent one by one or as an archive."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import File, Form, UploadFile
from starlette.responses import Response

from service.auth import Tenant
from service.dataset_request import DatasetRequest
from service.dependencies import App, Making, created, mark_replay
from service.domains import params_of
from service.items import PARTS, SentFile
from service.problems import responses
from service.resources import Draft, View
from service.routes.reading import collection_router
from service.schemas import ItemBody, ResourceBody
from service.sources import require
from workers.jobs import JobKind

COLLECTION = "datasets"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=201,
    operation_id="create_dataset",
    summary="Open a dataset, or read one from an archive",
    response_model=ResourceBody,
    responses={
        202: {"model": ResourceBody, "description": "The archive is being read"},
        **responses(404, 409, 413, 415),
    },
)
def create_dataset(body: DatasetRequest, call: Making, response: Response) -> ResourceBody:
    """Without `upload_id` or `source` the dataset stays open for items until it is sealed."""

    def judge(new_id: str) -> list[Draft]:
        params = params_of(body, call.app.domains)
        draft = Draft(
            tenant=call.tenant,
            collection=COLLECTION,
            id=new_id,
            spec=params,
            kind=JobKind.INGEST if params.has_file else None,
            name=body.name,
            licence=body.licence,
            parents=require(call, params) if params.has_file else {},
        )
        return [draft]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))


@router.post(
    "/{dataset_id}/items",
    status_code=201,
    operation_id="add_item",
    summary="Add a labelled image to an open dataset",
    responses=responses(404, 409, 413, 507),
)
def add_item(
    dataset_id: str,
    call: Making,
    response: Response,
    image: Annotated[UploadFile, File(description="PNG, JPEG or WebP")],
    label: Annotated[
        UploadFile | None,
        File(description="the mask: class ids as PNG or .npy, of the image's size"),
    ] = None,
    keypoints: Annotated[
        UploadFile | None,
        File(description='JSON: {"points": [[x, y, visibility], …]} in the order of the names'),
    ] = None,
    depth: Annotated[
        UploadFile | None,
        File(description=".npy of floats, or a 16-bit PNG where `depth_scale` is set"),
    ] = None,
    key: Annotated[
        str | None, Form(min_length=1, max_length=80, description="by default the image's name")
    ] = None,
) -> ItemBody:
    """The files are judged at once. There must be a label of each kind that the dataset has."""
    parts = {"label": label, "keypoints": keypoints, "depth": depth}
    picture = _sent(image, "image")
    labels = {
        kind: _sent(file, part) for kind, part in PARTS.items() if (file := parts[part]) is not None
    }
    digests = {PARTS[kind]: _digest(sent) for kind, sent in labels.items()}
    asked = {"key": key, "image": _digest(picture), **digests}

    def prepare(_: str) -> Callable[[datetime], tuple[ItemBody, bool]]:
        item = call.app.items.judge(call.tenant, dataset_id, key, picture, labels)
        return lambda _: call.app.items.add(item)

    # Adding the very same item again is harmless, so there is nothing to look for first.
    (body, was_there), _ = call.once(COLLECTION, asked, lambda _: None, prepare, dataset_id)
    mark_replay(response, was_there)
    response.headers["Location"] = f"/v1/datasets/{dataset_id}/files/{body.image.path}"
    return body


@router.delete(
    "/{dataset_id}/items/{key}",
    status_code=204,
    operation_id="remove_item",
    summary="Remove an item from an open dataset",
    responses=responses(404, 409),
)
def remove_item(dataset_id: str, key: str, app: App, tenant: Tenant) -> None:
    """Image and labels are gone at once."""
    app.items.remove(tenant, dataset_id, key)


@router.post(
    "/{dataset_id}/seal",
    status_code=202,
    operation_id="seal_dataset",
    summary="Close a dataset and make it ready",
    responses=responses(404, 409),
)
def seal_dataset(dataset_id: str, call: Making, response: Response) -> ResourceBody:
    """After this nothing is added or removed."""

    def prepare(_: str) -> Callable[[datetime], View]:
        call.app.items.check_sealable(call.tenant, dataset_id)
        return call.admitted([dataset_id], lambda _: call.app.items.seal(call.tenant, dataset_id))

    def find(_: str) -> View | None:
        view = call.app.resources.find(call.tenant, COLLECTION, dataset_id)
        return view if view is not None and view.resource.job_id is not None else None

    return created(response, call.once(COLLECTION, {}, find, prepare, dataset_id))


def _sent(file: UploadFile, field: str) -> SentFile:
    """A part of the form; the whole body's limit is the limit of what is read here."""
    return SentFile(file.filename or field, file.file.read())


def _digest(file: SentFile) -> str:
    return hashlib.sha256(file.data).hexdigest()

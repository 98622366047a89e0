"""Generations: labelled images, as many as wanted, in shards."""

from collections.abc import Sequence
from typing import Any

from fastapi import Query
from starlette.responses import JSONResponse, Response

from models.class_mix import misfit
from service.dependencies import Call, Making, created
from service.errors import FieldError, Unprocessable
from service.estimates import estimate
from service.labels import refusal
from service.problems import responses
from service.resources import Draft, Parent, waits
from service.routes.reading import collection_router
from service.schemas import EstimateBody, GenerationRequest, ResourceBody
from workers.errors import NotFound
from workers.jobs import JobKind
from workers.label_kinds import mixed
from workers.params import GenerationParams

COLLECTION = "generations"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_generation",
    summary="Generate labelled images",
    response_model=ResourceBody,
    responses={
        200: {"model": EstimateBody, "description": "What it would cost, for `dry_run=true`"},
        **responses(404, 409, 413, 415, 507),
    },
)
def create_generation(
    body: GenerationRequest,
    call: Making,
    response: Response,
    dry_run: bool = Query(default=False, description="only say what it would cost"),
) -> ResourceBody | Response:
    """Waits for its label generators where they are on their way."""
    if dry_run:
        cost = _estimate(call, body, _parents(call, body))
        return JSONResponse(cost.model_dump(mode="json"))

    def judge(new_id: str) -> list[Draft]:
        parents = _parents(call, body)
        cost = _estimate(call, body, parents)
        call.app.room.require(cost.bytes or 0, f"a generation of {body.count:,} samples")
        draft = Draft(
            tenant=call.tenant,
            collection=COLLECTION,
            id=new_id,
            spec=_params(body),
            kind=JobKind.GENERATE,
            name=body.name,
            parents=_roles(parents),
            after=waits(parents),
        )
        return [draft]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))


def _params(body: GenerationRequest) -> GenerationParams:
    return GenerationParams.model_validate(body.model_dump(exclude={"name"}))


def _parents(call: Call, body: GenerationRequest) -> list[Parent]:
    parents = [
        call.app.resources.parent(
            call.tenant, "label-generators", wanted, f"/label_generator_ids/{place}"
        )
        for place, wanted in enumerate(body.label_generator_ids)
    ]
    ready = {parent.id: card for parent in parents if (card := parent.view.final) is not None}
    if misfit := mixed(ready):
        raise refusal(misfit, "label_generator_ids")
    _check_labels(call, body, parents[0])
    return parents


def _roles(parents: Sequence[Parent]) -> dict[str, str]:
    """Parents by role; from the second label generator on they are numbered."""
    places = enumerate(parents, start=1)
    return {f"label_generator{f'_{n}' if n > 1 else ''}": parent.id for n, parent in places}


def _check_labels(call: Call, body: GenerationRequest, parent: Parent) -> None:
    """Refuse classes that the generator does not have; the job does, where it is not ready yet.

    Raises:
        Unprocessable: it has none at all, or others.
    """
    if body.labels is None:
        return
    card = _generator_card(call, parent)
    problem = misfit(body.labels, card["label_dim"]) if card else None
    if problem:
        remedy = "give the index of a class, one weight for each of them, or leave labels out"
        raise Unprocessable(f"labels: {problem}", remedy, [FieldError("/labels", problem)])


def _generator_card(call: Call, parent: Parent) -> dict[str, Any] | None:
    """The card of the generator that a label generator is of; None while it is not ready."""
    load = call.app.resources.load
    try:
        inversion = load(call.tenant, "inversions", parent.view.resource.parents["inversion"])
        generator = load(call.tenant, "generators", inversion.parents["generator"])
    except NotFound:
        return None
    return call.app.resources.final(generator)


def _estimate(call: Call, body: GenerationRequest, parents: list[Parent]) -> EstimateBody:
    cards = {parent.id: parent.view.final for parent in parents}
    return estimate(_params(body), cards, call.app.room.free())

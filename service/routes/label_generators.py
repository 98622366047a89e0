"""Label generators: ensembles that label whatever their generator draws."""

from fastapi import APIRouter
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App, Call, Making, created
from service.errors import NotReady
from service.inverting import inversion_draft
from service.labels import fitting, labels_of_dataset
from service.problems import responses
from service.resources import Draft, job_id_of, waits
from service.routes.reading import collection_router
from service.schemas import LabelGeneratorRequest, ResourceBody
from workers import ids
from workers.jobs import JobKind
from workers.label_kinds import taken
from workers.params import InversionParams, Kind, TrainParams

COLLECTION = "label-generators"
router: APIRouter = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_label_generator",
    summary="Train a label generator",
    responses=responses(404, 409, 413, 415),
)
def create_label_generator(
    body: LabelGeneratorRequest, call: Making, response: Response
) -> ResourceBody:
    """On an inversion; or on a dataset and a generator, whose inversion is then made first."""

    def judge(new_id: str) -> list[Draft]:
        if body.inversion_id is not None:
            parents = call.parents({"inversion": ("inversions", body.inversion_id)})
            _check_kind(call, parents["inversion"].view.resource.parents["dataset"], body.kind)
            return [_training(call, body, new_id, body.inversion_id, waits(parents.values()))]
        inversion = _inversion(call, body, ids.derived_id("inversions", call.tenant, new_id))
        after = (job_id_of(inversion.id),)
        return [inversion, _training(call, body, new_id, inversion.id, after)]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))


@router.get(
    "/{resource_id}/preview",
    operation_id="get_label_generator_preview",
    summary="Generated images beside their labels and uncertainty",
    response_class=Response,
    responses={**responses(404, 409), 200: {"content": {"image/png": {}}}},
)
def get_preview(resource_id: str, app: App, tenant: Tenant) -> Response:
    """A PNG; written when the training ends."""
    view = app.resources.view(tenant, COLLECTION, resource_id)
    if view.final is None:
        raise NotReady(
            f"label generator {resource_id} is {view.state}; it has no preview yet",
            "wait for its job",
        )
    return app.downloads.send(view, str(view.final["preview"]), inline=True)


def _check_kind(call: Call, dataset_id: str, kind: Kind | None) -> None:
    """Refuse a kind of label that the dataset does not have.

    Raises:
        Unprocessable: it has others.
    """
    dataset = call.app.resources.load(call.tenant, "datasets", dataset_id)
    fitting(taken(dataset_id, labels_of_dataset(dataset), kind), "kind")


def _inversion(call: Call, body: LabelGeneratorRequest, inversion_id: str) -> Draft:
    """The inversion that is made first."""
    assert body.dataset_id is not None
    assert body.generator_id is not None
    _check_kind(call, body.dataset_id, body.kind)
    spec = InversionParams(
        dataset_id=body.dataset_id,
        generator_id=body.generator_id,
        encoder_id=body.encoder_id,
        config=body.inversion,
    )
    return inversion_draft(call, inversion_id, spec, body.name)


def _training(
    call: Call,
    body: LabelGeneratorRequest,
    new_id: str,
    inversion_id: str,
    after: tuple[str, ...],
) -> Draft:
    return Draft(
        tenant=call.tenant,
        collection=COLLECTION,
        id=new_id,
        spec=TrainParams(inversion_id=inversion_id, kind=body.kind, config=body.config),
        kind=JobKind.TRAIN,
        name=body.name,
        parents={"inversion": inversion_id},
        after=after,
    )

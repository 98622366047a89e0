"""Label generators: ensembles that label whatever their generator draws."""

from fastapi import APIRouter
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App, Call, Making, created
from service.errors import NotReady
from service.inverting import inversion_draft
from service.labels import fitting, labels_of_dataset, refusal
from service.problems import responses
from service.resources import Draft, check_collection, job_id_of, waits
from service.routes.reading import collection_router
from service.schemas import LabelGeneratorRequest, ResourceBody
from workers import ids
from workers.exclusions import unknown
from workers.jobs import JobKind
from workers.label_kinds import taken
from workers.params import InversionParams, TrainParams

COLLECTION = "label-generators"
ASKED = tuple(name for name in TrainParams.model_fields if name != "inversion_id")
"""What requests say of the training itself."""

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
    """On an inversion; or on a dataset and a generator, whose inversion is then made first.

    Or like another one, without some of its images.
    """

    def judge(new_id: str) -> list[Draft]:
        if body.like is not None:
            return [_again(call, body, new_id, body.like)]
        if body.inversion_id is not None:
            return [_training(call, new_id, _params(body, body.inversion_id), body.name)]
        assert body.dataset_id is not None
        _check(call, body.dataset_id, body)
        inversion = _inversion(call, body, ids.derived_id("inversions", call.tenant, new_id))
        after = (job_id_of(inversion.id),)
        return [inversion, _draft(call, new_id, _params(body, inversion.id), body.name, after)]

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


def _check(call: Call, dataset_id: str, asked: TrainParams | LabelGeneratorRequest) -> None:
    """Refuse a kind of label, or images to exclude, that the dataset does not have.

    Raises:
        Unprocessable: it has others. Images are not known before the dataset is ready.
    """
    dataset = call.app.resources.load(call.tenant, "datasets", dataset_id)
    fitting(taken(dataset_id, labels_of_dataset(dataset), asked.kind), "kind")
    manifest = call.app.resources.final(dataset) if asked.exclude else None
    if manifest is not None:
        known = [str(item["key"]) for item in manifest["items"]]
        if misfit := unknown(dataset_id, asked.exclude, known):
            raise refusal(misfit, "exclude")


def _inversion(call: Call, body: LabelGeneratorRequest, inversion_id: str) -> Draft:
    """The inversion that is made first."""
    assert body.dataset_id is not None
    assert body.generator_id is not None
    spec = InversionParams(
        dataset_id=body.dataset_id,
        generator_id=body.generator_id,
        encoder_id=body.encoder_id,
        config=body.inversion,
    )
    return inversion_draft(call, inversion_id, spec, body.name)


def _params(body: LabelGeneratorRequest, inversion_id: str) -> TrainParams:
    """What is asked for, on an inversion."""
    return TrainParams(inversion_id=inversion_id, **{name: getattr(body, name) for name in ASKED})


def _again(call: Call, body: LabelGeneratorRequest, new_id: str, like: str) -> Draft:
    """The training of another label generator, with what is said in its place.

    Raises:
        Unprocessable, NotFound: there is no such label generator.
    """
    check_collection(like, COLLECTION, "/like")
    other = call.app.resources.load(call.tenant, COLLECTION, like)
    before = TrainParams.model_validate(other.spec)
    said = {name: getattr(body, name) for name in ASKED if name in body.model_fields_set}
    said["exclude"] = tuple(dict.fromkeys((*before.exclude, *body.exclude)))
    return _training(call, new_id, before.model_copy(update=said), body.name or other.name)


def _training(call: Call, new_id: str, spec: TrainParams, name: str) -> Draft:
    """The training on an inversion that is there, or on its way."""
    parents = call.parents({"inversion": ("inversions", spec.inversion_id)})
    _check(call, parents["inversion"].view.resource.parents["dataset"], spec)
    return _draft(call, new_id, spec, name, waits(parents.values()))


def _draft(call: Call, new_id: str, spec: TrainParams, name: str, after: tuple[str, ...]) -> Draft:
    return Draft(
        tenant=call.tenant,
        collection=COLLECTION,
        id=new_id,
        spec=spec,
        kind=JobKind.TRAIN,
        name=name,
        parents={"inversion": spec.inversion_id},
        after=after,
    )

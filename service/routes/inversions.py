"""Inversions: the latents of a dataset's images in a generator."""

from starlette.responses import Response

from service.dependencies import Making, created
from service.problems import responses
from service.resources import Draft, waits
from service.routes.reading import collection_router
from service.schemas import InversionRequest, ResourceBody
from workers.jobs import JobKind
from workers.params import InversionParams

COLLECTION = "inversions"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_inversion",
    summary="Find the latents of a dataset's images",
    responses=responses(404, 409, 413, 415),
)
def create_inversion(body: InversionRequest, call: Making, response: Response) -> ResourceBody:
    """Waits for its dataset and its generator where they are on their way."""

    def judge(new_id: str) -> list[Draft]:
        parents = call.parents(
            {
                "dataset": ("datasets", body.dataset_id),
                "generator": ("generators", body.generator_id),
            }
        )
        roles = {role: parent.id for role, parent in parents.items()}
        if body.latents_upload_id is not None:
            call.app.uploads.require(call.tenant, body.latents_upload_id, "/latents_upload_id")
            roles["latents_upload"] = body.latents_upload_id
        draft = Draft(
            tenant=call.tenant,
            collection=COLLECTION,
            id=new_id,
            spec=InversionParams.model_validate(body.model_dump(exclude={"name"})),
            kind=JobKind.INVERT,
            name=body.name,
            parents=roles,
            after=waits(parents.values()),
        )
        return [draft]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))

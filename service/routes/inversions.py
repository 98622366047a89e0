"""Inversions: the latents of a dataset's images in a generator."""

from starlette.responses import Response

from service.dependencies import Making, created
from service.inverting import COLLECTION, inversion_draft
from service.problems import responses
from service.resources import Draft
from service.routes.reading import collection_router
from service.schemas import InversionRequest, ResourceBody
from workers.params import InversionParams

router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_inversion",
    summary="Find the latents of a dataset's images",
    responses=responses(404, 409, 413, 415),
)
def create_inversion(body: InversionRequest, call: Making, response: Response) -> ResourceBody:
    """Waits for its dataset, generator and encoder where they are on their way."""
    spec = InversionParams.model_validate(body.model_dump(exclude={"name"}))

    def judge(new_id: str) -> list[Draft]:
        return [inversion_draft(call, new_id, spec, body.name)]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))

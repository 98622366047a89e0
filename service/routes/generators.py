"""Generators: StyleGAN2 checkpoints that were uploaded."""

from starlette.responses import Response

from service.dependencies import Making, created
from service.problems import responses
from service.resources import Draft
from service.routes.reading import collection_router
from service.schemas import GeneratorRequest, ResourceBody
from workers.jobs import JobKind
from workers.params import RegisterParams

COLLECTION = "generators"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_generator",
    summary="Register an uploaded StyleGAN2 checkpoint",
    responses=responses(404, 409, 413, 415),
)
def create_generator(body: GeneratorRequest, call: Making, response: Response) -> ResourceBody:
    """Any known family is read; no byte of the file is ever executed."""

    def judge(new_id: str) -> list[Draft]:
        call.app.uploads.require(call.tenant, body.upload_id, "/upload_id")
        draft = Draft(
            tenant=call.tenant,
            collection=COLLECTION,
            id=new_id,
            spec=RegisterParams(upload_id=body.upload_id),
            kind=JobKind.REGISTER,
            name=body.name,
            licence=body.licence,
            parents={"upload": body.upload_id},
        )
        return [draft]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))

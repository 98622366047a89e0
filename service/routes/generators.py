"""Generators: StyleGAN2 checkpoints that were uploaded, or that lie in a bucket."""

from collections.abc import Mapping

from starlette.responses import Response

from service.dependencies import Call, Making, created
from service.problems import responses
from service.resources import Draft
from service.routes.reading import collection_router
from service.schemas import EncoderRequest, GeneratorRequest, ResourceBody
from service.sources import require
from workers.jobs import JobKind
from workers.params import RegisterParams

COLLECTION = "generators"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_generator",
    summary="Register a StyleGAN2 checkpoint",
    responses=responses(404, 409, 413, 415),
)
def create_generator(body: GeneratorRequest, call: Making, response: Response) -> ResourceBody:
    """Any known family is read; no byte of the file is ever executed.

    Of a pSp, e4e or ReStyle checkpoint the generator inside it is registered.
    """

    def judge(new_id: str) -> list[Draft]:
        return [draft(call, body, new_id, require(call, body))]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))


def draft(
    call: Call, body: GeneratorRequest | EncoderRequest, new_id: str, roles: Mapping[str, str]
) -> Draft:
    """The generator of a checkpoint, or of the decoder inside an encoder's."""
    return Draft(
        tenant=call.tenant,
        collection=COLLECTION,
        id=new_id,
        spec=RegisterParams(upload_id=body.upload_id, source=body.source),
        kind=JobKind.REGISTER,
        name=body.name,
        licence=body.licence,
        parents=roles,
    )

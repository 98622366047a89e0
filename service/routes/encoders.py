"""Encoders: pSp, e4e and ReStyle checkpoints, whose guesses inversions may start from."""

from collections.abc import Mapping

from starlette.responses import Response

from service.dependencies import Call, Making, created
from service.problems import responses
from service.resources import Draft
from service.routes import generators
from service.routes.reading import collection_router
from service.schemas import EncoderRequest, ResourceBody
from service.sources import require
from workers import ids
from workers.jobs import JobKind
from workers.params import RegisterEncoderParams

COLLECTION = "encoders"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_encoder",
    summary="Register an encoder's checkpoint",
    responses=responses(404, 409, 413, 415),
)
def create_encoder(body: EncoderRequest, call: Making, response: Response) -> ResourceBody:
    """Any of pSp, e4e and ReStyle is read; no byte of the file is ever executed.

    With `register_decoder` the generator inside becomes a generator of its own, by its own job.
    """

    def judge(new_id: str) -> list[Draft]:
        roles = require(call, body)
        if not body.register_decoder:
            return [_draft(call, body, new_id, roles)]
        decoder = generators.draft(
            call, body, ids.derived_id(generators.COLLECTION, call.tenant, new_id), roles
        )
        return [decoder, _draft(call, body, new_id, {**roles, "generator": decoder.id})]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))


def _draft(call: Call, body: EncoderRequest, new_id: str, roles: Mapping[str, str]) -> Draft:
    spec = RegisterEncoderParams(upload_id=body.upload_id, source=body.source, family=body.family)
    return Draft(
        tenant=call.tenant,
        collection=COLLECTION,
        id=new_id,
        spec=spec,
        kind=JobKind.REGISTER_ENCODER,
        name=body.name,
        licence=body.licence,
        parents=roles,
    )

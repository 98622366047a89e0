"""Encoders, whose guesses inversions may start from: checkpoints, and those trained here."""

from collections.abc import Mapping

from starlette.responses import Response

from service.dependencies import Call, Making, created
from service.problems import responses
from service.resources import Draft, waits
from service.routes import generators
from service.routes.reading import collection_router
from service.schemas import EncoderRequest, EncoderTrainingRequest, ResourceBody
from service.sources import require
from workers import ids
from workers.jobs import JobKind
from workers.params import EncoderTrainingParams, RegisterEncoderParams

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


@router.post(
    "/train",
    status_code=202,
    operation_id="train_encoder",
    summary="Train an encoder for a generator",
    responses=responses(404, 409, 413, 415),
)
def train_encoder(body: EncoderTrainingRequest, call: Making, response: Response) -> ResourceBody:
    """Waits for its generator and dataset where they are on their way."""
    spec = EncoderTrainingParams.model_validate(body.model_dump(exclude={"name"}))

    def judge(new_id: str) -> list[Draft]:
        return [_training(call, new_id, spec, body.name)]

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


def _training(call: Call, new_id: str, spec: EncoderTrainingParams, name: str) -> Draft:
    """The training of an encoder.

    Raises:
        Unprocessable, NotFound, NotReady: its generator or dataset is not there, or failed.
    """
    wanted = {"generator": ("generators", spec.generator_id)}
    if spec.dataset_id is not None:
        wanted["dataset"] = ("datasets", spec.dataset_id)
    parents = call.parents(wanted)
    return Draft(
        tenant=call.tenant,
        collection=COLLECTION,
        id=new_id,
        spec=spec,
        kind=JobKind.TRAIN_ENCODER,
        name=name,
        parents={role: parent.id for role, parent in parents.items()},
        after=waits(parents.values()),
    )

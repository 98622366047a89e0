"""Inversions: the latents of a dataset's images in a generator."""

from collections.abc import Mapping

from starlette.responses import Response

from service.dependencies import Making, created
from service.errors import FieldError, Unprocessable
from service.problems import responses
from service.resources import Draft, Parent, waits
from service.routes.reading import collection_router
from service.schemas import InversionRequest, ResourceBody
from workers.fitting import misfit
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
    """Waits for its dataset, generator and encoder where they are on their way."""
    wanted = {
        "dataset": ("datasets", body.dataset_id),
        "generator": ("generators", body.generator_id),
        "encoder": ("encoders", body.encoder_id),
    }

    def judge(new_id: str) -> list[Draft]:
        named = {role: (where, i) for role, (where, i) in wanted.items() if i is not None}
        parents = call.parents(named)
        _check_encoder(parents)
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


def _check_encoder(parents: Mapping[str, Parent]) -> None:
    """Refuse an encoder of another generator; the job does, where one of them is not ready yet.

    Raises:
        Unprocessable: its codes do not steer the generator.
    """
    if "encoder" not in parents:
        return
    encoder, generator = (parents[role].view.final for role in ("encoder", "generator"))
    problem = misfit(encoder, generator) if encoder and generator else None
    if problem:
        remedy = "name another encoder, or none: starts are then found without one"
        raise Unprocessable(f"encoder_id: {problem}", remedy, [FieldError("/encoder_id", problem)])

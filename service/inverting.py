"""Drafts of inversions: of those asked for, and of those that a label generator needs first."""

from collections.abc import Mapping

from service.dependencies import Call
from service.errors import FieldError, Unprocessable
from service.resources import Draft, Parent, waits
from workers.fitting import misfit
from workers.jobs import JobKind
from workers.params import InversionParams

COLLECTION = "inversions"


def inversion_draft(call: Call, new_id: str, spec: InversionParams, name: str) -> Draft:
    """An inversion that waits for its dataset, generator and encoder where they are on their way.

    Raises:
        Unprocessable, NotFound, NotReady: something it is to be made of is not there, or failed;
            or the encoder is of another generator.
    """
    wanted = {
        "dataset": ("datasets", spec.dataset_id),
        "generator": ("generators", spec.generator_id),
        "encoder": ("encoders", spec.encoder_id),
    }
    named = {role: (where, i) for role, (where, i) in wanted.items() if i is not None}
    parents = call.parents(named)
    _check_encoder(parents)
    roles = {role: parent.id for role, parent in parents.items()}
    if spec.latents_upload_id is not None:
        call.app.uploads.require(call.tenant, spec.latents_upload_id, "/latents_upload_id")
        roles["latents_upload"] = spec.latents_upload_id
    return Draft(
        tenant=call.tenant,
        collection=COLLECTION,
        id=new_id,
        spec=spec,
        kind=JobKind.INVERT,
        name=name,
        parents=roles,
        after=waits(parents.values()),
    )


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

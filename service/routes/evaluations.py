"""Evaluations: what labels are worth to a network that is trained on them."""

from collections.abc import Mapping

from starlette.responses import Response

from service.dependencies import Making, created
from service.labels import fitting, labels_of
from service.problems import responses
from service.resources import Draft, Parent, waits
from service.routes.reading import collection_router
from service.schemas import EvaluationRequest, ResourceBody
from workers.jobs import JobKind
from workers.label_kinds import comparable, judged
from workers.params import EvaluationParams

COLLECTION = "evaluations"
router = collection_router(COLLECTION)


@router.post(
    "",
    status_code=202,
    operation_id="create_evaluation",
    summary="Train a network on labels and test it on real ones",
    responses=responses(404, 409, 413, 415),
)
def create_evaluation(body: EvaluationRequest, call: Making, response: Response) -> ResourceBody:
    """Trained on a generation or on real images; tested on a dataset that was held out."""
    wanted = {
        "generation": ("generations", body.generation_id),
        "dataset": ("datasets", body.dataset_id),
        "validation_dataset": ("datasets", body.validation_dataset_id),
        "test_dataset": ("datasets", body.test_dataset_id),
    }

    def judge(new_id: str) -> list[Draft]:
        named = {role: (where, i) for role, (where, i) in wanted.items() if i is not None}
        parents = call.parents(named)
        _check_labels(parents, body)
        draft = Draft(
            tenant=call.tenant,
            collection=COLLECTION,
            id=new_id,
            spec=EvaluationParams.model_validate(body.model_dump(exclude={"name"})),
            kind=JobKind.EVALUATE,
            name=body.name,
            parents={role: parent.id for role, parent in parents.items()},
            after=waits(parents.values()),
        )
        return [draft]

    return created(response, call.make(COLLECTION, body.model_dump(mode="json"), judge))


def _check_labels(parents: Mapping[str, Parent], body: EvaluationRequest) -> None:
    """Refuse labels that cannot be compared, as far as it is known what they mean.

    Raises:
        Unprocessable: a kind is missing, or names differ.
    """
    source = parents.get("generation") or parents["dataset"]
    labels = labels_of(source.view)
    if not labels:
        return
    trained = fitting(judged(source.id, labels, body.kind), "kind")
    for role in ("validation_dataset", "test_dataset"):
        real = parents[role]
        fitting(comparable(trained, real.id, labels_of(real.view)), f"{role}_id")

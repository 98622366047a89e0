"""What is known of labels when something is asked for, and the refusal of what does not fit."""

from pydantic import BaseModel

from models.labels import LabelSpec
from service.errors import FieldError, Unprocessable
from service.resources import View
from workers.label_kinds import Misfit
from workers.params import DatasetParams
from workers.resources import Resource


class _Manifest(BaseModel):
    """What is needed of a generation's manifest; that of an older one is left to the job."""

    labels: tuple[LabelSpec, ...] = ()


def labels_of_dataset(dataset: Resource) -> tuple[LabelSpec, ...]:
    """What a dataset's labels mean; that is said before there are any."""
    return DatasetParams.model_validate(dataset.spec).labels


def labels_of(view: View) -> tuple[LabelSpec, ...]:
    """What the labels of a dataset or a generation mean; none while that is not known."""
    if view.resource.collection == "datasets":
        return labels_of_dataset(view.resource)
    return _Manifest.model_validate(view.final or {}).labels


def fitting(found: LabelSpec | Misfit, field: str) -> LabelSpec:
    """Labels that were found to fit; `field` of the request is what asks for them.

    Raises:
        Unprocessable: they do not.
    """
    if isinstance(found, Misfit):
        raise refusal(found, field)
    return found


def refusal(misfit: Misfit, field: str) -> Unprocessable:
    """The answer to a request whose `field` asks for what does not fit."""
    errors = [FieldError(f"/{field}", misfit.problem)]
    return Unprocessable(f"{field}: {misfit.problem}", misfit.remedy, errors)

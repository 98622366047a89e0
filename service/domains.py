"""What a request for a dataset asks for, once its domain has said what it left open."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from models.domains import Domain, domain_of
from service.dataset_request import DatasetRequest, FitRequest
from service.errors import FieldError, Unprocessable
from workers.params import DatasetParams, ReadingParams

_NATIVE, _OF_THE_DOMAIN = "native", "domain"


def params_of(
    body: DatasetRequest, own: Mapping[str, Domain] = MappingProxyType({})
) -> DatasetParams:
    """The parameters of a dataset.

    Args:
        body: what was asked for.
        own: domains of the operator's, by name.

    Raises:
        Unprocessable: there is no such domain.
        RequestValidationError: what was asked for contradicts itself.
    """
    asked = {name: getattr(body, name) for name in ReadingParams.model_fields}
    if body.domain is None:
        labels = body.labels or ((body.label,) if body.label else ())
        asked |= {"labels": labels, "merge": body.merge}
        asked["fit"] = body.fit and _given(body.fit)
    else:
        asked |= _of_domain(body, _found(body.domain, own))
    try:
        return DatasetParams.model_validate(asked)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults, body=body.model_dump(mode="json")) from error


def _of_domain(body: DatasetRequest, domain: Domain) -> dict[str, Any]:
    """What a domain says; what the request says goes before it."""
    fit = {"canvas": domain.canvas, "policy": domain.fitting}
    options = dict(body.options)
    if options.get(_NATIVE) == _OF_THE_DOMAIN:
        options[_NATIVE] = ", ".join(domain.native)
    return {
        "domain": body.domain,
        "labels": domain.labels,
        "merge": {**domain.merge, **body.merge},
        "options": options,
        "fit": fit | (_given(body.fit) if body.fit else {}),
    }


def _given(fit: FitRequest) -> dict[str, Any]:
    """The fields of a model that were given."""
    return {name: getattr(fit, name) for name in fit.model_fields_set}


def _found(name: str, own: Mapping[str, Domain]) -> Domain:
    try:
        return domain_of(name, own)
    except ValueError as error:
        remedy = "name one of those, or leave it out and give labels"
        raise Unprocessable(
            f"domain: {error}", remedy, [FieldError("/domain", str(error))]
        ) from error

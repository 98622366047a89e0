"""Errors as RFC 9457 problem bodies: the only shape in which this service says no."""

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from models.errors import HandsOffError, legible
from service.errors import (
    FieldError,
    ServiceError,
    Unprocessable,
    UnsupportedMediaType,
    answer_to,
)
from workers.errors import WorkersError

log = structlog.get_logger("service.problems")

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "handsoff.request_id"  # Where the middleware leaves it in the ASGI scope.
_SCHEMAS = "#/components/schemas/{model}"
_SHOWN = 80  # Characters of a wrong value that a problem repeats.
_LONGEST = 2000  # Characters of what is said; the request may have been a megabyte.
_MOST_FIELDS = 50


class ProblemError(BaseModel):
    """One wrong field."""

    pointer: str = Field(description="JSON pointer into what `in` names", examples=["/count"])
    detail: str
    place: str = Field(alias="in", description="body, query, path or header", examples=["body"])


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:handsoff:problem:not_found",
                    "title": "There is no such thing",
                    "status": 404,
                    "detail": "there is no generator gen_01jd",
                    "instance": "/v1/generators/gen_01jd",
                    "code": "not_found",
                    "request_id": "5f0c3d7a9b1e4c52",
                    "errors": [],
                }
            ]
        }
    )

    type: str = Field(description="`urn:handsoff:problem:` and the code")
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="a stable word that programs may compare")
    request_id: str
    errors: list[ProblemError] = []
    remedy: str | None = Field(default=None, description="what to do about it")


def problem_response(scope: Scope, error: Exception) -> Response:
    """The answer to an error, whatever it is."""
    if isinstance(error, RequestValidationError):
        error = _explained(scope, error)
    answer = answer_to(error)
    headers = dict(getattr(error, "headers", None) or {})
    status = int(answer.status)
    if status in {204, 304}:
        return Response(status_code=status, headers=headers)
    if answer.retry_after is not None:
        headers["Retry-After"] = str(answer.retry_after)
    problem = {
        "type": f"urn:handsoff:problem:{answer.code}",
        "title": answer.title,
        "status": status,
        "detail": answer.detail or legible(_words(scope, error), _LONGEST),
        "instance": scope["path"],
        "code": answer.code,
        "request_id": scope.get(REQUEST_ID, ""),
        "errors": [_field(e) for e in getattr(error, "errors", ())],
    }
    if remedy := getattr(error, "remedy", None) or answer.remedy:
        problem["remedy"] = remedy
    content = json.dumps(problem, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error that a route may raise with a problem body."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # The framework names the methods of the first route that has this path, not of all.
            headers = {"Allow": ", ".join(sorted(_methods(app, request.url.path)))}
            error = HTTPException(error.status_code, error.detail, headers)
        response = problem_response(request.scope, error)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # The answer tells little: what was unavailable, and where, is for the log.
            log.warning("request refused", status=response.status_code, error=str(error))
        return response

    for kind in (
        ServiceError,
        WorkersError,
        HandsOffError,
        RedisError,
        RequestValidationError,
        HTTPException,
    ):
        app.add_exception_handler(kind, handle)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares in OpenAPI for the errors it answers; 422, 500 and 503 always.

    With a body that may be too large (413) also 400: one that cannot be read at all.
    """
    shape = {"schema": {"$ref": _SCHEMAS.format(model=Problem.__name__)}}
    torn = {400} if 413 in statuses else set()
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: shape}}
        for status in sorted({*statuses, *torn, 422, 500, 503})
    }


def problem_schemas() -> dict[str, Any]:
    """The schemas that those declarations refer to, by name."""
    schema = Problem.model_json_schema(ref_template=_SCHEMAS)
    return {**schema.pop("$defs"), Problem.__name__: schema}


def _methods(app: FastAPI, path: str) -> set[str]:
    """The methods of all routes that have a path; of those that spell it out, where some do."""
    found = [c for c in iter_route_contexts(app.routes) if c.path_regex.fullmatch(path)]
    literal = [c for c in found if c.path == path]
    return {m for c in literal or found for m in c.methods or ()}


def _field(error: FieldError) -> dict[str, str]:
    return {"pointer": error.pointer, "in": error.place, "detail": error.detail}


def _words(scope: Scope, error: Exception) -> str:
    if isinstance(error, ServiceError):
        return error.detail
    if isinstance(error, HTTPException):
        if error.status_code in {404, 405}:
            return f"{scope['method']} {scope['path']}: {error.detail}"
        return error.detail
    return str(error)


def _explained(scope: Scope, error: RequestValidationError) -> Exception:
    """What pydantic found, in our words: each wrong field with its bound and the value it had."""
    found = cast("Sequence[Mapping[str, Any]]", error.errors())
    if found and found[0]["type"] == "json_invalid":
        where = f"{found[0]['ctx']['error']} at character {found[0]['loc'][-1]}"
        return HTTPException(400, f"the body is not JSON: {where}")
    whole_body = any(tuple(e["loc"]) == ("body",) and e["type"] != "missing" for e in found)
    if whole_body and not _is_json(scope):
        return UnsupportedMediaType(
            "the body's Content-Type is not application/json",
            "send the header Content-Type: application/json",
        )
    fields = [_found(e, error.body) for e in found[:_MOST_FIELDS]]
    detail = "; ".join(f"{f.pointer.lstrip('/') or f.place}: {f.detail}" for f in fields)
    if len(found) > _MOST_FIELDS:
        detail = f"{len(found)} fields are wrong, the first {_MOST_FIELDS}: {detail}"
    return Unprocessable(detail, "correct what `errors` names", fields)


def _is_json(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return bool(types) and b"json" in types[0].lower()


def _found(error: Mapping[str, Any], body: object) -> FieldError:
    place, *path = error["loc"]
    if place == "body":
        path = list(_without_tags(path, body, error["type"] == "missing"))
    pointer = "".join(f"/{_escaped(str(part))}" for part in path)
    return FieldError(legible(pointer, 200), legible("".join(_sentence(error)), 500), str(place))


def _without_tags(path: Sequence[str | int], body: Any, is_missing: bool) -> Iterator[str | int]:
    """The way to a field of the body, without the names of union members that pydantic puts in.

    Args:
        path: as pydantic says it.
        body: what was sent; None where that is not known.
        is_missing: whether the last part is a field that is not there.
    """
    for place, part in enumerate(path, start=1):
        try:
            body = body[part]
        except (TypeError, LookupError):
            if body is not None and not (is_missing and place == len(path)):
                continue
        yield part


def _sentence(error: Mapping[str, Any]) -> Iterator[str]:
    """pydantic's message, with the value where it is short and not itself the whole input."""
    yield str(error["msg"]).removeprefix("Value error, ")
    if error["type"] != "missing" and isinstance(error.get("input"), str | int | float | bool):
        yield f" (got {repr(error['input'])[:_SHOWN]})"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")

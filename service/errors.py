"""What can go wrong at the edge, and the one table from errors to HTTP statuses.

ServiceError
├── Unprocessable          a field's value cannot be meant
│   ├── ChecksumMismatch   the bytes are not those that were announced
│   ├── SourceNotAllowed   an address that the operator has not allowed
│   └── ReceiverNotAllowed an address that nothing may be sent to
├── Conflict               the request is well formed, but not now
│   ├── NotReady           something it is made of is not ready, nor on its way
│   ├── KeyReused          the Idempotency-Key belongs to another request
│   ├── DatasetSealed      a sealed dataset does not change
│   ├── DatasetEmpty       nothing to seal
│   ├── ItemExists         another item has that key
│   ├── HasDependants      something is made of what is to be deleted
│   ├── StillRunning       what is to be deleted still changes
│   ├── WasDeleted         what the Idempotency-Key made has been deleted
│   ├── TooManyWebhooks    the tenant has as many as it may
│   └── JobEnded           nothing is left to cancel
├── InsufficientStorage    the store has too little room
├── KeyMissing             nobody has said who asks
├── KeyInvalid             who asks is not known, or not any more
├── ScopeMissing           the key is good for less than this
├── QuotaExceeded          more than the tenant may use
│   └── TooManyJobs        not until some of its jobs have ended
├── TooManyRequests        more than the tenant may send in a minute
├── BodyTooLarge           more bytes than this route takes
├── UnsupportedMediaType   a body that is not JSON where JSON is wanted
├── TooSlow                a body of which nothing more comes
├── UnknownHost            a request that was meant for another server
├── RangeNotSatisfiable    a range that begins behind the end of the file
└── Unready                Redis or the store does not answer its check

The layers below never hear of HTTP; their errors meet their statuses here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from models.errors import InvalidImage
from workers.errors import (
    IllegalTransition,
    NotFound,
    ObjectNotFound,
    QueueUnavailable,
    StorageError,
    StorageFull,
    StorageUnavailable,
)


@dataclass(frozen=True)
class FieldError:
    """One wrong field: a JSON pointer into a `place` (body, query, path, header), and its fault."""

    pointer: str
    detail: str
    place: str = "body"


class ServiceError(Exception):
    """The root of this layer's errors.

    Args:
        detail: what is wrong, naming the offending thing.
        remedy: what to do about it.
        errors: the fields that are to blame, where there are such.
        headers: more headers for the answer.
    """

    def __init__(
        self,
        detail: str,
        remedy: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.errors = tuple(errors)
        self.headers = headers


class Unprocessable(ServiceError):
    """A field's value cannot be meant."""


class ChecksumMismatch(Unprocessable):
    """The bytes are not those that were announced."""


class SourceNotAllowed(Unprocessable):
    """An address that the operator has not allowed."""


class ReceiverNotAllowed(Unprocessable):
    """An address that nothing may be sent to."""


class Conflict(ServiceError):
    """The request is well formed, but not now."""


class NotReady(Conflict):
    """Something that the request is made of is not ready, nor on its way."""


class KeyReused(Conflict):
    """The Idempotency-Key belongs to another request."""


class DatasetSealed(Conflict):
    """A sealed dataset does not change."""


class DatasetEmpty(Conflict):
    """There is nothing to seal."""


class ItemExists(Conflict):
    """Another item of the dataset has that key."""


class HasDependants(Conflict):
    """Something is made of what is to be deleted."""


class StillRunning(Conflict):
    """What is to be deleted still changes."""


class WasDeleted(Conflict):
    """What the Idempotency-Key made has been deleted."""


class TooManyWebhooks(Conflict):
    """The tenant has as many as it may."""


class JobEnded(Conflict):
    """Nothing is left to cancel."""


class InsufficientStorage(ServiceError):
    """The store has too little room."""


class KeyMissing(ServiceError):
    """Nobody has said who asks."""


class KeyInvalid(ServiceError):
    """Who asks is not known, or not any more."""


class ScopeMissing(ServiceError):
    """The key is good for less than what is asked."""


class QuotaExceeded(ServiceError):
    """It would be more than the tenant may use."""


class TooManyJobs(QuotaExceeded):
    """The tenant has as many unfinished jobs as it may."""


class TooManyRequests(ServiceError):
    """The tenant has sent as many requests as it may for now."""


class BodyTooLarge(HTTPException, ServiceError):
    """More bytes than the route takes.

    An `HTTPException` too, for the framework turns any other error of a half-read body into 400.
    """

    def __init__(self, limit: int) -> None:
        HTTPException.__init__(self, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        ServiceError.__init__(
            self,
            f"the body is larger than the {limit} bytes that this route takes",
            "send less; large files go to POST /v1/uploads",
        )


class UnsupportedMediaType(ServiceError):
    """A body that is not JSON, where JSON is wanted."""


class TooSlow(ServiceError):
    """A body of which nothing more comes."""


class UnknownHost(ServiceError):
    """A request that was meant for another server."""


class RangeNotSatisfiable(ServiceError):
    """A range that begins behind the end of the file."""


class Unready(ServiceError):
    """Redis or the store does not answer its check."""


@dataclass(frozen=True)
class Answer:
    """How one class of errors is answered.

    Attributes:
        code: stable snake_case word that programs may compare.
        detail, remedy: said instead of the error's own words, which may hold internals.
        retry_after: seconds after which another try makes sense.
    """

    status: HTTPStatus
    code: str
    title: str
    detail: str | None = None
    remedy: str | None = None
    retry_after: int | None = None


_AGAIN = "try again in a few seconds"

# Looked up along the error's method resolution order: the nearest class wins.
ANSWERS: Mapping[type[Exception], Answer] = {
    Unprocessable: Answer(HTTPStatus(422), "invalid_request", "The request is not valid"),
    RequestValidationError: Answer(HTTPStatus(422), "invalid_request", "The request is not valid"),
    InvalidImage: Answer(HTTPStatus(422), "invalid_image", "The picture cannot be used"),
    ChecksumMismatch: Answer(
        HTTPStatus(422), "checksum_mismatch", "The bytes are not those that were announced"
    ),
    SourceNotAllowed: Answer(HTTPStatus(422), "source_not_allowed", "The address is not allowed"),
    ReceiverNotAllowed: Answer(
        HTTPStatus(422), "receiver_not_allowed", "Nothing may be sent to that address"
    ),
    NotFound: Answer(HTTPStatus.NOT_FOUND, "not_found", "There is no such thing"),
    ObjectNotFound: Answer(
        HTTPStatus.NOT_FOUND,
        "not_found",
        "There is no such thing",
        detail="what was asked for was removed in the meantime",
    ),
    NotReady: Answer(HTTPStatus.CONFLICT, "not_ready", "Something it needs is not ready"),
    KeyReused: Answer(
        HTTPStatus.CONFLICT, "idempotency_key_reused", "The Idempotency-Key is taken"
    ),
    DatasetSealed: Answer(HTTPStatus.CONFLICT, "dataset_sealed", "The dataset is sealed"),
    DatasetEmpty: Answer(HTTPStatus.CONFLICT, "dataset_empty", "The dataset is empty"),
    ItemExists: Answer(HTTPStatus.CONFLICT, "item_exists", "The item's key is taken"),
    HasDependants: Answer(HTTPStatus.CONFLICT, "has_dependants", "Something depends on it"),
    StillRunning: Answer(HTTPStatus.CONFLICT, "still_running", "A job of it has not ended"),
    WasDeleted: Answer(HTTPStatus.CONFLICT, "was_deleted", "It has been deleted"),
    TooManyWebhooks: Answer(
        HTTPStatus.CONFLICT, "too_many_webhooks", "The tenant has as many webhooks as it may"
    ),
    JobEnded: Answer(HTTPStatus.CONFLICT, "job_ended", "The job has ended"),
    IllegalTransition: Answer(HTTPStatus.CONFLICT, "job_ended", "The job has ended"),
    KeyMissing: Answer(HTTPStatus.UNAUTHORIZED, "key_missing", "An API key is wanted"),
    KeyInvalid: Answer(HTTPStatus.UNAUTHORIZED, "key_invalid", "The API key does not count"),
    ScopeMissing: Answer(HTTPStatus.FORBIDDEN, "scope_missing", "The API key is not for this"),
    QuotaExceeded: Answer(HTTPStatus.FORBIDDEN, "quota_exceeded", "The tenant's quota is used up"),
    TooManyJobs: Answer(
        HTTPStatus.TOO_MANY_REQUESTS, "too_many_jobs", "Too many unfinished jobs", retry_after=30
    ),
    TooManyRequests: Answer(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
    BodyTooLarge: Answer(HTTPStatus(413), "body_too_large", "The body is too large"),
    UnsupportedMediaType: Answer(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not JSON"
    ),
    TooSlow: Answer(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "The body did not come"),
    UnknownHost: Answer(
        HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", "The request was meant for another server"
    ),
    RangeNotSatisfiable: Answer(
        HTTPStatus(416), "range_not_satisfiable", "The file has no such range"
    ),
    Unready: Answer(
        HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "The service cannot work", retry_after=5
    ),
    InsufficientStorage: Answer(
        HTTPStatus.INSUFFICIENT_STORAGE, "insufficient_storage", "The store is too full"
    ),
    StorageFull: Answer(
        HTTPStatus.INSUFFICIENT_STORAGE,
        "insufficient_storage",
        "The store is too full",
        detail="the store ran full while this was written; nothing of it was kept",
        remedy="free room in the store, or ask for less",
    ),
    StorageUnavailable: Answer(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "store_unavailable",
        "The object store cannot be reached",
        detail="the object store does not answer",
        remedy=_AGAIN,
        retry_after=5,
    ),
    QueueUnavailable: Answer(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "queue_unavailable",
        "Redis cannot be reached",
        detail="Redis does not answer",
        remedy=_AGAIN,
        retry_after=5,
    ),
    RedisError: Answer(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "queue_unavailable",
        "Redis cannot be reached",
        detail="Redis does not answer",
        remedy=_AGAIN,
        retry_after=5,
    ),
    StorageError: Answer(
        HTTPStatus.BAD_GATEWAY,
        "store_failed",
        "The object store failed",
        detail="the object store refused what the service asked of it",
        remedy="the service's log says more, under this request_id",
    ),
}

UNEXPECTED = Answer(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "The service failed",
    detail="an error that was not foreseen; nothing of it is shown here",
    remedy="the service's log says more, under this request_id",
)

# What the framework itself refuses, by status.
FRAMEWORK: Mapping[int, Answer] = {
    400: Answer(HTTPStatus.BAD_REQUEST, "malformed_body", "The body cannot be read"),
    404: Answer(
        HTTPStatus.NOT_FOUND, "route_not_found", "There is no such route", remedy="see /docs"
    ),
    405: Answer(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "The route does not know this method",
        remedy="the Allow header lists the methods it knows",
    ),
}


def answer_to(error: Exception) -> Answer:
    """How an error is answered: its nearest class in the tables, else as unexpected."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return FRAMEWORK.get(status, Answer(status, status.name.lower(), status.phrase))
    return UNEXPECTED

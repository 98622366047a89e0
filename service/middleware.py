"""What surrounds every request: its id, its log line, its measures, its limits. Pure ASGI.

Not `BaseHTTPMiddleware`, which costs a task and a queue per request and buffers streams.
"""

import re
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api_keys import without_secrets
from service.auth import OPEN_PATHS, caller_of, is_meant_for_us, scope_of, set_caller
from service.door import Door
from service.errors import BodyTooLarge, ServiceError, UnknownHost
from service.metrics import Metrics
from service.problems import REQUEST_ID, problem_response
from service.quotas import Quotas
from service.rate import RateLimiter
from workers.errors import WorkersError
from workers.tracing import Traces

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked for all the time, and tell nothing."""

_UNROUTED = "(none)"
_HEADERS = {
    "Cache-Control": "no-cache",  # Whatever is kept must be asked about.
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The pages of /docs load their script from a CDN; everything else needs nothing at all.
_CONTENT_POLICY = "default-src 'none'; img-src 'self'; frame-ancestors 'none'"
_DOCUMENTATION = frozenset({"/docs", "/redoc", "/docs/oauth2-redirect"})

log = structlog.get_logger("service.access")


class RequestContext:
    """Gives each request an id, headers, a log line and its place in the metrics.

    The outermost of our layers: an error that nobody foresaw becomes a problem body here, with
    the same id that its traceback has in the log.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, traces: Traces) -> None:
        self._app = app
        self._metrics = metrics
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[REQUEST_ID] = request_id = _request_id(scope)
        self._traces.note({"request_id": request_id})
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope["path"], request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except ClientDisconnect:
                pass  # Nobody is left to be answered, and nothing is wrong with us.
            except Exception as error:
                log.error("request failed", path=scope["path"], exc_info=error)
                if status:  # Too late for another answer: the connection breaks off.
                    raise
                await problem_response(scope, error)(scope, receive, send_with_headers)
            finally:
                self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNROUTED)
        self._metrics.observe(scope["method"], route, status, seconds)
        level = log.debug if scope["path"] in QUIET else log.info
        client, caller = scope.get("client"), caller_of(scope)
        level(
            "request",
            method=scope["method"],
            path=without_secrets(scope["path"]),
            route=route,
            status=status or None,  # None: the client went away first.
            milliseconds=round(seconds * 1000, 2),
            client=client[0] if client else None,
            tenant=caller.tenant if caller else None,
            key=caller.key_id if caller else None,
        )


class Authentication:
    """Lets nobody in whom the door does not admit, on whatever path; see `service.door`.

    Not a dependency of routes, for then one of them could be forgotten.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).getlist("authorization")
        try:
            caller = await self._door.admit(sent, scope_of(scope["method"], scope["path"]))
        except (ServiceError, WorkersError) as error:
            await _refused(scope, error)(scope, receive, send)
            return
        set_caller(scope, caller)
        with structlog.contextvars.bound_contextvars(tenant=caller.tenant):
            await self._app(scope, receive, send)


class TenantLimits:
    """Holds tenants to their requests a minute, and their bytes; see `rate` and `quotas`."""

    def __init__(self, app: ASGIApp, rate: RateLimiter, quotas: Quotas) -> None:
        self._app = app
        self._rate = rate
        self._quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._check(scope)
        except (ServiceError, WorkersError) as error:
            await _refused(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        caller = caller_of(scope)
        if caller is None:
            return
        await self._rate.take(caller.tenant, caller.quota.rpm or 0)
        if caller.quota.bytes and scope["method"] in {"POST", "PUT"}:
            size = _announced(scope) or 0
            await run_in_threadpool(self._quotas.admit_bytes, caller.tenant, caller.quota, size)


class HostCheck:
    """Refuses requests for other hosts; see `service.auth.is_meant_for_us`."""

    def __init__(self, app: ASGIApp, allow_remote: bool) -> None:
        self._app = app
        self._allow_remote = allow_remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        host = Headers(scope=scope).get("host", "") if scope["type"] == "http" else "localhost"
        caller = caller_of(scope)
        # Whoever has a key means us, and what is open to all tells nothing that is worth a trick.
        is_beyond_doubt = caller is None or caller.key_id is not None
        if is_beyond_doubt or is_meant_for_us(host, self._allow_remote):
            await self._app(scope, receive, send)
            return
        refusal = UnknownHost(
            f"this service does not answer to the name {host[:80]!r}",
            "ask for 127.0.0.1 or localhost, or set HANDSOFF_ALLOW_REMOTE=true where something "
            "else keeps strangers out",
        )
        await problem_response(scope, refusal)(scope, receive, send)


class BodyLimit:
    """Refuses bodies above a limit: announced ones at once, others where they pass it.

    Args:
        app: what is protected.
        limit: the most bytes that a request of this method and path may bring.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[str, str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["method"], scope["path"])
        if (_announced(scope) or 0) > limit:
            await problem_response(scope, BodyTooLarge(limit))(scope, receive, send)
            return
        if _has_two_lengths(scope):
            await problem_response(scope, _two_lengths())(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise BodyTooLarge(limit)
            return message

        await self._app(scope, counted, send)


def _has_two_lengths(scope: Scope) -> bool:
    """Whether the body is said to end in two ways, of which a proxy may have taken the other."""
    headers = Headers(scope=scope)
    return "content-length" in headers and "transfer-encoding" in headers


def _two_lengths() -> HTTPException:
    """The refusal; with it the connection ends, for what follows may be no request."""
    detail = "send either Content-Length or Transfer-Encoding, not both"
    return HTTPException(HTTPStatus.BAD_REQUEST, detail, {"Connection": "close"})


def _announced(scope: Scope) -> int | None:
    """How many bytes the body is said to have."""
    announced = Headers(scope=scope).get("content-length", "")
    return int(announced) if announced.isdecimal() else None


def _refused(scope: Scope, error: Exception) -> Response:
    """The answer to an error; what failed us, and where, is for the log."""
    response = problem_response(scope, error)
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request refused", status=response.status_code, error=str(error))
    return response


def _request_id(scope: Scope) -> str:
    """The client's own id if it is one that can stand in a log, else a new one."""
    offered = Headers(scope=scope).get("x-request-id", "")
    return offered if _SANE_ID.fullmatch(offered) else secrets.token_hex(8)


def _add_headers(message: Message, path: str, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-ID"] = request_id
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if path not in _DOCUMENTATION:
        headers.setdefault("Content-Security-Policy", _CONTENT_POLICY)

"""Whether the service lives, whether it can work, what it measures and which one it is."""

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

import anyio
import anyio.to_thread
import structlog
from fastapi import APIRouter
from starlette.responses import Response

from service.dependencies import App
from service.errors import FieldError, Unready
from service.problems import responses
from service.schemas import Health, Readiness, Version

router = APIRouter(tags=["health"])
log = structlog.get_logger("service.health")

_PATIENCE_SECONDS = 2.0
# Threads that checks may hold at once: a store that hangs must not take those of the routes.
_CHECKS = anyio.CapacityLimiter(4)


@router.get("/healthz", operation_id="is_alive", summary="Whether the process answers")
async def is_alive() -> Health:
    """Asks nothing of Redis or the store."""
    return Health()


@router.get(
    "/readyz",
    operation_id="is_ready",
    summary="Whether Redis and the store answer",
    responses=responses(),
)
async def is_ready(app: App) -> Readiness:
    """Says which of them does not."""
    checks: Mapping[str, Callable[[], object]] = {"redis": app.redis.ping, "store": app.store.check}
    took: dict[str, float] = {}
    wrong: list[FieldError] = []

    async def check(name: str) -> None:
        started = time.perf_counter()
        problem = await _problem(name, checks[name])
        took[name] = round((time.perf_counter() - started) * 1000, 2)
        if problem is not None:
            wrong.append(FieldError(f"/{name}", problem, "service"))

    async with anyio.create_task_group() as group:
        for name in checks:
            group.start_soon(check, name)
    if wrong:
        told = "; ".join(sorted(f"{e.pointer.lstrip('/')} {e.detail}" for e in wrong))
        raise Unready(told, "start what does not answer, or correct its address", wrong)
    return Readiness(checks=took)


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Measures, in Prometheus's text format",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def get_metrics(app: App) -> Response:
    """Requests by route and status, how long they took, queue depths."""
    return Response(app.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/version", operation_id="get_version", summary="What is running")
async def get_version() -> Version:
    """The package's version and the API's."""
    return Version(version=version("handsoff"))


async def _problem(name: str, check: Callable[[], object]) -> str | None:
    """What is wrong with a part, in words without addresses; those go to the log."""
    try:
        with anyio.fail_after(_PATIENCE_SECONDS):
            await anyio.to_thread.run_sync(check, limiter=_CHECKS, abandon_on_cancel=True)
    except TimeoutError:
        return f"does not answer within {_PATIENCE_SECONDS:g} s"
    except Exception as error:  # Whatever it is, the part cannot be used.
        log.warning("not ready", part=name, error=str(error))
        return "cannot be used"
    return None

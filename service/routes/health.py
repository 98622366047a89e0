"""Whether the service lives, whether it can work, what it measures and which one it is."""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import anyio
import anyio.to_thread
import structlog
from fastapi import APIRouter, Query
from starlette.responses import Response

from service.dependencies import App
from service.errors import FieldError, Unready
from service.problems import responses
from service.schemas import Health, Readiness, Version
from service.services import Services
from workers.flows import QueueName
from workers.presence import processes

router = APIRouter(tags=["health"])
log = structlog.get_logger("service.health")

_PATIENCE_SECONDS = 2.0
# Threads that checks may hold at once: a store that hangs must not take those of the routes.
_CHECKS = anyio.CapacityLimiter(4)


class WorkersWanted(StrEnum):
    """Whether missing workers are only told, or count."""

    REPORTED = "reported"
    REQUIRED = "required"


@router.get("/healthz", operation_id="is_alive", summary="Whether the process answers")
async def is_alive() -> Health:
    """Asks nothing of Redis or the store."""
    return Health()


@router.get(
    "/readyz",
    operation_id="is_ready",
    summary="Whether work is taken, and whether there is somebody to do it",
    responses=responses(),
)
async def is_ready(
    app: App,
    workers: Annotated[
        WorkersWanted,
        Query(description="`required`: a lane without a live worker counts as not ready"),
    ] = WorkersWanted.REPORTED,
) -> Readiness:
    """503 where Redis or the store cannot be used, and says which.

    Without workers jobs wait, and everything else is served: that is told, and only who asks with
    `workers=required` is refused for it.
    """
    checks: Mapping[str, Callable[[], object]] = {"redis": app.redis.ping, "store": app.store_check}
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
    alive = await anyio.to_thread.run_sync(_alive, app, limiter=_CHECKS)
    idle = [lane for lane, count in alive.items() if not count]
    if idle and workers is WorkersWanted.REQUIRED:
        missing = [FieldError(f"/workers/{lane}", "nobody is there", "service") for lane in idle]
        raise Unready(
            f"there is no live worker for {' and '.join(idle)}; jobs wait",
            "start one: python -m workers.worker --queue …",
            missing,
        )
    return Readiness(checks=took, workers=alive, can_work=not idle)


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Measures, in Prometheus's text format",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def get_metrics(app: App) -> Response:
    """Requests to this process; queues, steps, jobs, workers and latencies of all of HandsOff."""
    return Response(app.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/version", operation_id="get_version", summary="What is running")
async def get_version() -> Version:
    """The package's version and the API's."""
    return Version(version=version("handsoff"))


def _alive(app: Services) -> dict[str, int]:
    """How many live workers each lane has."""
    roles = [process.role for process in processes(app.redis)]
    return {str(lane): roles.count(lane) for lane in QueueName}


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

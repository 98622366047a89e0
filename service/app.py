"""The application: routes, layers around them, and nothing that happens at import."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from service.middleware import (
    QUIET,
    Authentication,
    BodyLimit,
    HostCheck,
    RequestContext,
    TenantLimits,
)
from service.openapi import declare_keys
from service.problems import add_problem_handlers, problem_schemas
from service.routes import (
    datasets,
    encoders,
    evaluations,
    generations,
    generators,
    health,
    inversions,
    jobs,
    label_generators,
    uploads,
    webhooks,
)
from service.routes.files import files_router
from service.services import Services, connect_services
from service.settings import ServiceSettings
from workers.tracing import Traces

_TAGS = [
    {"name": "uploads", "description": "Files on their way in."},
    {"name": "generators", "description": "StyleGAN2 checkpoints."},
    {"name": "encoders", "description": "pSp, e4e and ReStyle: where inversions may start."},
    {"name": "datasets", "description": "Labelled real images: a few dozen are enough."},
    {"name": "inversions", "description": "Where those images lie in a generator."},
    {"name": "label-generators", "description": "Ensembles that label whatever is generated."},
    {"name": "generations", "description": "Labelled images without end, in shards."},
    {"name": "evaluations", "description": "What generated labels are worth."},
    {"name": "jobs", "description": "All work that takes time."},
    {"name": "webhooks", "description": "Be told how jobs end, without asking."},
    {"name": "health", "description": "For those who keep the service running."},
]
_DESCRIPTION = """\
From a pretrained StyleGAN2 and a few dozen labelled images to an endless labelled dataset.

Whatever takes time is answered with 202, the resource that will be, and the job that makes it.
Poll the job (`?wait=`, `ETag`) or follow its events. Every refusal is a problem body (RFC 9457)
with a stable `code`. Requests that create take an `Idempotency-Key`."""


class Api(FastAPI):
    """The application; its OpenAPI document knows what a problem looks like."""

    def openapi(self) -> dict[str, Any]:
        """The document, with the schemas that the declared refusals refer to."""
        document = super().openapi()
        document["components"]["schemas"] |= problem_schemas()
        declare_keys(document)
        return document


def create_app(settings: ServiceSettings, services: Services | None = None) -> FastAPI:
    """The application.

    Args:
        settings: what it is told from outside.
        services: its parts, where they are not to be built from the settings.
    """
    services = services or connect_services(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.door.look()
        yield
        await services.close()

    app = Api(
        title="HandsOff",
        version=version("handsoff"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # A body that is sent to be redirected is sent twice.
        telemetry=_telemetry(services.traces),
    )
    app.state.services = services
    add_problem_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit=_body_limit(settings))
    app.add_middleware(TenantLimits, rate=services.rate, quotas=services.quotas)
    app.add_middleware(HostCheck, allow_remote=settings.allow_remote)
    app.add_middleware(Authentication, door=services.door)
    app.add_middleware(RequestContext, metrics=services.metrics, traces=services.traces)
    app.include_router(uploads.router)
    for resource in (
        generators,
        encoders,
        datasets,
        inversions,
        label_generators,
        generations,
        evaluations,
    ):
        app.include_router(resource.router)
        app.include_router(files_router(resource.COLLECTION))
    app.include_router(jobs.router)
    app.include_router(webhooks.router)
    app.include_router(health.router)
    return app


def _telemetry(traces: Traces) -> TelemetryConfig:
    """What FastAPI tells of requests: spans, where traces are wanted; nothing of its own accord."""
    return TelemetryConfig(
        tracer_provider=traces.provider,
        tracing=traces.provider is not None,
        metrics=False,  # Ours are Prometheus's.
        logs=False,
        operation_spans=False,
        auto_configure=False,
        exclude=lambda scope: scope.get("path") in QUIET,
    )


def _body_limit(settings: ServiceSettings) -> Callable[[str, str], int]:
    """How many bytes a request may bring, by its method and path."""
    larger = (
        ("PUT", re.compile(r"/v1/uploads/[^/]+/content"), settings.max_upload_bytes),
        ("POST", re.compile(r"/v1/datasets/[^/]+/items"), settings.max_item_bytes),
    )

    def limit(method: str, path: str) -> int:
        for its_method, its_path, its_limit in larger:
            if method == its_method and its_path.fullmatch(path):
                return its_limit
        return settings.max_body_bytes

    return limit

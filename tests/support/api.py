"""A client of the API in this process, which can also play the workers; and what it sends."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import anyio.from_thread
import httpx
import numpy as np
import structlog
from PIL import Image

from service.app import create_app
from service.services import Services
from service.settings import ServiceSettings
from workers import keys
from workers.job_store import JobStore
from workers.jobs import JobError, JobRecord, JobState
from workers.orchestrator import Orchestrator
from workers.parts import Parts, open_parts
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

LABEL = {"kind": "segmentation", "classes": ["background", "shape"]}
CARD = {
    "schema_version": 1,
    "preview": "attempts/1/preview.png",
    "throughput": {"images_per_second": 4.0, "bytes_per_sample": 1000.0, "device": "cpu"},
}


@dataclass
class Api:
    """
    A client of the application, in this process and without a socket.
    """

    services: Services
    send: Any
    logs: list[dict[str, Any]] = field(default_factory=list)

    def get(self, path: str, **options) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, json: Any = None, **options) -> httpx.Response:
        return self.send("POST", path, json=json, **options)

    def put(self, path: str, **options) -> httpx.Response:
        return self.send("PUT", path, **options)

    def delete(self, path: str, **options) -> httpx.Response:
        return self.send("DELETE", path, **options)

    # What many tests need before they can begin.

    def upload(self, content: bytes = b"bytes", filename: str = "file.bin") -> str:
        made = self.post("/v1/uploads", {"filename": filename}).json()
        sent = self.put(f"/v1/uploads/{made['id']}/content", content=content)
        assert sent.status_code == 200, sent.text
        return made["id"]

    def generator(self) -> str:
        return self.made("generators", {"upload_id": self.upload()})

    def open_dataset(self) -> str:
        return self.made("datasets", {"label": LABEL})

    def dataset(self) -> str:
        dataset = self.open_dataset()
        self.add_item(dataset)
        assert self.post(f"/v1/datasets/{dataset}/seal").status_code == 202
        return dataset

    def inversion(self) -> str:
        body = {"dataset_id": self.dataset(), "generator_id": self.generator()}
        return self.made("inversions", body)

    def label_generator(self) -> str:
        return self.made("label-generators", {"inversion_id": self.inversion()})

    def made(self, collection: str, body: dict[str, Any]) -> str:
        answer = self.post(f"/v1/{collection}", body)
        assert answer.status_code in {201, 202}, answer.text
        return answer.json()["id"]

    def add_item(self, dataset: str, image: bytes = b"", mask: bytes = b"", **options):
        files = {
            "image": ("one.png", image or picture()),
            "label": ("one-mask.png", mask or mask_of(1)),
        }
        return self.post(f"/v1/datasets/{dataset}/items", files=files, **options)

    # What the workers would do.

    def finish(self, collection: str, resource: str, final: dict[str, Any] | None = None) -> None:
        """
        Write a resource's last document and let its job succeed.
        """
        self.run(resource)
        place = keys.final("default", collection, resource)
        self.services.store.put(place, canonical_json(final or {"schema_version": 1}))
        self.step(resource, JobState.SUCCEEDED)

    def run(self, resource: str) -> JobRecord:
        """
        Let a resource's job begin.
        """
        return self.step(resource, JobState.RUNNING)

    def step(self, resource: str, state: JobState, error: JobError | None = None) -> JobRecord:
        """
        Let a resource's job take a step.
        """
        job = f"job_{resource.partition('_')[2]}"
        now = datetime.now(UTC)
        return self.services.jobs.change("default", job, lambda r: r.step(state, now, error))

    def put_file(self, collection: str, resource: str, path: str, data: bytes) -> None:
        self.services.store.put(keys.inside("default", collection, resource, path), data)

    def stored(self) -> list[str]:
        """
        The keys of everything in the bucket.
        """
        return [info.key for info in self.services.store.list("")]


def picture(height: int = 8, width: int = 8, value: int = 90) -> bytes:
    """
    A PNG in one colour.
    """
    return _png(np.full((height, width, 3), value, np.uint8))


def mask_of(value: int, height: int = 8, width: int = 8) -> bytes:
    """
    A mask of one class.
    """
    return _png(np.full((height, width), value, np.uint8))


def _png(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    Image.fromarray(array).save(target, "PNG")
    return target.getvalue()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """
    The problem body of a refusal, once its form has been checked.
    """
    assert (status, code) == (answer.status_code, answer.json().get("code")), answer.text
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert status == body["status"]
    assert answer.headers["x-request-id"] == body["request_id"]
    assert f"urn:handsoff:problem:{code}" == body["type"]
    assert body["title"]
    assert body["detail"]
    json.dumps(body, allow_nan=False)
    return body


def parts_on(settings: ServiceSettings, store: ObjectStore) -> Parts:
    """
    The parts of the settings, but with another bucket.
    """
    parts = open_parts(settings, retries=1)
    jobs = JobStore(parts.redis, store)
    orchestrator = Orchestrator(jobs, parts.queue, store)
    return replace(parts, store=store, jobs=jobs, orchestrator=orchestrator)


def serve(settings: ServiceSettings, services: Services) -> Iterator[Api]:
    """
    A client of an application with these parts, until it is no longer wanted.
    """
    app = create_app(settings, services)
    merge = structlog.contextvars.merge_contextvars
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        structlog.testing.capture_logs(processors=[merge]) as logs,
    ):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://testserver")

        def send(method: str, path: str, **options) -> httpx.Response:
            return portal.call(lambda: client.request(method, path, **options))

        yield Api(services, send, logs)
        portal.call(client.aclose)
        portal.call(services.close)

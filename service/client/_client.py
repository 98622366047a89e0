"""The front door: one object that holds a connection and everything that can be asked of it."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import httpx

from service.client._datasets import Datasets
from service.client._download import Download, write_whole
from service.client._errors import Misused
from service.client._jobs import Jobs, OnProgress
from service.client._models import File, Job, Resource, collection_of
from service.client._resources import (
    Collection,
    Encoders,
    Evaluations,
    Generations,
    Generators,
    Inversions,
    LabelGenerators,
    Reference,
    id_of,
)
from service.client._transport import Transport
from service.client._uploads import OnBytes, Uploads
from service.client._webhooks import Webhooks

MANIFEST = "manifest.json"
READY = "ready"


class Client:
    """A HandsOff service, as Python sees it.

        with Client("http://127.0.0.1:8000") as handsoff:
            generator = handsoff.generators.create("ffhq.pkl", name="FFHQ", licence="…")
            dataset = handsoff.datasets.create(["background", "face"], archive="faces.zip")
            inversion = handsoff.inversions.create(dataset, generator)
            labels = handsoff.label_generators.create(inversion)
            generation = handsoff.wait(handsoff.generations.create(labels, 10_000, seed=1))
            handsoff.fetch(generation, "faces-10k")

    A resource may be named before it is ready: its successors wait for it.

    Args:
        base_url: where the service is, e.g. `http://127.0.0.1:8000`.
        api_key: sent as a bearer token, to the service only, never to a bucket; by default the
            environment's HANDSOFF_API_KEY, where there is one.
        attempts: how often a request is sent while nobody answers or the service is busy.
        transport: in place of the network; for tests.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        attempts: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        api_key = api_key or os.environ.get("HANDSOFF_API_KEY")
        self._http = httpx.Client(
            base_url=base_url,
            auth=_KeyForOneOrigin(base_url, api_key) if api_key else None,
            headers={"User-Agent": "handsoff-client"},
            timeout=httpx.Timeout(60, connect=5),
            # A proxy of the environment is for other hosts than this one.
            mounts=dict.fromkeys(("all://127.0.0.1", "all://[::1]", "all://localhost")),
            transport=transport,
        )
        self.transport = Transport(self._http, attempts=attempts)
        self.jobs = Jobs(self.transport)
        self.uploads = Uploads(self.transport)
        self.webhooks = Webhooks(self.transport)
        self.generators = Generators(self.transport, self.uploads)
        self.encoders = Encoders(self.transport, self.uploads)
        self.datasets = Datasets(self.transport, self.uploads)
        self.inversions = Inversions(self.transport, self.uploads)
        self.label_generators = LabelGenerators(self.transport, self.uploads)
        self.generations = Generations(self.transport, self.uploads)
        self.evaluations = Evaluations(self.transport, self.uploads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    @property
    def url(self) -> str:
        """Where the service is."""
        return str(self._http.base_url)

    def collection(self, resource: Reference) -> Collection:
        """The collection that a resource belongs to, told by its id.

        Raises:
            Misused: the id is none of a resource.
        """
        name = collection_of(id_of(resource))
        collection = getattr(self, name.replace("-", "_"))
        assert isinstance(collection, Collection)
        return collection

    @overload
    def wait(
        self, what: Resource, on_progress: OnProgress | None = None, timeout: float | None = None
    ) -> Resource: ...

    @overload
    def wait(
        self, what: Job | str, on_progress: OnProgress | None = None, timeout: float | None = None
    ) -> Job: ...

    def wait(
        self,
        what: Resource | Job | str,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> Resource | Job:
        """Wait for a job, or for the job that makes a resource ready.

        Args:
            what: a job, a job's id, or a resource.
            on_progress: called with the job at first and after every change.
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            The finished job; or, for a resource, the ready resource with its result.

        Raises:
            JobFailed, JobCancelled, Timeout, ConnectionFailed: as `Jobs.wait` says.
            Misused: the resource has no job, for it is a dataset that has not been sealed.
        """
        if not isinstance(what, Resource):
            return self.jobs.wait(what, on_progress, timeout)
        if what.job is None:
            raise Misused(f"{what.id} is {what.state}: no job makes it ready; seal it first")
        self.jobs.wait(what.job.id, on_progress, timeout)
        return self.collection(what).get(what)

    def fetch(
        self,
        resource: Reference,
        folder: str | os.PathLike[str],
        on_bytes: OnBytes | None = None,
        parallel: int = 4,
    ) -> Path:
        """Download all files of a resource, of a generation first of all.

        Call it again after an interruption: what is there with the right digest stays, half a
        file is continued. A generation's `manifest.json` is put there last, in one step.

        Args:
            resource: a ready one.
            folder: where its files go; made if it is not there.
            on_bytes: called with the bytes so far and in all.
            parallel: connections at a time.

        Returns:
            The folder.

        Raises:
            NotFound: there is no such resource.
            Misused: it is not ready.
            CorruptDownload: a file differs from its digest.
        """
        collection = self.collection(resource)
        state = collection.get(resource).state
        if state != READY:
            raise Misused(f"{id_of(resource)} is {state}; only what is ready can be fetched")
        target = Path(folder)
        url = f"/v1/{collection.name}/{id_of(resource)}/files"
        download = Download(self.transport, url, target, on_bytes, parallel)
        if not isinstance(collection, Generations):
            download.run(collection.files(resource))
            return target
        manifest = collection.read(resource, MANIFEST)
        last = target / MANIFEST
        if last.exists() and last.read_bytes() != manifest:
            last.unlink()  # It would call a folder complete that is about to change.
        download.run(_files_of(manifest))
        write_whole(last, manifest)
        return target


def _files_of(manifest: bytes) -> list[File]:
    """Every file that a generation's manifest names, once each."""
    content = json.loads(manifest)
    named = [*content["shards"], *content.get("files", [])]
    by_path = {entry["path"]: File.model_validate(entry) for entry in named}
    by_path.pop(MANIFEST, None)
    return list(by_path.values())


class _KeyForOneOrigin(httpx.Auth):
    """Adds the API key to requests for the service only, for uploads may go to a bucket.

    Nor is it sent in the clear to a service that is reached through TLS.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        self._origin = _origin(httpx.URL(base_url))
        self._header = f"Bearer {api_key}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if _origin(request.url) == self._origin:
            request.headers["Authorization"] = self._header
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # The scheme's own port is None, spelt out or not.

"""Resources as the API shows them: their first document, their job, their last document.

What is stored says nothing of states; a resource's state follows from what is there, so that it
cannot disagree with it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from service.errors import FieldError, NotReady, Unprocessable, WasDeleted
from service.index import ResourceIndex
from service.schemas import JobBody, ResourceBody, ResourceState
from workers import keys
from workers.errors import NotFound, ObjectNotFound
from workers.job_store import JobStore
from workers.jobs import JobKind, JobRecord, JobState, Origin
from workers.orchestrator import Orchestrator
from workers.params import Params
from workers.resources import Resource
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json
from workers.tracing import Traces

_STATES = {
    JobState.QUEUED: ResourceState.PENDING,
    JobState.RUNNING: ResourceState.RUNNING,
    # Its last document is on its way, if it is not there.
    JobState.SUCCEEDED: ResourceState.RUNNING,
    JobState.FAILED: ResourceState.FAILED,
    JobState.CANCELLED: ResourceState.CANCELLED,
}
_ID = re.compile(r"([a-z]+)_[0-9a-z]{1,64}")
_COLLECTION = {prefix: collection for collection, prefix in keys.PREFIX.items()}


@dataclass(frozen=True)
class View:
    """A resource as it stands; `final` is its last document, where it is ready and was read."""

    resource: Resource
    job: JobRecord | None
    state: ResourceState
    final: dict[str, Any] | None = None


@dataclass(frozen=True)
class Parent:
    """A resource that something is made of; `waits_for` is its job while that is under way."""

    view: View
    waits_for: str | None

    @property
    def id(self) -> str:
        """The parent's id."""
        return self.view.resource.id


@dataclass(frozen=True)
class Draft:
    """A resource that has been judged fit to be made, and the job that makes it ready.

    Attributes:
        kind: what the job does; None where there is no job yet.
        after: ids of the jobs that must succeed first.
    """

    tenant: str
    collection: str
    id: str
    spec: Params
    kind: JobKind | None
    name: str = ""
    licence: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    def resource(self, created_at: datetime) -> Resource:
        """The first document."""
        return Resource(
            id=self.id,
            tenant=self.tenant,
            collection=self.collection,
            name=self.name,
            licence=self.licence,
            created_at=created_at,
            job_id=job_id_of(self.id) if self.kind else None,
            parents=dict(self.parents),
            spec=self.spec.model_dump(mode="json"),
        )


def noun(collection: str) -> str:
    """What one of a collection is called: `label generator` of `label-generators`."""
    return collection.removesuffix("s").replace("-", " ")


def job_id_of(resource_id: str) -> str:
    """The id of the job that makes a resource: it follows from the resource's own."""
    return f"{keys.PREFIX['jobs']}_{resource_id.partition('_')[2]}"


def state_of(job: JobRecord | None, job_id: str | None, is_final: bool) -> ResourceState:
    """A resource's state, from its job and whether its last document is there."""
    if is_final:
        return ResourceState.READY
    if job is not None:
        return _STATES[job.state]
    # Named but unknown: the service died between the two writes; the same request finishes it.
    return ResourceState.PENDING if job_id else ResourceState.OPEN


def body_of(view: View) -> ResourceBody:
    """The wire shape of a resource."""
    resource = view.resource
    here = f"/v1/{resource.collection}/{resource.id}"
    links = {"self": here, "files": f"{here}/files"}
    if view.job is not None:
        links["job"] = f"/v1/jobs/{resource.job_id}"
    return ResourceBody(
        **resource.model_dump(include=set(ResourceBody.model_fields) & set(Resource.model_fields)),
        state=view.state,
        job=JobBody.of(view.job) if view.job else None,
        result=view.final,
        links=links,
    )


class Resources:
    """Reads and makes resources.

    Args:
        store: the bucket.
        jobs: the job records.
        orchestrator: starts jobs.
        index: the order of lists.
        was_removed: whether a tenant's resource of some id was deleted lately.
        traces: where spans of accepted jobs go.
    """

    def __init__(
        self,
        store: ObjectStore,
        jobs: JobStore,
        orchestrator: Orchestrator,
        index: ResourceIndex,
        was_removed: Callable[[str, str], bool],
        traces: Traces,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._orchestrator = orchestrator
        self._index = index
        self._was_removed = was_removed
        self._traces = traces

    def load(self, tenant: str, collection: str, resource_id: str) -> Resource:
        """A resource's first document.

        Raises:
            NotFound: there is no such resource, in words that name it.
        """
        missing = NotFound(f"there is no {noun(collection)} {resource_id[:80]!r}")
        if _collection_of(resource_id) != collection:
            raise missing
        try:
            document = self._store.get(keys.description(tenant, collection, resource_id))
        except ObjectNotFound as error:
            raise missing from error
        return Resource.model_validate_json(document)

    def view(self, tenant: str, collection: str, resource_id: str) -> View:
        """A resource as it stands, with its last document where it is ready.

        Raises:
            NotFound: there is no such resource.
        """
        resource = self.load(tenant, collection, resource_id)
        # First: a job that has succeeded has written its last document.
        job = self._jobs.find(resource.tenant, resource.job_id)
        final = self.final(resource)
        return View(resource, job, state_of(job, resource.job_id, final is not None), final)

    def find(self, tenant: str, collection: str, resource_id: str) -> View | None:
        """The same, or None where it is not all there: no document, or no job that it names."""
        try:
            view = self.view(tenant, collection, resource_id)
        except NotFound:
            return None
        is_started = view.job is not None or view.resource.job_id is None
        return view if is_started or view.final is not None else None

    def page(
        self, tenant: str, collection: str, limit: int, after: str | None
    ) -> tuple[list[View], str | None]:
        """The next `limit` resources, newest first and without their last documents.

        Raises:
            Unprocessable: `after` is no cursor of this list.
        """
        found, cursor = self._index.page(tenant, collection, limit, after)
        views = []
        for resource_id in found:
            try:
                resource = self.load(tenant, collection, resource_id)
            except NotFound:
                continue  # Noted in the index, never written.
            job = self._jobs.find(resource.tenant, resource.job_id)
            views.append(
                View(resource, job, state_of(job, resource.job_id, self._is_final(resource, job)))
            )
        return views, cursor

    def final(self, resource: Resource) -> dict[str, Any] | None:
        """A resource's last document, None while it is not written."""
        place = keys.final(resource.tenant, resource.collection, resource.id)
        try:
            document: dict[str, Any] = json.loads(self._store.get(place))
        except ObjectNotFound:
            return None
        return document

    def parent(self, tenant: str, collection: str, resource_id: str, field: str) -> Parent:
        """A resource that something is to be made of.

        Args:
            tenant: whose it is.
            collection: what it must be.
            resource_id: what the request says.
            field: the request's field that says so, as a JSON pointer, e.g. `/generator_id`.

        Raises:
            Unprocessable: the id names something of another collection.
            NotFound: there is no such resource.
            NotReady: it is neither ready nor on its way to it.
        """
        check_collection(resource_id, collection, field)
        view = self.view(tenant, collection, resource_id)
        if view.state is ResourceState.READY:
            return Parent(view, None)
        if view.job is None or view.job.state.is_terminal:
            raise _not_ready(view, field)
        return Parent(view, view.job.id)

    def start(self, draft: Draft, created_at: datetime) -> View:
        """Make a resource and start its job; doing it twice is harmless.

        Raises:
            WasDeleted: it was made, and has been deleted since.
        """
        resource = draft.resource(created_at)
        tenant, collection = resource.tenant, resource.collection
        self.refuse_deleted(tenant, resource.id)
        self._index.add(tenant, collection, resource.id, created_at)
        if draft.kind is None:
            document = canonical_json(resource.model_dump(mode="json"))
            # If absent: a repetition must not reopen a dataset that was sealed in between.
            self._store.put_if_absent(keys.description(tenant, collection, resource.id), document)
            return self.view(tenant, collection, resource.id)
        return self.submit(resource, draft.kind, draft.after)

    def refuse_deleted(self, tenant: str, resource_id: str) -> None:
        """Refuse to make again what was deleted.

        Raises:
            WasDeleted: it was, lately.
        """
        if self._was_removed(tenant, resource_id):
            raise WasDeleted(
                f"{resource_id}, which this Idempotency-Key made, has been deleted",
                "send the request under a new key",
            )

    def submit(self, resource: Resource, kind: JobKind, after: Sequence[str] = ()) -> View:
        """Start the job that makes a resource ready."""
        asked_by = structlog.contextvars.get_contextvars().get("request_id", "")
        origin = Origin(request_id=asked_by, traceparent=self._traces.traceparent())
        about = {"tenant": resource.tenant, "job": resource.job_id or "", "kind": str(kind)}
        with self._traces.span("job accepted", about | {"request_id": asked_by}):
            job = self._orchestrator.submit(resource, kind, after, origin)
        return View(resource, job, state_of(job, resource.job_id, is_final=False))

    def _is_final(self, resource: Resource, job: JobRecord | None) -> bool:
        """Whether its last document is there, without asking where its job says so."""
        if job is not None or resource.job_id is None:
            return job is not None and job.state is JobState.SUCCEEDED
        # Jobs of what is ready are forgotten in the end.
        place = keys.final(resource.tenant, resource.collection, resource.id)
        return self._store.size(place) is not None


def check_collection(resource_id: str, collection: str, field: str) -> None:
    """Refuse an id that names something of another collection.

    Raises:
        Unprocessable: it does, or it is no id at all.
    """
    found = _collection_of(resource_id)
    if found == collection:
        return
    what = f"names {_one(found)}" if found else "is no id"
    wanted = f"{resource_id[:80]!r} {what}; {_one(collection)} is wanted"
    name = field.lstrip("/").replace("/", ".")
    remedy = f"give the id of {_one(collection)}: {keys.PREFIX[collection]}_…"
    raise Unprocessable(f"{name}: {wanted}", remedy, [FieldError(field, wanted)])


def waits(parents: Iterable[Parent]) -> tuple[str, ...]:
    """The jobs that must succeed before something can be made of these parents."""
    jobs = [parent.waits_for for parent in parents if parent.waits_for is not None]
    return tuple(dict.fromkeys(jobs))


def _collection_of(resource_id: str) -> str | None:
    match = _ID.fullmatch(resource_id)
    return _COLLECTION.get(match[1]) if match else None


def _one(collection: str) -> str:
    name = noun(collection)
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _not_ready(view: View, field: str) -> NotReady:
    thing = f"{noun(view.resource.collection)} {view.resource.id}"
    detail = f"{thing} is {view.state}"
    remedy = "make it anew, or name another"
    if view.state is ResourceState.OPEN:
        remedy = f"seal it first: POST /v1/datasets/{view.resource.id}/seal"
    elif view.job is not None and view.job.error is not None:
        detail += f": {view.job.error.message}"
    return NotReady(detail, remedy, [FieldError(field, f"is {view.state}")])

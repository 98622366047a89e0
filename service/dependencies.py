"""What routes are handed: the services, whose request it is, and how to make things once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from service.auth import CurrentCaller
from service.door import Caller
from service.estimates import estimate
from service.idempotency import KeyedRequest, fingerprint, id_for
from service.resources import Draft, Parent, View, body_of, job_id_of
from service.schemas import ResourceBody
from service.services import Services
from workers.params import GenerationParams

T = TypeVar("T")

RETRY_AFTER = "2"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="a word of the client's choosing; the same request under the same word is "
        "answered as before and makes nothing new",
    ),
]


def get_services(request: Request) -> Services:
    """The services of the application that the request came to."""
    services: Services = request.app.state.services
    return services


App = Annotated[Services, Depends(get_services)]


@dataclass(frozen=True)
class Call:
    """A request that makes something."""

    app: Services
    caller: Caller
    key: str | None
    path: str

    @property
    def tenant(self) -> str:
        """For whom it is."""
        return self.caller.tenant

    def once(
        self,
        collection: str,
        body: Mapping[str, Any],
        find: Callable[[str], T | None],
        prepare: Callable[[str], Callable[[datetime], T]],
        made: str | None = None,
    ) -> tuple[T, bool]:
        """Make a thing, or find it made by the same request; see `Idempotency.once`.

        Args:
            collection: of what is made.
            body: what was asked for, parsed.
            find: what has that id, complete; else None.
            prepare: judges the request and returns what makes the thing.
            made: the thing's id, where it is not a new thing.

        Raises:
            QuotaExceeded: it announces more bytes than the tenant may store.
        """

        def judged(new_id: str) -> Callable[[datetime], T]:
            if collection == "uploads":  # The bytes may go past us, to the bucket.
                size = body["size"] or 0
                self.app.quotas.admit_bytes(self.tenant, self.caller.quota, size)
            return prepare(new_id)

        request = KeyedRequest(
            tenant=self.tenant,
            key=self.key,
            made=made or id_for(collection, self.tenant, self.key),
            fingerprint=fingerprint(self.path, body),
        )
        return self.app.idempotency.once(request, find, judged)

    def parents(self, wanted: Mapping[str, tuple[str, str]]) -> dict[str, Parent]:
        """What something is to be made of.

        Args:
            wanted: collection and id by role; the request's field is called `{role}_id`.

        Raises:
            Unprocessable, NotFound, NotReady: see `Resources.parent`.
        """
        find = self.app.resources.parent
        return {
            role: find(self.tenant, collection, resource_id, f"/{role}_id")
            for role, (collection, resource_id) in wanted.items()
        }

    def make(
        self,
        collection: str,
        body: Mapping[str, Any],
        judge: Callable[[str], Sequence[Draft]],
    ) -> tuple[View, bool]:
        """Make a resource once, and whether it was there before.

        Args:
            collection: of what is made.
            body: what was asked for, parsed.
            judge: given the new resource's id, what is to be made, that resource last; raises
                what speaks against it.
        """

        def prepare(made: str) -> Callable[[datetime], View]:
            drafts = judge(made)
            self._check(drafts)

            def start(at: datetime) -> View:
                return [self.app.resources.start(draft, at) for draft in drafts][-1]

            return self.admitted([draft.id for draft in drafts if draft.kind], start)

        def find(made: str) -> View | None:
            return self.app.resources.find(self.tenant, collection, made)

        return self.once(collection, body, find, prepare)

    def admitted(
        self, resource_ids: Sequence[str], start: Callable[[datetime], T]
    ) -> Callable[[datetime], T]:
        """`start`, which makes the jobs of these resources, once the tenant may have more jobs.

        Raises:
            TooManyJobs: it may not.
        """
        quota, jobs = self.caller.quota, [job_id_of(each) for each in resource_ids]
        self.app.quotas.admit_jobs(self.tenant, quota, jobs)

        def started(at: datetime) -> T:
            try:
                return start(at)
            finally:
                self.app.quotas.jobs_made(self.tenant, quota, jobs)

        return started

    def _check(self, drafts: Sequence[Draft]) -> None:
        """Refuse generations that are larger than the tenant's quota.

        Raises:
            QuotaExceeded: by its images, or by the bytes that it will probably take.
        """
        for draft in drafts:
            if isinstance(draft.spec, GenerationParams):
                self.app.quotas.check_images(self.caller.quota, draft.spec.count)
                self.app.quotas.admit_bytes(self.tenant, self.caller.quota, self._bytes(draft.spec))

    def _bytes(self, params: GenerationParams) -> int:
        """What a generation will take in the bucket; 0 where that is not known, or no matter."""
        if not self.caller.quota.bytes:
            return 0
        view, ids = self.app.resources.view, params.label_generator_ids
        cards = {each: view(self.tenant, "label-generators", each).final for each in ids}
        return estimate(params, cards, None).bytes or 0


def get_call(
    request: Request, app: App, caller: CurrentCaller, idempotency_key: IdempotencyKey = None
) -> Call:
    """The call that a request is."""
    return Call(app, caller, idempotency_key, request.url.path)


Making = Annotated[Call, Depends(get_call)]


def created(response: Response, made: tuple[View, bool]) -> ResourceBody:
    """The answer to a request that made a resource: 202 where a job makes it ready, else 201."""
    view, replayed = made
    body = body_of(view)
    response.status_code = 202 if view.job is not None else 201
    response.headers["Location"] = body.links["self"]
    if view.job is not None:
        response.headers["Retry-After"] = RETRY_AFTER
    mark_replay(response, replayed)
    return body


def mark_replay(response: Response, replayed: bool) -> None:
    """Say that nothing new was made."""
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"

"""What belongs to another tenant is not there: every route, every id, every list.

The routes are taken from the application itself. One that nobody told this module how to ask
fails here, so that a new route cannot be forgotten.
"""

import re
from dataclasses import dataclass

import pytest
from fastapi.routing import iter_route_contexts
from support.api import Api, mask_of, picture
from support.tenants import as_tenant

from service.app import create_app
from service.auth import OPEN_PATHS
from workers import ids

PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
ROOT = "/v1/"
# Lists hold only what is one's own; these routes below /v1 without an id are no lists.
NO_LISTS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Route:
    """
    One method of one path.
    """

    method: str
    path: str

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def collection(self) -> str:
        return self.path.removeprefix(ROOT).split("/")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture
def routes(settings, services) -> list[Route]:
    """
    Everything that the application answers to.
    """
    contexts = iter_route_contexts(create_app(settings, services).routes)
    return [Route(m, c.path) for c in contexts for m in sorted(c.methods or ())]


@pytest.fixture
def owner(api) -> Api:
    """
    Who has something of everything.
    """
    return as_tenant(api, "default")


@pytest.fixture
def stranger(api, owner) -> Api:
    """
    Who has nothing.
    """
    return as_tenant(api, "stranger")


@pytest.fixture
def owned(owner) -> dict[str, str]:
    """
    Ids of the owner's things, by collection.
    """
    things = things_of(owner)
    dataset, generation = things["datasets"], things["generations"]
    tested = {"validation_dataset_id": dataset, "test_dataset_id": dataset}
    evaluation = owner.made("evaluations", {"generation_id": generation, **tested})
    open_dataset = owner.open_dataset()
    owner.add_item(open_dataset)
    webhook = owner.made("webhooks", {"url": "https://93.184.216.34/hook"})
    return {
        **things,
        "datasets": open_dataset,
        "evaluations": evaluation,
        "jobs": f"job_{generation.partition('_')[2]}",
        "webhooks": webhook,
    }


def address(route: Route, owned: dict[str, str]) -> str:
    """
    A route's path with the owner's ids in it.
    """
    others = {"key": "one", "path": "items/one.png"}

    def value(parameter: str) -> str:
        if parameter in others:
            return others[parameter]
        known = parameter.endswith("_id") and route.collection in owned
        assert known, f"{route}: say in this test what {parameter!r} stands for"
        return owned[route.collection]

    return PARAMETER.sub(lambda match: value(match[1]), route.path)


def ask(api: Api, route: Route, path: str):
    """
    Ask with whatever body the route wants to see before it looks at the id.
    """
    if route.path.endswith("/items"):
        files = {"image": ("new.png", picture()), "label": ("new.png", mask_of(1))}
        return api.send(route.method, path, files=files)
    if route.path.endswith("/content"):
        return api.send(route.method, path, content=b"overwritten")
    return api.send(route.method, path)


def told(answer, name: str) -> dict:
    """
    All that a refusal tells, but for the name of what was asked for.
    """
    body = {**answer.json(), "request_id": ""} if answer.content else {}
    headers = {k: v for k, v in answer.headers.items() if k not in {"x-request-id", "date"}}
    headers.pop("content-length", None)
    spelt = {key: str(value).replace(name, "ID") for key, value in body.items()}
    return {"status": answer.status_code, "headers": headers, **spelt}


def test_no_route_with_an_id_tells_of_another_tenant_s(routes, owner, stranger, owned):
    """
    Every route that takes an id answers for a stranger's as if it did not exist, word for word;
    and to the owner it does answer, or this would show nothing.
    """
    asked = [route for route in routes if route.parameters]
    before = sorted(owner.stored())
    for route in asked:
        there = address(route, owned)
        mine = owned[route.collection]
        nobody_s = mine[:4] + "0" * 26
        foreign = ask(stranger, route, there)
        missing = ask(stranger, route, there.replace(mine, nobody_s))

        assert foreign.status_code == 404, (str(route), foreign.text)
        assert told(foreign, mine) == told(missing, nobody_s), str(route)
        if route.method == "GET" and not {"path"} & set(route.parameters):
            found = owner.send("HEAD", there) if "/events" in there else owner.get(there)
            assert found.status_code != 404 or "preview" in there, str(route)
    assert len(asked) > 30
    assert before == sorted(owner.stored())
    assert owner.get(f"/v1/datasets/{owned['datasets']}/files/items/one.png").status_code == 200


def test_lists_hold_only_what_is_one_s_own(routes, owner, stranger, owned):
    """
    Every list is empty for who has nothing, and not for the owner.
    """
    lists = [r for r in routes if r.method == "GET" and r.path.startswith(ROOT)]
    lists = [r for r in lists if not r.parameters and r.path not in NO_LISTS]
    for route in lists:
        assert stranger.get(route.path).json()["data"] == [], str(route)
        assert owner.get(route.path).json()["data"], str(route)
    assert {r.collection for r in lists} == set(owned) - {"uploads"}


def test_without_a_key_there_is_nothing(api, routes, owner, owned):
    """
    Of all routes only those that are open answer to nobody in particular; what does not exist
    is refused no differently.
    """
    closed = [route for route in routes if route.path not in OPEN_PATHS]
    for route in [*closed, Route("GET", "/v1/no-such-route"), Route("TRACE", "/")]:
        refused = ask(api, route, address(route, owned) if route.parameters else route.path)

        assert refused.status_code == 401, str(route)
        assert refused.headers["www-authenticate"].startswith("Bearer"), str(route)
    assert {route.path for route in routes} - {route.path for route in closed} == OPEN_PATHS
    for path in OPEN_PATHS:
        assert api.get(path).status_code == 200


LABEL_SPEC = {"label": {"kind": "segmentation", "classes": ["background", "shape"]}}
REQUESTS = [
    ("GeneratorRequest", "generators", {}, ["upload_id"]),
    ("EncoderRequest", "encoders", {}, ["upload_id"]),
    ("EncoderTrainingRequest", "encoders/train", {}, ["generator_id", "dataset_id"]),
    ("DatasetRequest", "datasets", LABEL_SPEC, ["upload_id"]),
    ("InversionRequest", "inversions", {}, ["dataset_id", "generator_id", "encoder_id"]),
    ("InversionRequest", "inversions", {}, ["dataset_id", "generator_id", "latents_upload_id"]),
    ("LabelGeneratorRequest", "label-generators", {}, ["inversion_id"]),
    ("LabelGeneratorRequest", "label-generators", {}, ["like"]),
    (
        "LabelGeneratorRequest",
        "label-generators",
        {},
        ["dataset_id", "generator_id", "encoder_id"],
    ),
    ("GenerationRequest", "generations", {"count": 4}, ["label_generator_ids"]),
    (
        "EvaluationRequest",
        "evaluations",
        {},
        ["generation_id", "validation_dataset_id", "test_dataset_id"],
    ),
    (
        "EvaluationRequest",
        "evaluations",
        {},
        ["dataset_id", "validation_dataset_id", "test_dataset_id"],
    ),
]
"""Requests that name things: where they go, what else they need, and which fields name."""
NAMES = re.compile(r".+_ids?|like")


def test_every_field_that_names_things_is_known(owner):
    """
    The document of the API has no request with a field that the next test leaves out.
    """
    schemas = owner.get("/openapi.json").json()["components"]["schemas"]
    said = {
        schema: {name for name in schemas[schema]["properties"] if NAMES.fullmatch(name)}
        for schema in schemas
        if schema.endswith("Request")
    }
    known: dict[str, set[str]] = {schema: set() for schema in said}
    for schema, _, _, fields in REQUESTS:
        known[schema] |= set(fields)

    assert known == said


def test_no_request_can_name_another_tenant_s_things(owner, stranger, owned):
    """
    A stranger who has all that a request needs, but names one thing of somebody else's in it, is
    told that there is no such thing.
    """
    own = things_of(stranger)
    for _, path, more, fields in REQUESTS:
        for field in fields:
            theirs = thing(owned, field)
            named = {each: thing(own, each) for each in fields} | {field: theirs}
            body = {f: [i] if f.endswith("_ids") else i for f, i in named.items()}

            refused = stranger.post(f"/v1/{path}", {**more, **body})

            assert refused.status_code == 404, (path, field, refused.text)
            assert theirs in refused.json()["detail"], (path, field)


def things_of(client: Api) -> dict[str, str]:
    """
    One of everything that a request may name, by collection.
    """
    inversion = client.get(f"/v1/inversions/{client.inversion()}").json()
    labels = client.made("label-generators", {"inversion_id": inversion["id"]})
    generation = client.made("generations", {"label_generator_ids": [labels], "count": 4})
    return {
        "uploads": client.upload(),
        "generators": inversion["parents"]["generator"],
        "encoders": client.made("encoders", {"upload_id": client.upload()}),
        "datasets": inversion["parents"]["dataset"],
        "inversions": inversion["id"],
        "label-generators": labels,
        "generations": generation,
    }


def thing(things: dict[str, str], field: str) -> str:
    """
    What a field such as `validation_dataset_id` or `label_generator_ids` may name.
    """
    if field == "like":
        return things["label-generators"]
    singular = field.removesuffix("s").removesuffix("_id").replace("_", "-")
    fitting = [name for name in things if singular.endswith(name.removesuffix("s"))]
    return things[max(fitting, key=len)]


class TestAddresses:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"import_prefixes": ("s3://sets/{tenant}/",)})

    def test_each_tenant_reads_below_its_own_name(self, owner, stranger):
        """
        Where the operator's prefix says `{tenant}`, another tenant's folder is as if not allowed.
        """
        asked = {"source": "s3://sets/default/gan.pkl"}

        assert owner.post("/v1/generators", asked).status_code == 202
        assert stranger.post("/v1/generators", asked).json()["code"] == "source_not_allowed"


def test_the_same_idempotency_key_is_two_tenants_(owner, stranger):
    """
    What one tenant calls its request means nothing for another's.
    """
    headers = {"Idempotency-Key": "mine"}
    first = owner.post("/v1/uploads", {"filename": "a"}, headers=headers)
    second = stranger.post("/v1/uploads", {"filename": "b"}, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == ids.derived_id("uploads", "default", "mine")
    assert first.json()["id"] != second.json()["id"]


def test_everything_lies_below_its_tenant(owner, stranger):
    """
    What a tenant makes is in its own folder of the bucket, and under its own names in Redis.
    """
    stranger.label_generator()

    folders = {key.split("/")[0] for key in stranger.stored()}
    names = [name for name in owner.services.redis.keys("handsoff:*") if "stranger" not in name]
    assert folders == {"stranger", "_access"}
    assert set(names) <= {"handsoff:living", "handsoff:turns:cpu", "handsoff:turns:compute"}

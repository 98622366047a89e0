import pytest

METHODS = {"get", "post", "put", "delete"}


@pytest.fixture
def document(api):
    """
    What the service says of itself.
    """
    return api.get("/openapi.json").json()


@pytest.fixture
def operations(document):
    """
    Every route, by its method and path.
    """
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def test_every_operation_has_a_name_of_its_own(operations):
    """
    Generated clients call functions by these names.
    """
    names = [operation["operationId"] for operation in operations.values()]

    assert len(names) == len(set(names))
    assert all(name.isidentifier() and name.islower() for name in names)


def test_every_operation_says_what_it_is_for(operations):
    """
    A tag that is described, and a summary.
    """
    assert [
        where
        for where, operation in operations.items()
        if not operation.get("summary") or len(operation.get("tags", [])) != 1
    ] == []


def test_every_tag_is_described(document, operations):
    """
    Tags are chapters, and chapters have a first sentence.
    """
    described = {tag["name"] for tag in document["tags"] if tag["description"]}

    assert {tag for operation in operations.values() for tag in operation["tags"]} == described


def test_every_refusal_is_a_problem(operations):
    """
    Each declared error has the one form in which this service says no.
    """
    refusals = [
        (where, status, answer)
        for where, operation in operations.items()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
    ]

    assert refusals
    for where, status, answer in refusals:
        assert list(answer["content"]) == ["application/problem+json"], (where, status)
        schema = answer["content"]["application/problem+json"]["schema"]
        assert schema["$ref"].endswith("/Problem"), (where, status)


def test_every_request_has_an_example(document, operations):
    """
    Whoever reads the documentation can copy a request that is valid in its form.
    """
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for operation in operations.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    schemas = document["components"]["schemas"]

    assert len(bodies) == 10
    assert [ref for ref in bodies if not schemas[ref.split("/")[-1]].get("examples")] == []


@pytest.mark.parametrize("name", ["GeneratorRequest", "EncoderRequest", "DatasetRequest"])
def test_what_users_bring_has_a_licence(document, name):
    """
    Checkpoints and images belong to somebody.
    """
    assert "licence" in document["components"]["schemas"][name]["properties"]


def test_whatever_creates_takes_an_idempotency_key(operations):
    """
    Every POST but a cancellation, which is harmless by itself.
    """
    without = {
        where
        for where, operation in operations.items()
        if where.startswith("POST")
        and "Idempotency-Key" not in [p["name"] for p in operation.get("parameters", [])]
    }

    assert {"POST /v1/jobs/{job_id}/cancel"} == without

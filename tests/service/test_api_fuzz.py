"""Requests that nobody would write by hand: none of them may be an error of ours."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

POSTS = [
    "/v1/uploads",
    "/v1/generators",
    "/v1/encoders",
    "/v1/encoders/train",
    "/v1/datasets",
    "/v1/inversions",
    "/v1/label-generators",
    "/v1/generations",
    "/v1/evaluations",
    "/v1/webhooks",
]
FIELDS = [
    *("name", "licence", "filename", "size", "sha256", "upload_id", "dataset_id", "generator_id"),
    *("inversion_id", "label_generator_ids", "label_generator_id", "config", "inversion", "label"),
    *("kind", "classes", "palette", "ignore_index", "mode", "steps", "psi", "seed", "count"),
    *("uncertainty", "drop", "shard_size", "image_format", "recipe", "generation_id"),
    *("source", "family", "register_decoder", "encoder_id", "labels"),
    *("validation_dataset_id", "test_dataset_id", "latents_upload_id", "flip_pairs", "hidden"),
    *("url", "events"),
]
# Surrogates too, for JSON can spell them.
TEXTS = st.one_of(
    st.text(st.characters(categories=None), max_size=8),
    st.sampled_from(["gen_1", "dst_1", "inv_1", "lbl_1", "gnn_1", "upl_1", "paper", "png"]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | TEXTS, inner, max_size=5)
    ),
    max_leaves=12,
)
OFTEN = settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    database=None,
    # One application serves all examples: what they leave behind does no harm to the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def is_answered(answer) -> None:
    """
    A success, or a refusal in the one form that refusals have.
    """
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"]


@OFTEN
@given(
    path=st.sampled_from(POSTS),
    body=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
)
def test_bodies_of_any_form_are_answered(api, path, body):
    """
    Whatever JSON is sent, it is done or refused, never a fault of the service.
    """
    headers = {"Content-Type": "application/json"}

    is_answered(api.send("POST", path, content=json.dumps(body).encode(), headers=headers))


@OFTEN
@given(
    path=st.sampled_from(
        ["/v1/jobs", "/v1/generators", "/v1/datasets/dst_1/files", "/v1/jobs/job_1"]
    ),
    query=st.dictionaries(
        st.sampled_from(["limit", "after", "state", "kind", "wait"]),
        st.one_of(st.text(max_size=12), st.integers(-5, 200).map(str)),
    ),
)
def test_queries_of_any_form_are_answered(api, path, query):
    """
    Cursors, bounds and filters that nobody gave out are refused.
    """
    query.pop("wait", None) if query.get("wait", "x").isdecimal() else None

    is_answered(api.get(path, params=query))


@pytest.mark.parametrize("header", ["Idempotency-Key", "Range", "X-Request-ID"])
@OFTEN
@given(value=st.binary(max_size=40).filter(lambda value: not set(value) & set(b"\0\r\n")))
def test_headers_of_any_form_are_answered(api, header, value):
    """
    Bytes that are no text are no fault either.
    """
    is_answered(api.get("/v1/generators/gen_1/files/x", headers={header: value}))
    is_answered(api.post("/v1/generators", {"upload_id": "upl_1"}, headers={header: value}))

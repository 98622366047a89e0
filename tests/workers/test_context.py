"""What a task is given: keys, parameters, and a last document that is written once."""

import json

import pytest
from fakes import FakeStore
from support.system import resource_for

from workers.clock import utc_now
from workers.errors import LeaseLost
from workers.jobs import JobKind, JobRecord
from workers.params import DatasetParams
from workers.tasks.context import TaskContext, canonical_json

LABEL = {"kind": "segmentation", "classes": ["a", "b"]}


@pytest.fixture
def make_context(tmp_path):
    """
    Makes contexts of one job's step over one bucket.
    """
    store, resource = FakeStore(), resource_for(JobKind.INGEST, label=LABEL)
    record = JobRecord(
        id=resource.job_id,
        tenant=resource.tenant,
        kind=JobKind.INGEST,
        resource=("datasets", resource.id),
        created_at=utc_now(),
        changed_at=utc_now(),
    )

    def make(attempt=1, **fields) -> TaskContext:
        return TaskContext(
            job=record,
            resource=resource,
            index=0,
            attempt=attempt,
            store=store,
            report=lambda *_: None,
            scratch=tmp_path,
            **fields,
        )

    return make


def test_keys_lie_in_the_resource(make_context):
    """
    A path is meant inside the job's resource; a parent's path inside the parent.
    """
    context = make_context()

    assert f"default/datasets/{context.resource.id}/items/a.png" == context.key("items/a.png")
    assert (
        context.parent_key("generators", "gen_1", "card.json")
        == "default/generators/gen_1/card.json"
    )


def test_parameters_are_checked(make_context):
    """
    What was asked for comes as the kind's model.
    """
    assert make_context().params(DatasetParams).labels[0].classes == ("a", "b")


def test_the_last_document_stays(make_context):
    """
    The document that makes a resource ready is never replaced, as others may have read it.
    """
    make_context(attempt=1).put_json("manifest.json", {"attempt": 1})
    make_context(attempt=2).put_json("manifest.json", {"attempt": 2})

    context = make_context()
    assert json.loads(context.store.get(context.key("manifest.json"))) == {"attempt": 1}


def test_losers_do_not_write_it(make_context):
    """
    A worker that has lost the step does not make the resource ready; its other files harm nobody.
    """

    def lost():
        raise LeaseLost("another has it")

    context = make_context(fence=lost)
    context.put_json("plan.json", {"shards": 3})
    with pytest.raises(LeaseLost):
        context.put_json("manifest.json", {})

    assert context.store.size(context.key("manifest.json")) is None
    assert context.store.size(context.key("plan.json"))


def test_other_documents_are_replaced(make_context):
    """
    All other documents are as they were written last.
    """
    context = make_context()
    context.put_json("plan.json", {"shards": 3})
    context.put_json("plan.json", {"shards": 4})

    assert json.loads(context.store.get(context.key("plan.json"))) == {"shards": 4}


def test_documents_have_one_form():
    """
    The same value is the same bytes, in UTF-8, whatever the order of its keys; what JSON cannot
    say is refused.
    """
    assert (
        canonical_json({"b": [1.5], "a": "é"}) == b'{\n "a": "\xc3\xa9",\n "b": [\n  1.5\n ]\n}\n'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


def test_cpu_tasks_have_no_runtime(make_context):
    """
    A task that asks for what only compute workers have is a mistake of ours.
    """
    with pytest.raises(AssertionError, match="compute runtime"):
        _ = make_context().runtime

"""Where a step that has not ended stands: kept in the bucket, found by the next attempt."""

import dataclasses

import pytest
import torch
from fakes import FakeStore
from support.contexts import task_context

from models.configs import InversionConfig
from workers.errors import LeaseLost
from workers.params import InversionParams
from workers.tasks.snapshots import BucketKeeper

STATE = {"step": torch.tensor(3), "codes": torch.arange(6.0).view(2, 3).T}


@pytest.fixture
def context(tmp_path):
    """
    A step of an inversion.
    """
    params = InversionParams(generator_id="gen_1", dataset_id="dst_1", config=InversionConfig())
    return task_context(FakeStore(), tmp_path, "invert", "inversions", params)


def test_another_attempt_finds_what_one_kept(context):
    """
    Tensors come back as they were, the last of a name, whoever asks.
    """
    BucketKeeper(context).save("search", {"step": torch.tensor(2)})
    BucketKeeper(context).save("search", STATE)

    found = BucketKeeper(dataclasses.replace(context, attempt=2)).load("search")

    assert found is not None
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_nothing_was_kept(context):
    """
    Another name has no state, and neither has an object that is none.
    """
    keeper = BucketKeeper(context)
    keeper.save("search", STATE)
    context.store.put(context.key("snapshots/damaged.safetensors"), b"no tensors")

    assert keeper.load("training") is None
    assert keeper.load("damaged") is None


def test_a_late_worker_keeps_nothing(context):
    """
    Who has lost the step does not write over the state of who has it.
    """
    BucketKeeper(context).save("search", STATE)

    def lost():
        raise LeaseLost("another worker has the step")

    late = BucketKeeper(dataclasses.replace(context, fence=lost))
    with pytest.raises(LeaseLost):
        late.save("search", {"step": torch.tensor(9)})

    found = late.load("search")
    assert found is not None
    assert found["step"] == 3


def test_forgets_all_of_it(context):
    """
    A step that has its result leaves no state behind, and nothing else goes with it.
    """
    keeper = BucketKeeper(context)
    keeper.save("search", STATE)
    context.store.put(context.key("attempts/1/latents.safetensors"), b"result")

    keeper.forget()

    left = [entry.key for entry in context.store.list("")]
    assert left == [context.key("attempts/1/latents.safetensors")]

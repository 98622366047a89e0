"""Tenants take turns at the workers, however much each of them has queued."""

import pytest
from rq.exceptions import DequeueTimeout
from support.system import System, resource_for

from workers.flows import QueueName
from workers.jobs import JobKind, JobState
from workers.queue import RqTaskQueue, StepJob, lane_queue
from workers.reaper import Reaper
from workers.redis_client import connect_transport
from workers.steps import StepRef

LANE = QueueName.COMPUTE


@pytest.fixture
def transport(redis, redis_url):
    """
    A client as RQ wants it, to an emptied Redis.
    """
    with connect_transport(redis_url, retries=1) as client:
        yield client


@pytest.fixture
def queue(transport):
    return RqTaskQueue(transport)


def put(queue, tenant, count, job="job_1") -> None:
    """
    Queue steps of a tenant.
    """
    queue.put(LANE, [StepRef(tenant, f"{job}{tenant}", 1, index, 1) for index in range(count)])


def take(transport, timeout=None) -> StepRef | None:
    """
    What the next worker gets.
    """
    lane = lane_queue(transport, LANE)
    found = lane.dequeue_any([lane], timeout, transport, StepJob, "json")
    return found[0].step if found else None


def order(transport, count) -> str:
    """
    Whose steps the next workers get.
    """
    return "".join(take(transport).tenant for _ in range(count))


def test_one_step_does_not_wait_behind_twenty(queue, transport):
    """
    Who comes second with a single step is served second.
    """
    put(queue, "a", 20)
    put(queue, "b", 1)

    assert order(transport, 4) == "abaa"


def test_everybody_is_served_in_turn(queue, transport):
    """
    Of three tenants with much to do each gets every third worker, in the order of its own steps.
    """
    for tenant in "abc":
        put(queue, tenant, 3)

    steps = [take(transport) for _ in range(9)]

    assert "".join(step.tenant for step in steps) == "abcabcabc"
    assert [step.index for step in steps if step.tenant == "b"] == [0, 1, 2]
    assert take(transport) is None


def test_queueing_more_neither_loses_nor_gains_a_turn(queue, transport):
    """
    A tenant that adds to what it has waiting keeps its one place.
    """
    put(queue, "a", 2)
    put(queue, "b", 3)
    put(queue, "a", 2, job="job_2")

    assert order(transport, 7) == "abababa"


def test_who_has_nothing_left_holds_nobody_up(queue, transport):
    """
    Tenants that are through are passed over, and begin anew at the end when they come back.
    """
    put(queue, "a", 1)
    put(queue, "b", 3)
    assert order(transport, 3) == "abb"

    put(queue, "a", 1)

    assert order(transport, 2) == "ba"


def test_a_worker_waits_for_what_may_come(queue, transport):
    """
    With nothing to do it waits for as long as it was told; what is there is had at once.
    """
    with pytest.raises(DequeueTimeout):
        take(transport, timeout=1)
    put(queue, "a", 1)

    assert take(transport, timeout=1).tenant == "a"


def test_lanes_have_nothing_to_do_with_each_other(queue, transport):
    """
    A turn in one lane is none in the other.
    """
    queue.put(QueueName.CPU, [StepRef("a", "job_1", 0, 0, 1)])
    put(queue, "b", 2)

    assert order(transport, 2) == "bb"
    assert queue.depths() == {"cpu": 1, "compute": 0}


def test_what_waits_is_known_of_all_tenants(queue, transport):
    """
    The reaper finds every waiting step, whoever's it is.
    """
    put(queue, "a", 2)
    put(queue, "b", 1)
    take(transport)

    assert queue.waiting(LANE) == {"job_1a-1-1-a1", "job_1b-1-0-a1"}
    assert queue.depths()["compute"] == 2


def test_a_lost_queue_of_a_tenant_is_made_anew(redis, store, queue, transport):
    """
    What was lost on its way is queued again by the reaper, for its own tenant.
    """
    system = System.of(redis, store, queue)
    resource = resource_for(JobKind.TRAIN).model_copy(update={"tenant": "acme"})
    record = system.orchestrator.submit(resource, JobKind.TRAIN)
    take(transport)
    reaper = Reaper(system.orchestrator, queue, lease_seconds=1)

    reaper.scan()
    reaper.scan()

    assert take(transport).job_id == record.id
    assert system.jobs.get("acme", record.id).state is JobState.QUEUED

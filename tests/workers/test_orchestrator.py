"""How jobs move: through their stages, behind each other, back to the queue, to their end."""

import json
from itertools import pairwise

import pytest
from fakes import FakeClock, FakeQueue, FakeStore
from support.system import System, resource_for

from workers import keys
from workers.errors import LeaseLost, StorageUnavailable
from workers.flows import QueueName
from workers.jobs import JobError, JobKind, JobState
from workers.orchestrator import Policy
from workers.resources import Resource

REASON = JobError(code="storage_unavailable", message="the bucket is away", retryable=True)
BAD = JobError(code="bad_input", message="the input is bad")


@pytest.fixture
def system(redis):
    return System.of(redis, FakeStore(), FakeQueue(), FakeClock())


class TestSubmit:
    def test_makes_resource_and_job_durable(self, system):
        """
        After the answer the bucket has the resource's description and the job's.
        """
        resource = resource_for(JobKind.INGEST, label="x")

        record = system.orchestrator.submit(resource, JobKind.INGEST)

        place = keys.description(resource.tenant, "datasets", resource.id)
        assert resource == Resource.model_validate_json(system.store.get(place))
        assert (
            resource.job_id
            == json.loads(system.store.get(keys.job(record.tenant, record.id, "spec.json")))["id"]
        )
        assert (JobState.QUEUED, ("datasets", resource.id)) == (record.state, record.resource)

    @pytest.mark.parametrize(
        ("kind", "queue"),
        [(JobKind.INGEST, QueueName.CPU), (JobKind.TRAIN, QueueName.COMPUTE)],
    )
    def test_queues_the_first_step(self, system, kind, queue):
        """
        A job that waits for nothing is queued where its first stage runs.
        """
        record = system.submit(kind)

        step = system.queue.take(queue)
        assert (record.id, 0, 0, 1) == (step.job_id, step.stage, step.index, step.attempt)
        assert system.queue.take_any() is None

    def test_twice_is_once(self, system):
        """
        The same resource again gives the same job, which is not queued again.
        """
        resource = resource_for(JobKind.INGEST)
        first = system.orchestrator.submit(resource, JobKind.INGEST)

        assert first == system.orchestrator.submit(resource, JobKind.INGEST)
        assert system.queue.depths()["cpu"] == 1

    def test_nothing_is_begun_that_is_not_durable(self, system):
        """
        With the bucket away nothing is queued and no job is known.
        """
        system.store.broken = StorageUnavailable("away")

        with pytest.raises(StorageUnavailable):
            system.submit()

        assert system.queue.take_any() is None
        assert system.jobs.records.living() == []


class TestFlow:
    def test_goes_through_all_stages(self, system):
        """
        A generation is planned, made in as many steps as planned, finalised, and has succeeded;
        each stage in its own queue.
        """
        record = system.submit(JobKind.GENERATE)
        system.orchestrator.step_done(system.claim(), 3)
        shards = [system.queue.take(QueueName.COMPUTE) for _ in range(3)]
        assert system.queue.take_any() is None
        for step in shards:
            system.orchestrator.step_done(system.claim(step), None)
        last = system.claim(system.queue.take(QueueName.CPU))
        assert JobState.RUNNING is system.get(record).state
        system.finish(record)
        system.orchestrator.step_done(last, None)

        assert [(s.stage, s.index) for s in [*shards, last]] == [(1, 0), (1, 1), (1, 2), (2, 0)]
        assert JobState.SUCCEEDED is system.get(record).state
        assert json.loads(system.store.get(keys.job(record.tenant, record.id, "end.json")))

    def test_success_needs_the_last_document(self, system):
        """
        A job whose last step left no final document has failed, whatever its task returned.
        """
        record = system.submit(JobKind.GENERATE)
        finished, system.finish = system.finish, lambda record: None
        system.run_all()
        system.finish = finished

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "internal_error")
        assert "manifest.json" in ended.error.message

    @pytest.mark.parametrize("result", [None, 0, -1, "3", 2.0])
    def test_a_plan_must_count(self, system, result):
        """
        Where the next stage has as many steps as the last one says, it must say a number.
        """
        record = system.submit(JobKind.GENERATE)

        with pytest.raises(ValueError, match="'plan' must return how many steps"):
            system.orchestrator.step_done(system.claim(), result)

        assert system.leases.stage(record.tenant, record.id) == 0

    def test_late_workers_change_nothing(self, system):
        """
        What a worker says about a step that another has by now is refused or passed over.
        """
        record = system.submit()
        old = system.claim(worker="one")
        system.orchestrator.step_again(old, REASON, fault=False)
        system.claim(worker="two")

        with pytest.raises(LeaseLost, match="given to another worker"):
            system.orchestrator.step_done(old, None)
        system.orchestrator.step_failed(old, BAD)
        system.orchestrator.step_again(old, REASON)
        system.orchestrator.step_cancelled(old)

        assert JobState.RUNNING is system.get(record).state
        assert system.queue.take_any() is None

    def test_failure_ends_the_job(self, system):
        """
        When one step fails, the job has failed with its error; its other steps are dropped.
        """
        record = system.submit(JobKind.GENERATE)
        system.orchestrator.step_done(system.claim(), 3)
        system.orchestrator.step_failed(system.claim(), BAD)

        ended = system.get(record)
        assert (ended.state, ended.error) == (JobState.FAILED, BAD)
        for _ in range(2):
            assert system.leases.claim(system.queue.take_any()) == "ended"


class TestAgain:
    def test_goes_back_with_its_reason(self, system):
        """
        A step that met a passing fault is queued as its next attempt; the job waits and says why.
        """
        record = system.submit()
        step = system.claim()

        system.orchestrator.step_again(step, REASON)

        waiting = system.get(record)
        assert (waiting.state, waiting.error, waiting.attempt) == (JobState.QUEUED, REASON, 2)
        [again] = system.leases.due()
        assert step.again(2) == again

    def test_ends_after_so_many_faults(self, system):
        """
        The third fault of a step is the last: the job has failed and tells the last reason.
        """
        record = system.submit()
        step = system.claim()
        for _ in range(2):
            system.orchestrator.step_again(step, REASON)
            [step] = system.leases.due()
            step = system.claim(step)
        system.orchestrator.step_again(step, REASON)

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "too_many_attempts")
        assert "after 3 attempts" in ended.error.message
        assert REASON.message in ended.error.message
        assert ended.error.retryable

    def test_waits_longer_each_time(self):
        """
        The pause before a further attempt grows fourfold, up to five minutes.
        """
        policy = Policy(delay_seconds=2.0)

        delays = [policy.delay(faults) for faults in range(1, 8)]

        assert delays == [2.0, 8.0, 32.0, 128.0, 300.0, 300.0, 300.0]
        assert all(a <= b for a, b in pairwise(delays))

    def test_outages_are_no_faults(self, system):
        """
        A step waits for a bucket that is away more often than it may fail, with pauses that stay
        short, and the job's attempts stay; a fault in between is its first.
        """
        record = system.submit()
        for attempt in range(1, 9):
            system.orchestrator.step_again(system.claim(), REASON, waits=9)
            waiting = system.get(record)
            assert (waiting.state, waiting.error, waiting.attempt) == (
                JobState.QUEUED,
                REASON,
                1,
            )
            [again] = system.leases.due()
            assert attempt + 1 == again.attempt
            system.queue.put("cpu", [again])
        system.orchestrator.step_again(system.claim(), REASON)

        assert (system.get(record).state, system.get(record).attempt) == (JobState.QUEUED, 2)

    def test_an_outage_can_be_too_long(self, system):
        """
        A step that has waited as often as it may fails its job, with the reason.
        """
        record = system.submit()
        for _ in range(2):
            system.orchestrator.step_again(system.claim(), REASON, waits=2)
            system.queue.put("cpu", list(system.leases.due()))
        system.orchestrator.step_again(system.claim(), REASON, waits=2)

        ended = system.get(record)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "too_many_attempts")
        assert REASON.message in ended.error.message

    def test_pauses_in_an_outage_are_short(self):
        """
        They double, up to half a minute, however long it lasts.
        """
        policy = Policy(delay_seconds=2.0)

        pauses = [policy.pause(outages) for outages in (1, 2, 3, 4, 5, 1000)]

        assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]

    def test_a_cancelled_job_waits_for_no_bucket(self, system):
        """
        A job that shall be cancelled ends when its step goes back.
        """
        record = system.submit()
        step = system.claim()
        system.orchestrator.cancel(record.tenant, record.id)

        system.orchestrator.step_again(step, REASON, waits=9)

        assert JobState.CANCELLED is system.get(record).state
        assert system.leases.postponed() == set()

    def test_a_drained_step_costs_nothing(self, system):
        """
        A step that goes back because its worker had to end is queued at once, as often as it
        takes, and the job's attempts stay.
        """
        record = system.submit()
        for _ in range(9):
            system.orchestrator.step_again(system.claim(), REASON, fault=False)

        waiting = system.get(record)
        assert (waiting.state, waiting.attempt) == (JobState.QUEUED, 1)
        assert system.queue.take_any().attempt == 10

    def test_others_go_on(self, system):
        """
        While other steps of a job are worked on, one that goes back does not change its state.
        """
        record = system.submit(JobKind.GENERATE)
        system.orchestrator.step_done(system.claim(), 2)
        first, second = system.claim(), system.claim()

        system.orchestrator.step_again(first, REASON, fault=False)
        assert JobState.RUNNING is system.get(record).state
        system.orchestrator.step_again(second, REASON, fault=False)
        assert JobState.QUEUED is system.get(record).state

    def test_success_is_not_stopped_by_a_queued_state(self, system):
        """
        A job shown as queued for a moment, while its last step is being done, still succeeds.
        """
        record = system.submit()
        step = system.claim()
        system.jobs.change(
            record.tenant, record.id, lambda r: r.step(JobState.QUEUED, r.created_at)
        )
        system.finish(record)

        system.orchestrator.step_done(step, None)

        assert JobState.SUCCEEDED is system.get(record).state


class TestCancel:
    def test_ends_a_queued_job_at_once(self, system):
        """
        A job that nobody works on is cancelled when that is answered, its step never run.
        """
        record = system.submit()

        cancelled = system.orchestrator.cancel(record.tenant, record.id)

        assert JobState.CANCELLED is cancelled.state
        assert system.leases.claim(system.queue.take_any()) == "ended"

    def test_waits_for_the_worker(self, system):
        """
        A job that is worked on is cancelled when its worker has stopped.
        """
        record = system.submit()
        step = system.claim()

        asked = system.orchestrator.cancel(record.tenant, record.id)
        assert JobState.RUNNING is asked.state
        assert asked.cancel_requested_at is not None
        system.orchestrator.step_cancelled(step)

        assert JobState.CANCELLED is system.get(record).state

    def test_waits_for_the_last_worker(self, system):
        """
        Of several workers the last one to stop ends the job.
        """
        record = system.submit(JobKind.GENERATE)
        system.orchestrator.step_done(system.claim(), 2)
        first, second = system.claim(), system.claim()
        system.orchestrator.cancel(record.tenant, record.id)

        system.orchestrator.step_cancelled(first)
        assert JobState.RUNNING is system.get(record).state
        system.orchestrator.step_done(second, None)

        assert JobState.CANCELLED is system.get(record).state

    @pytest.mark.parametrize("how", ["done", "failed", "again"])
    def test_comes_before_whatever_the_step_became(self, system, how):
        """
        A step that ends while its job was to be cancelled ends it as cancelled.
        """
        record = system.submit()
        step = system.claim()
        system.orchestrator.cancel(record.tenant, record.id)
        system.finish(record)

        if how == "done":
            system.orchestrator.step_done(step, None)
        elif how == "failed":
            system.orchestrator.step_failed(step, BAD)
        else:
            system.orchestrator.step_again(step, REASON)

        assert JobState.CANCELLED is system.get(record).state
        assert system.queue.take_any() is None

    def test_finds_ended_jobs_ended(self, system):
        """
        A job that has ended stays as it ended.
        """
        record = system.submit()
        system.run_all()

        assert JobState.SUCCEEDED is system.orchestrator.cancel(record.tenant, record.id).state


class TestDependents:
    def test_begin_when_all_have_succeeded(self, system):
        """
        A job waits until the last of those it waits for has succeeded.
        """
        parents = [system.submit(), system.submit()]
        child = system.submit(JobKind.TRAIN, after=[parent.id for parent in parents])
        assert system.queue.depths()["compute"] == 0

        steps = [system.claim(), system.claim()]
        for parent, step in zip(parents, steps, strict=True):
            assert system.queue.depths()["compute"] == 0
            system.finish(parent)
            system.orchestrator.step_done(step, None)

        assert child.id == system.queue.take(QueueName.COMPUTE).job_id

    def test_begin_at_once_behind_finished_jobs(self, system):
        """
        A job that waits for what has succeeded already waits for nothing.
        """
        parent = system.submit()
        system.run_all()

        system.submit(JobKind.TRAIN, after=[parent.id])

        assert system.queue.depths()["compute"] == 1

    def test_fail_with_what_they_wait_for(self, system):
        """
        When a job fails, those behind it fail too, down the chain, and say because of whom.
        """
        parent = system.submit()
        child = system.submit(JobKind.INVERT, after=[parent.id])
        grandchild = system.submit(JobKind.TRAIN, after=[child.id])

        system.orchestrator.step_failed(system.claim(), BAD)

        for record, cause in ((child, parent), (grandchild, child)):
            ended = system.get(record)
            assert (ended.state, ended.error.code) == (JobState.FAILED, "dependency_failed")
            assert cause.id in ended.error.message
            assert BAD.message in ended.error.message

    def test_fail_when_it_was_cancelled(self, system):
        """
        A cancelled job takes with it those that wait for it.
        """
        parent = system.submit()
        child = system.submit(JobKind.TRAIN, after=[parent.id])

        system.orchestrator.cancel(parent.tenant, parent.id)

        ended = system.get(child)
        assert (ended.state, ended.error.code) == (JobState.FAILED, "dependency_failed")
        assert "cancelled" in ended.error.message

    def test_fail_at_once_behind_nothing(self, system):
        """
        A job that waits for one that never was fails when it is submitted, naming it.
        """
        ended = system.submit(JobKind.TRAIN, after=["job_never"])

        assert (ended.state, ended.error.code) == (JobState.FAILED, "dependency_failed")
        assert "job_never" in ended.error.message

    def test_can_be_cancelled_while_they_wait(self, system):
        """
        A job that waits is cancelled at once, and the success of the other does not begin it.
        """
        parent = system.submit()
        child = system.submit(JobKind.TRAIN, after=[parent.id])

        assert JobState.CANCELLED is system.orchestrator.cancel(child.tenant, child.id).state
        system.run_all()

        assert JobState.SUCCEEDED is system.get(parent).state
        assert JobState.CANCELLED is system.get(child).state

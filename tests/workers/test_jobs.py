"""The drawing of a job's states, walked edge by edge."""

from datetime import UTC, datetime
from itertools import pairwise, product

import pytest

from workers.errors import IllegalTransition
from workers.flows import FLOWS
from workers.jobs import NEXT, JobError, JobKind, JobRecord, JobState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 13, tzinfo=UTC)


def job(state=JobState.QUEUED, **fields) -> JobRecord:
    """
    A job in some state, since noon.
    """
    return JobRecord(
        id="job_1",
        tenant="t",
        kind=JobKind.TRAIN,
        resource=("label-generators", "lbl_1"),
        state=state,
        created_at=NOON,
        changed_at=NOON,
        **fields,
    )


@pytest.mark.parametrize(("now", "then"), list(product(JobState, JobState)))
def test_only_drawn_steps_are_taken(now, then):
    """
    Every pair of states is either an edge of the drawing or an error that names both.
    """
    if then in NEXT[now]:
        assert then is job(now).step(then, LATER).state
    else:
        with pytest.raises(IllegalTransition, match=f"job_1 is {now}; it cannot become {then}"):
            job(now).step(then, LATER)


def test_terminal_states_are_never_left():
    """
    Exactly succeeded, failed and cancelled lead nowhere.
    """
    terminal = {state for state in JobState if state.is_terminal}

    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} == terminal


def test_every_change_counts():
    """
    Any change is a version more and has its time; the record before stays as it was.
    """
    before = job()

    after = before.with_changes(LATER, attempt=2)

    assert (after.version, after.changed_at) == (2, LATER)
    assert (before.version, before.changed_at) == (1, NOON)


def test_a_retry_counts():
    """
    Going back to the queue is the next attempt of the same job.
    """
    assert job(JobState.RUNNING).step(JobState.QUEUED, LATER).attempt == 2


def test_times_are_kept_once():
    """
    A job started when it first ran, also after a retry, and finished when it ended.
    """
    first = job().step(JobState.RUNNING, NOON).step(JobState.QUEUED, LATER)
    ended = first.step(JobState.RUNNING, LATER).step(JobState.SUCCEEDED, LATER)

    assert (ended.started_at, ended.finished_at) == (NOON, LATER)
    assert first.finished_at is None


def test_errors_do_not_outlive_a_new_attempt():
    """
    Why a job went back to its queue is told while it waits, not when it runs again.
    """
    reason = JobError(code="storage_unavailable", message="away", retryable=True)
    waiting = job(JobState.RUNNING).step(JobState.QUEUED, LATER, reason)

    assert reason == waiting.error
    assert waiting.step(JobState.RUNNING, LATER).error is None


def test_records_survive_json():
    """
    What is stored is what was there, to the microsecond.
    """
    record = job(after=("job_0",), cancel_requested_at=LATER.replace(microsecond=123456))

    assert record == JobRecord.model_validate_json(record.model_dump_json())


def test_every_kind_has_a_flow():
    """
    Each kind of job has stages; a stage of many steps follows a stage of one, which counts them.
    """
    assert set(JobKind) == set(FLOWS)
    for stages in FLOWS.values():
        fans = [stage.fan_out for stage in stages]
        assert not fans[0]
        assert (True, True) not in pairwise(fans)

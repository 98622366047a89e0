"""What each error means for a step."""

import errno

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from models.errors import CheckpointError, UnsafeCheckpoint
from workers.errors import (
    LeaseLost,
    ObjectNotFound,
    QueueUnavailable,
    Retryable,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TaskFailed,
)
from workers.outcomes import Again, Cancelled, Failed, Lost, outcome_of, snake_case
from workers.stop import StepStopped, StopReason


class OutOfMemoryError(RuntimeError):
    """
    Called like PyTorch's.
    """


class AcceleratorError(RuntimeError):
    """
    Called like PyTorch's.
    """


def test_tasks_say_themselves_what_is_wrong():
    """
    A task's own failure is the job's, word for word.
    """
    outcome = outcome_of(TaskFailed("bad_mask", "a.png has class 9", {"files": ["a.png"]}))

    assert isinstance(outcome, Failed)
    assert (
        outcome.error.code,
        outcome.error.message,
        outcome.error.retryable,
    ) == ("bad_mask", "a.png has class 9", False)
    assert outcome.error.details == {"files": ["a.png"]}


@pytest.mark.parametrize(
    "error",
    [
        TaskFailed("bad_mask", "a" * 10_000 + "\udc80"),
        CheckpointError("a" * 10_000 + "\udc80"),
        Retryable("a" * 10_000 + "\udc80"),
    ],
)
def test_messages_can_be_stored_and_shown(error):
    """
    A message may hold what a stranger called his files: it is cut, and made UTF-8.
    """
    outcome = outcome_of(error)

    assert isinstance(outcome, Failed | Again)
    told = outcome.error if isinstance(outcome, Failed) else outcome.reason
    assert len(told.message) < 2100
    assert told.message.encode().startswith(b"aaa")


def test_halves_of_characters_are_spelt_out():
    """
    A short message with half a character in it can be written down as well.
    """
    outcome = outcome_of(TaskFailed("bad_mask", "a\udc80.png"))

    assert isinstance(outcome, Failed)
    assert outcome.error.message == "a\\udc80.png"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointError("no such layer"), "checkpoint_error"),
        (UnsafeCheckpoint("it would run code"), "unsafe_checkpoint"),
        (ObjectNotFound("there is no object 'a'"), "object_not_found"),
    ],
)
def test_diagnoses_are_kept(error, code):
    """
    An error that the method names is the job's, under its own name.
    """
    outcome = outcome_of(error)

    assert isinstance(outcome, Failed)
    assert (code, str(error)) == (outcome.error.code, outcome.error.message)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageUnavailable("away"), "storage_unavailable"),
        (QueueUnavailable("away"), "queue_unavailable"),
        (RedisConnectionError("away"), "connection_error"),
        (StorageFull("no room left"), "storage_full"),
        (StorageError("access was denied"), "storage_error"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk_full"),
    ],
)
def test_what_is_away_or_full_is_waited_for(error, code):
    """
    Where a server or a disk cannot be used, the step waits, by far longer than it may fail.
    """
    outcome = outcome_of(error)

    assert isinstance(outcome, Again)
    assert (outcome.waits >= 30, outcome.exit) == (True, False)
    assert (code, str(error), True) == (
        outcome.reason.code,
        outcome.reason.message,
        outcome.reason.retryable,
    )


def test_other_passing_faults_count():
    """
    What a task itself calls a passing fault is one of the step's attempts.
    """
    outcome = outcome_of(Retryable("the weather"))

    assert isinstance(outcome, Again)
    assert (outcome.fault, outcome.exit, outcome.waits) == (True, False, 0)
    assert outcome.reason.code == "retryable"


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        AcceleratorError("CUDA error: out of memory"),
        MemoryError(),
    ],
)
def test_memory_is_a_fault_of_the_plan(error):
    """
    Out of memory fails the job: the same step would need as much again.
    """
    outcome = outcome_of(error)

    assert isinstance(outcome, Failed)
    assert outcome.error.code == "out_of_memory"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        AcceleratorError("something new"),
    ],
)
def test_a_broken_device_ends_the_process(error):
    """
    After a device fault the step is tried again, by another process.
    """
    outcome = outcome_of(error)

    assert isinstance(outcome, Again)
    assert (outcome.fault, outcome.exit, outcome.reason.code) == (True, True, "device_fault")


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), SystemExit(3), RuntimeError("x")])
def test_anything_else_is_ours_to_look_up(error, caplog):
    """
    What nobody thought of fails the job with a reference; what it was stands in the log alone.
    """
    outcome = outcome_of(error)

    assert isinstance(outcome, Failed)
    assert outcome.error.code == "internal_error"
    assert "secret" not in outcome.error.model_dump_json()
    assert outcome.error.details["reference"] in outcome.error.message


def test_stops_are_told_apart():
    """
    Why a step was stopped decides what becomes of it.
    """
    found = {reason: outcome_of(StepStopped(reason)) for reason in StopReason}

    assert Cancelled() == found[StopReason.CANCELLED]
    assert Lost() == found[StopReason.LEASE_LOST] == outcome_of(LeaseLost("gone"))
    assert found[StopReason.TIMED_OUT].error.code == "timed_out"
    assert (found[StopReason.DRAINED].fault, found[StopReason.DRAINED].exit) == (False, False)


def test_codes_are_spelled_in_snake_case():
    """
    A class's name becomes a word that programs compare.
    """
    names = ["UnsafeCheckpoint", "Retryable", "OutOfMemoryError", "Mask8Bit"]

    assert [snake_case(name) for name in names] == [
        "unsafe_checkpoint",
        "retryable",
        "out_of_memory_error",
        "mask8_bit",
    ]

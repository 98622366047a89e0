"""Progress: what a task reports, as its job's record shows it."""

import time

import pytest
from fakes import FakeClock, FakeQueue, FakeStore
from support.system import System

from workers.jobs import JobKind, JobState, Progress
from workers.progress import StepReporter


@pytest.fixture
def system(redis):
    return System.of(redis, FakeStore(), FakeQueue(), FakeClock())


def reporter(system, step, checkpoint=lambda: None) -> StepReporter:
    return StepReporter(step, system.orchestrator, checkpoint, FakeClock())


def test_shows_what_was_reported_last(system):
    """
    Reports in between are not told; the last one is, with its unit, once.
    """
    record = system.submit()
    report = reporter(system, system.claim())
    for done in range(100):
        report("optimising", done, 300, "steps")

    report.publish()
    version = system.get(record).version
    report.publish()

    shown = system.get(record)
    assert Progress(phase="optimising", done=99, total=300, unit="steps") == shown.progress
    assert version == shown.version


def test_knows_rate_and_end(system):
    """
    The rate is that of the phase so far, and the time left follows from it.
    """
    record = system.submit()
    report = reporter(system, system.claim())
    report("optimising", 10, 100)
    report.publish()
    time.sleep(0.25)
    report("optimising", 35, 100)
    report.publish()

    progress = system.get(record).progress
    assert 40 < progress.rate <= 100
    assert progress.eta_seconds == pytest.approx(65 / progress.rate)


def test_a_new_phase_begins_anew(system):
    """
    A phase's rate says nothing of the next one.
    """
    record = system.submit()
    report = reporter(system, system.claim())
    report("loading", 0, 1)
    report.publish()
    report("optimising", 50, 100)
    report.publish()

    assert Progress(phase="optimising", done=50, total=100) == system.get(record).progress


def test_adds_up_over_a_stage(system):
    """
    A job of several steps shows the sum of what its workers do.
    """
    record = system.submit(JobKind.GENERATE)
    system.orchestrator.step_done(system.claim(), 2)
    for done in (30, 12):
        report = reporter(system, system.claim())
        report("generating", done, 50, "samples")
        report.publish()

    progress = system.get(record).progress
    assert (progress.done, progress.total, progress.unit) == (42, 100, "samples")


def test_every_report_is_a_checkpoint(system):
    """
    What must stop the task surfaces in a report, before anything is noted.
    """
    system.submit()

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reporter(system, system.claim(), stop)("optimising", 1, 2)


def test_odd_numbers_do_no_harm(system):
    """
    A task that counts below nothing is shown at nothing.
    """
    record = system.submit()
    report = reporter(system, system.claim())
    report("odd", -5, -1)
    report.publish()

    assert Progress(phase="odd") == system.get(record).progress


def test_the_dead_tell_no_tales(system):
    """
    A worker that has lost its step, or whose job has ended, changes nothing any more.
    """
    record = system.submit()
    step = system.claim()
    report = reporter(system, step)
    report("optimising", 1, 2)
    system.leases.give_back(step, fault=False)
    report.publish()
    assert system.get(record).progress is None

    report = reporter(system, system.claim(step.again(2)))
    report("optimising", 1, 2)
    ended = system.jobs.end(record.tenant, record.id, JobState.CANCELLED)
    report.publish()
    assert ended == system.get(record)


def test_a_job_that_tells_progress_runs(system):
    """
    A job shown as queued, because another of its steps went back, runs while this one does.
    """
    record = system.submit()
    report = reporter(system, system.claim())
    system.jobs.change(record.tenant, record.id, lambda r: r.step(JobState.QUEUED, r.created_at))
    report("optimising", 1, 2)

    report.publish()

    assert JobState.RUNNING is system.get(record).state

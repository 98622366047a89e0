"""Malformed files, through the API and the CPU worker's own step: each ends in a clear refusal."""

import json
import re
import signal
from collections.abc import Iterator

import pytest
from support.api import serve
from support.malformed_archives import tarred
from support.sending import Sender, cases, packed

from service.services import connect_services
from service.settings import ServiceSettings
from workers.monitor import Limits
from workers.redis_client import connect
from workers.step import StepRunner
from workers.steps import StepRef
from workers.stop import FORCE, StopSwitch

CASES = cases()
LONGEST_ANSWER = 64 * 1024
# Pillow's remark on EXIF that it cannot read; for us such a picture has none.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")


@pytest.fixture(scope="module")
def service(redis_url, tmp_path_factory) -> Iterator:
    """
    An application that serves the whole module, and a CPU worker's step runner for its jobs.
    """
    with connect(redis_url) as redis:
        redis.flushall()
    folder = tmp_path_factory.mktemp("hostile")
    settings = ServiceSettings(
        redis_url=redis_url,
        store_url=f"file://{folder}/store",
        reserve_bytes=0,
        allow_remote=True,
    )
    services = connect_services(settings)
    before, switch = signal.getsignal(FORCE), StopSwitch()
    switch.install()
    runner = StepRunner(
        "w", services.orchestrator, services.store, switch, Limits(), folder / "scratch"
    )

    def work(job: str) -> None:
        runner.run(StepRef("default", job, 0, 0, 1))

    for api in serve(settings, services):
        yield api, Sender(api, work)
    signal.signal(FORCE, before)


@pytest.fixture
def api(service):
    """
    A client of the application, whose log begins with the test.
    """
    service[0].logs.clear()
    return service[0]


@pytest.fixture
def sender(service, api) -> Sender:
    """
    Sends files to it.
    """
    return service[1]


def test_there_are_enough_of_them():
    """
    The corpus has at least 300 malformed files, each with a name of its own, and of each sort.
    """
    malformed = [case for case in CASES if not case.is_fine]

    assert len(malformed) >= 300
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.sent_as for case in malformed} == {
        *("image", "label", "depth", "keypoints", "archive", "body")
    }


@pytest.mark.parametrize("case", [c for c in CASES if not c.is_fine], ids=lambda case: case.name)
def test_a_malformed_file_is_refused(sender, api, case):
    """
    By a problem, or by a report that lists the file: short, in words, and without an error in
    the log of ours.
    """
    report = sender.send(case)

    assert report.state == "refused", report
    assert report.said
    assert re.search(case.says, report.said), report.said
    if case.sent_as not in ("archive", "body"):
        assert f"{case.name}.bin" in report.said
    assert report.size < LONGEST_ANSWER
    assert [line for line in api.logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("case", [c for c in CASES if c.is_fine], ids=lambda case: case.name)
def test_an_odd_file_is_read(sender, case):
    """
    What is merely unusual is no reason to refuse anything.
    """
    assert sender.send(case).state == "kept"


def test_stowaways_are_not_kept(api, sender):
    """
    Pages, scripts and archives that hide in a picture are gone once it is stored.
    """
    for case in CASES:
        if case.name.startswith(("odd-page", "odd-zip")):
            assert re.search(b"script|stowaway", case.make())
            assert sender.send(case).state == "kept"

    stored = [api.services.store.get(key) for key in api.stored() if "/items/" in key]

    assert len(stored) >= 6
    assert not any(b"script" in data or b"stowaway" in data for data in stored)


def test_in_an_archive_only_they_are_left_out(sender):
    """
    A dataset that may skip what is at fault keeps the good pictures, and names every other.
    """
    given = [case for case in CASES if case.sent_as in ("image", "label")]

    report = sender.ingest(packed(given), on_fault="skip")

    named = set(re.findall(r"^(?:images|masks)/(.+)\.png: ", report.said, re.MULTILINE))
    assert report.state == "kept"
    assert named == {case.name.replace("%", "") for case in given if not case.is_fine}


def test_a_report_of_long_names_stays_small(sender):
    """
    A thousand names of megabytes would make a job's record as large as they are.
    """
    members = {f"images/{n:03}{'n' * 4000}.png": b"" for n in range(200)}
    report = sender.ingest(tarred(members))

    assert report.state == "refused"
    assert max(map(len, report.said.splitlines())) < 2000
    assert json.dumps(report.said)

import pytest
from rich.console import Console

from service.cli.progress import Bars, describe, duration, size
from service.client import Job


class TestProgress:
    def test_a_job_in_a_few_words(self):
        """
        Phase, count, rate and what is left, as far as they are known.
        """
        progress = {"phase": "optimising", "done": 1500, "total": 3000, "unit": "steps"}
        known = {**progress, "rate": 12.34, "eta_seconds": 121.6}

        def words(**fields):
            return describe(Job.model_validate({"id": "job_1", **fields}))

        assert words(state="queued") == "queued"
        assert words(state="running", progress=progress) == "optimising 1,500/3,000 steps"
        assert (
            words(state="running", progress=known)
            == "optimising 1,500/3,000 steps, 12.3/s, 2 min 02 s left"
        )
        assert words(state="succeeded", progress=known) == "succeeded"

    def test_a_log_gets_a_line_now_and_then(self, capsys):
        """
        Without a terminal, a line per phase and one every ten seconds, not one per change.
        """
        now = iter([0.0, 0.0, 1.0, 9.0, 10.5, 11.0, 11.5, 12.0])

        def seen(phase, done):
            progress = {"phase": phase, "done": done, "total": 9, "unit": "steps"}
            return Job(id="job_1", state="running", progress=progress)

        with Bars(Console(width=80), clock=lambda: next(now)) as bars:
            bar = bars.add("train")
            for done in range(4):
                bar.job(seen("training", done))
            bar.job(seen("calibrating", 1))
            bar.finish()

        assert capsys.readouterr().out.splitlines() == [
            "train: training 0/9 steps",
            "train: training 3/9 steps",
            "train: calibrating 1/9 steps",
            "train: done in 12 s",
        ]

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.4, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (185, "3 min 05 s"),
            (7800, "2 h 10 min"),
        ],
    )
    def test_durations(self, seconds, words):
        """
        Seconds are said in the two largest units that matter.
        """
        assert duration(seconds) == words

    @pytest.mark.parametrize(
        ("count", "words"), [(0, "0 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (2e13, "20.0 TB")]
    )
    def test_sizes(self, count, words):
        """
        Bytes are said in powers of a thousand.
        """
        assert size(count) == words

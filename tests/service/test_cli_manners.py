import io
import json
import subprocess
import sys

import httpx
import pytest
from rich.console import Console
from support.fake_service import body, job, page, problem

from service.cli.failures import ExitCode
from service.cli.main import run
from service.cli.session import table

READY = {
    "id": "gnn_1",
    "name": "faces",
    "state": "ready",
    "job": {"id": "job_1", "kind": "generate", "state": "succeeded"},
    "parents": {"label_generator": "lbl_1"},
    "result": {"samples": 5, "shards": [{"path": "data/shard-000000.tar"}], "label": {"psi": 1.0}},
}


class TestOutput:
    def test_a_table_for_people(self, handsoff, service):
        """
        Lists are tables of the fields that people look for.
        """
        service.on("GET", "/v1/generators", page([{"id": "gen_1", "name": "FFHQ"}]))

        code, out, _ = handsoff("generator", "list")

        assert code == 0
        assert out.splitlines()[0].split() == ["id", "name", "state", "created_at", "job.id"]
        assert out.splitlines()[1].split() == ["gen_1", "FFHQ"]

    def test_nothing_is_cut_where_a_program_reads(self, handsoff, service):
        """
        Ids and long names stand whole in one line each, however many columns there are.
        """
        row = {
            "id": f"gen_{'1' * 26}",
            "name": "a long name " * 9,
            "job": {"id": f"job_{'1' * 26}"},
        }
        service.on("GET", "/v1/generators", page([row]))

        _, out, _ = handsoff("generator", "list")

        (line,) = out.splitlines()[1:]
        assert row["id"] in line
        assert row["name"].strip() in line
        assert row["job"]["id"] in line

    def test_a_terminal_shows_ids_whole(self):
        """
        Where the lines are short, names and times make room for ids.
        """
        row = {
            "id": f"gen_{'1' * 26}",
            "name": "a long name " * 9,
            "created_at": "2026-11-23T05:53",
        }
        console = Console(file=io.StringIO(), force_terminal=True, width=50)

        console.print(table([row], ("id", "name", "created_at")))

        assert row["id"] in console.file.getvalue()

    @pytest.mark.parametrize("words", [("--json", "jobs", "list"), ("jobs", "list", "--json")])
    def test_json_for_machines(self, handsoff, service, words):
        """
        --json, wherever it stands, makes stdout one JSON document of whole records.
        """
        service.on("GET", "/v1/jobs", page([{"id": "job_1", "state": "running", "new": 1}]))

        code, out, err = handsoff(*words)

        assert code == 0
        assert [(j["id"], j["new"]) for j in json.loads(out)] == [("job_1", 1)]
        assert err == ""

    def test_a_resource_shows_the_figures_of_its_result(self, handsoff, service):
        """
        Long lists are counted, not printed.
        """
        service.on("GET", "/v1/generators/gnn_1", body(READY))

        _, out, _ = handsoff("generator", "show", "gnn_1")

        lines = [line.split() for line in out.splitlines()]
        assert ["label_generator", "lbl_1"] in lines
        assert ["samples", "5"] in lines
        assert ["shards", "1", "entries"] in lines
        assert ["label.psi", "1.0"] in lines

    def test_the_url_may_stand_behind_the_command(self, service, handsoff):
        """
        --url is understood where people write it.
        """
        service.on("GET", "/v1/jobs/job_1", job("running"))

        handsoff("jobs", "show", "job_1", "--url", "http://elsewhere:1234")

        assert str(service.seen[0].url) == "http://elsewhere:1234/v1/jobs/job_1"

    def test_the_url_may_come_from_the_environment(self, service, handsoff, monkeypatch):
        """
        HANDSOFF_URL and HANDSOFF_API_KEY stand for the options.
        """
        monkeypatch.setenv("HANDSOFF_URL", "http://from.environment")
        monkeypatch.setenv("HANDSOFF_API_KEY", "secret")
        service.on("GET", "/v1/jobs/job_1", job("running"))

        handsoff("jobs", "show", "job_1")

        assert service.seen[0].url.host == "from.environment"
        assert service.seen[0].headers["Authorization"] == "Bearer secret"

    def test_tells_its_version(self, handsoff):
        """
        --version prints it and nothing else.
        """
        code, out, _ = handsoff("--version")

        assert code == 0
        assert out.strip().count(".") == 2

    @pytest.mark.parametrize(
        "command",
        [
            ("up",),
            ("demo",),
            *(("generator", verb) for verb in ("register", "list", "show", "preview", "delete")),
            *(("dataset", verb) for verb in ("create", "add", "seal", "list", "show", "delete")),
            *(("inversion", verb) for verb in ("create", "list", "show", "delete")),
            *(("label-generator", verb) for verb in ("create", "list", "show", "delete")),
            ("generate",),
            ("evaluate",),
            ("fetch",),
            ("delete",),
            *(("webhook", verb) for verb in ("create", "list", "show", "test", "deliveries")),
            ("webhook", "delete"),
            *(("jobs", verb) for verb in ("list", "show", "watch", "cancel")),
        ],
    )
    def test_every_command_shows_an_example(self, handsoff, command):
        """
        The help of each command ends its text with how to use it.
        """
        code, out, _ = handsoff(*command, "--help")

        assert code == 0
        assert "Example" in out
        assert f"handsoff {' '.join(command)}" in " ".join(out.split())


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (problem(404, "not_found", "there is no job job_1"), ExitCode.REFUSED),
            (problem(409, "not_ready", "no"), ExitCode.REFUSED),
            (problem(500, "internal_error", "no"), ExitCode.UNREACHABLE),
        ],
    )
    def test_the_exit_code_tells_whose_fault_it_is(self, handsoff, service, answer, expected):
        """
        Refusals and breakdowns have different exit codes.
        """
        service.on("GET", "/v1/jobs/job_1", answer)

        code, out, _ = handsoff("jobs", "show", "job_1")

        assert code == expected
        assert out == ""

    @pytest.mark.parametrize(
        ("state", "expected"),
        [("failed", ExitCode.JOB_FAILED), ("cancelled", ExitCode.JOB_CANCELLED)],
    )
    def test_how_a_job_ended_is_an_exit_code(self, handsoff, service, state, expected):
        """
        Scripts can tell a failed job from a cancelled one.
        """
        service.on("GET", "/v1/jobs/job_1", job(state))

        assert handsoff("jobs", "watch", "job_1")[0] == expected

    def test_one_line_and_a_remedy(self, handsoff, service):
        """
        An error is what is wrong and what to do, never a traceback.
        """
        said = problem(409, "not_ready", "dataset dst_1 is open", remedy="seal it")
        service.on("POST", "/v1/inversions", said)

        code, out, err = handsoff(
            "inversion", "create", "--dataset", "dst_1", "--generator", "gen_1"
        )

        assert code == ExitCode.REFUSED
        assert err.splitlines() == ["error: dataset dst_1 is open", "       seal it"]
        assert out == ""

    def test_errors_are_json_too(self, handsoff, service):
        """
        With --json the problem body is on stdout, whole.
        """
        service.on("GET", "/v1/jobs/job_1", problem(404, "not_found", "no job", request_id="r"))

        code, out, err = handsoff("jobs", "show", "job_1", "--json")

        error = json.loads(out)["error"]
        assert code == ExitCode.REFUSED
        assert (error["code"], error["detail"], error["request_id"]) == ("not_found", "no job", "r")
        assert err == ""

    def test_nobody_there(self, handsoff, service):
        """
        Where no service answers, the remedy is to start one.
        """
        service.on("GET", "/v1/jobs/job_1", httpx.ConnectError("Connection refused"))

        code, _, err = handsoff("jobs", "show", "job_1")

        assert code == ExitCode.UNREACHABLE
        assert "handsoff up" in err

    def test_wrong_usage(self, handsoff):
        """
        A command line that cannot be understood has an exit code of its own.
        """
        assert handsoff("generate", "lbl_1")[0] == ExitCode.MISUSED
        assert handsoff("no-such-command")[0] == ExitCode.MISUSED
        assert handsoff("generator", "register", "/no/such/file")[0] == ExitCode.MISUSED

    def test_an_id_of_the_wrong_kind(self, handsoff, tmp_path):
        """
        A job's id where a resource's is wanted is explained, without asking the service.
        """
        code, _, err = handsoff("fetch", "job_1", tmp_path)

        assert code == ExitCode.REFUSED
        assert "ids look like" in err

    def test_what_nobody_foresaw_keeps_its_traceback(self, service):
        """
        A bug is not dressed up as a user's mistake.
        """
        service.on("GET", "/v1/jobs/job_1", ZeroDivisionError("a bug"))

        with pytest.raises(ZeroDivisionError):
            run(["jobs", "show", "job_1"], transport=service)


class TestStart:
    def test_needs_no_torch_and_little_else(self):
        """
        The command line starts without PyTorch, the service, the workers and their libraries.
        """
        code = (
            "import sys, service.cli.main; "
            "names = ('torch', 'numpy', 'PIL', 'fastapi', 'redis', 'rq', 'boto3', 'webdataset', "
            "'models', 'workers', 'service.app', 'service.supervisor', 'service.cli.demo'); "
            "print([name for name in names if name in sys.modules])"
        )

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

        assert done.stdout.strip() == "[]"

    @pytest.mark.parametrize("module", ["service.cli.demo", "service.supervisor.machine"])
    def test_neither_do_the_demo_and_the_supervisor(self, module):
        """
        What starts everything on this machine runs where PyTorch cannot be imported.
        """
        code = f"import sys; sys.modules['torch'] = None; import {module}; print('fine')"

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

        assert done.stdout.strip() == "fine"

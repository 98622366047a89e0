import hashlib
import json
import subprocess
import sys

import httpx
import pytest
from rich.console import Console
from support.fake_service import FakeService, body, job, page, problem

from service.cli.failures import ExitCode
from service.cli.main import run
from service.cli.progress import Bars, describe, duration, size
from service.client import Job

READY = {
    "id": "gnn_1",
    "name": "faces",
    "state": "ready",
    "job": {"id": "job_1", "kind": "generate", "state": "succeeded"},
    "parents": {"label_generator": "lbl_1"},
    "result": {"samples": 5, "shards": [{"path": "data/shard-000000.tar"}], "label": {"psi": 1.0}},
}
STARTED = {**READY, "state": "pending", "result": None}
COST = {"samples": 5, "shards": 1, "seconds": 90.0, "bytes": 2_500_000, "free_bytes": None}


@pytest.fixture
def service():
    """
    A service without routes.
    """
    return FakeService()


@pytest.fixture
def handsoff(service, capsys):
    """
    Runs a command line; its exit code, stdout and stderr.
    """

    def handsoff(*words):
        with pytest.raises(SystemExit) as ended:
            run([str(word) for word in words], transport=service)
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return handsoff


def sent(service, index=0):
    """
    The JSON body of a request that the service was sent.
    """
    return json.loads(service.seen[index].content)


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
            *(("generator", verb) for verb in ("register", "list", "show", "preview")),
            *(("dataset", verb) for verb in ("create", "add", "seal", "list", "show")),
            *(("inversion", verb) for verb in ("create", "list", "show")),
            *(("label-generator", verb) for verb in ("create", "list", "show")),
            ("generate",),
            ("evaluate",),
            ("fetch",),
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


class TestCommands:
    def test_generate_waits_and_fetches(self, handsoff, service, tmp_path):
        """
        With --out the finished generation lies in that folder.
        """
        shard = b"tar"
        entry = {"path": "data/shard-000000.tar", "bytes": 3, "samples": 5}
        manifest = {"shards": [{**entry, "sha256": hashlib.sha256(shard).hexdigest()}], "files": []}
        service.on("POST", "/v1/generations", body(STARTED, 202))
        service.on("GET", "/v1/jobs/job_1", job("running"), job("succeeded", 2))
        service.on("GET", "/v1/generations/gnn_1", body(READY))
        service.on("GET", "/v1/generations/gnn_1/files/manifest.json", body(manifest))
        service.on(
            "GET",
            "/v1/generations/gnn_1/files/data/shard-000000.tar",
            httpx.Response(200, content=shard),
        )

        code, out, _ = handsoff(
            *("generate", "lbl_1", "-n", "5", "--seed", "3", "--set", "image_format=webp"),
            *("--set", "shard_size=7", "--out", tmp_path, "--json"),
        )

        assert code == 0
        assert json.loads(out)["state"] == "ready"
        assert (tmp_path / "data/shard-000000.tar").read_bytes() == shard
        asked = sent(service)
        assert (asked["count"], asked["seed"]) == (5, 3)
        assert (asked["image_format"], asked["shard_size"]) == ("webp", 7)

    def test_generate_need_not_wait(self, handsoff, service):
        """
        With --no-wait the job is named and left alone.
        """
        service.on("POST", "/v1/generations", body(STARTED, 202))

        code, _, err = handsoff("generate", "lbl_1", "-n", "5", "--no-wait")

        assert code == 0
        assert "handsoff jobs watch job_1" in err
        assert len(service.seen) == 1

    def test_a_dry_run_tells_time_and_size(self, handsoff, service):
        """
        --dry-run starts nothing and says what it would take.
        """
        service.on("POST", "/v1/generations", body(COST))

        code, out, _ = handsoff("generate", "lbl_1", "-n", "5", "--dry-run")

        assert code == 0
        assert service.seen[0].url.params["dry_run"] == "true"
        assert "1 min 30 s" in out
        assert "2.5 MB" in out

    def test_register_uploads_first(self, handsoff, service, tmp_path):
        """
        A checkpoint is uploaded, then registered under the upload's id.
        """
        file = tmp_path / "ffhq.pkl"
        file.write_bytes(b"weights")
        put = {"url": "http://127.0.0.1:8000/put", "method": "PUT"}
        service.on("POST", "/v1/uploads", body({"id": "upl_1", "put": put}, 201))
        service.on("PUT", "/put", httpx.Response(200))
        service.on("POST", "/v1/generators", body({**STARTED, "id": "gen_1"}, 202))

        code, _, _ = handsoff("generator", "register", file, "--licence", "CC0", "--no-wait")

        assert code == 0
        assert sent(service, 2) == {"upload_id": "upl_1", "name": "", "licence": "CC0"}

    def test_a_dataset_from_two_folders(self, handsoff, service, tmp_path):
        """
        Images and masks of the same name go together, in order; then the dataset is sealed.
        """
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir()
            for name in ("b", "a"):
                (tmp_path / folder / f"{name}.png").write_bytes(b"png")
        made = {"id": "dst_1", "state": "open"}
        service.on("POST", "/v1/datasets", body(made, 201))
        service.on("POST", "/v1/datasets/dst_1/items", body({"key": "a"}, 201))
        service.on("POST", "/v1/datasets/dst_1/seal", body({**STARTED, "id": "dst_1"}, 202))

        code, _, _ = handsoff(
            *("dataset", "create", "--classes", "sky, sea", "--no-wait"),
            *("--images", tmp_path / "images", "--masks", tmp_path / "masks"),
        )

        assert code == 0
        assert sent(service)["label"]["classes"] == ["sky", "sea"]
        assert service.paths("POST")[1:] == [
            "/v1/datasets/dst_1/items",
            "/v1/datasets/dst_1/items",
            "/v1/datasets/dst_1/seal",
        ]
        assert b'filename="a.png"' in service.seen[1].content

    def test_an_image_without_a_mask_is_named(self, handsoff, service, tmp_path):
        """
        Nothing is sent when the folders do not match.
        """
        for path in ("images/a.png", "images/b.png", "masks/a.png"):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(b"png")

        code, _, err = handsoff(
            *("dataset", "add", "dst_1"),
            *("--images", tmp_path / "images", "--masks", tmp_path / "masks"),
        )

        assert code == ExitCode.MISUSED
        assert "b.png has no partner" in err
        assert service.seen == []

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "either --classes"),
            (("--classes", "a,b", "--label", "FILE"), "either --classes"),
            (("--label", "FILE"), 'write JSON like {"classes"'),
            (("--classes", "a,b", "--images", "FOLDER"), "belong together"),
        ],
    )
    def test_what_a_dataset_needs(self, handsoff, tmp_path, words, message):
        """
        A dataset without a meaning for its masks, or with half of its folders, is refused here.
        """
        (tmp_path / "file").write_text("not json")
        places = {"FILE": tmp_path / "file", "FOLDER": tmp_path}

        code, _, err = handsoff("dataset", "create", *(places.get(word, word) for word in words))

        assert code == ExitCode.MISUSED
        assert message in err

    def test_a_label_generator_from_a_dataset(self, handsoff, service):
        """
        Options become the fields of the API's configurations.
        """
        service.on("POST", "/v1/label-generators", body({**STARTED, "id": "lbl_1"}, 202))

        handsoff(
            *("label-generator", "create", "--dataset", "dst_1", "--generator", "gen_1"),
            *("--distance", "perceptual", "--members", "3", "--steps", "50", "--no-wait"),
        )

        assert sent(service) == {
            "dataset_id": "dst_1",
            "generator_id": "gen_1",
            "inversion": {"distance": "perceptual"},
            "name": "",
            "config": {"members": 3, "max_steps": 50},
        }

    def test_an_inversion_from_found_latents(self, handsoff, service, tmp_path):
        """
        --latents uploads the file and names it.
        """
        file = tmp_path / "latents.safetensors"
        file.write_bytes(b"latents")
        put = {"url": "http://127.0.0.1:8000/put", "method": "PUT"}
        service.on("POST", "/v1/uploads", body({"id": "upl_1", "put": put}, 201))
        service.on("PUT", "/put", httpx.Response(200))
        service.on("POST", "/v1/inversions", body({**STARTED, "id": "inv_1"}, 202))

        handsoff(
            *("inversion", "create", "--dataset", "dst_1", "--generator", "gen_1"),
            *("--latents", file, "--no-wait"),
        )

        assert sent(service, 2)["latents_upload_id"] == "upl_1"

    def test_evaluate(self, handsoff, service):
        """
        An evaluation names what it trains on and what it tests on.
        """
        service.on("POST", "/v1/evaluations", body({**STARTED, "id": "evl_1"}, 202))

        handsoff(
            *("evaluate", "--generation", "gnn_1", "--validation", "dst_1", "--test", "dst_2"),
            *("--steps", "20", "--no-wait"),
        )

        assert sent(service) == {
            "generation_id": "gnn_1",
            "validation_dataset_id": "dst_1",
            "test_dataset_id": "dst_2",
            "name": "",
            "recipe": {"steps": 20},
        }

    def test_watching_in_json_is_a_line_per_change(self, handsoff, service):
        """
        Machines read a job's changes as JSON lines.
        """
        service.on("GET", "/v1/jobs/job_1", job("queued"), job("running", 2), job("succeeded", 3))

        code, out, _ = handsoff("jobs", "watch", "job_1", "--json")

        assert code == 0
        assert [json.loads(line)["state"] for line in out.splitlines()] == [
            "queued",
            "running",
            "succeeded",
        ]

    def test_a_failed_job_is_shown_with_its_reason(self, handsoff, service):
        """
        `jobs show` tells why a job failed.
        """
        error = {"code": "invalid_dataset", "message": "b.png is no image"}
        service.on("GET", "/v1/jobs/job_1", job("failed", error=error))

        _, out, _ = handsoff("jobs", "show", "job_1")

        assert "b.png is no image" in out

    def test_ctrl_c_leaves_the_job_alone(self, handsoff, service):
        """
        An interrupted wait says how to find the job, and how to end it.
        """

        def interrupt(_):
            raise KeyboardInterrupt

        service.on("POST", "/v1/generations", body(STARTED, 202))
        service.on("GET", "/v1/jobs/job_1", interrupt)

        code, _, err = handsoff("generate", "lbl_1", "-n", "5")

        assert code == ExitCode.INTERRUPTED
        assert "handsoff jobs cancel job_1" in err
        assert service.paths("POST") == ["/v1/generations"]

    def test_a_preview_is_written(self, handsoff, service, tmp_path):
        """
        `generator preview` saves the picture where it is told to.
        """
        service.on(
            "GET", "/v1/generators/gen_1/files/preview.png", httpx.Response(200, content=b"png")
        )

        handsoff("generator", "preview", "gen_1", "--out", tmp_path / "p.png")

        assert (tmp_path / "p.png").read_bytes() == b"png"

    def test_up_says_why_it_cannot_start(self, handsoff, tmp_path):
        """
        A place where no data can be kept has an exit code and a remedy.
        """
        (tmp_path / "file").write_text("")

        code, _, err = handsoff("up", "--data-dir", tmp_path / "file" / "data")

        assert code == ExitCode.NOT_STARTED
        assert "--data-dir" in err


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

import hashlib
import json

import httpx
import pytest
from support.fake_service import body, job

from service.cli.failures import ExitCode

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


def sent(service, index=0):
    """
    The JSON body of a request that the service was sent.
    """
    return json.loads(service.seen[index].content)


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

    def test_generate_with_several_label_generators(self, handsoff, service):
        """
        They are named one after the other, or by an option that is repeated.
        """
        service.on("POST", "/v1/generations", body(STARTED, 202))
        options = ("-n", "500", "--uncertainty-mode", "paper", "--no-wait")

        handsoff("generate", "lbl_1", "lbl_2", *options)
        handsoff("generate", "--label-generator", "lbl_1", "--label-generator", "lbl_2", *options)

        first, second = sent(service), sent(service, 1)
        assert first == second
        assert first["label_generator_ids"] == ["lbl_1", "lbl_2"]
        assert first["uncertainty"] == {"mode": "paper"}

    def test_generate_needs_a_label_generator(self, handsoff, service):
        """
        Without any nothing is asked for.
        """
        code, _, err = handsoff("generate", "-n", "5")

        assert code == ExitCode.MISUSED
        assert "name a label generator" in err
        assert service.seen == []

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
        assert sent(service)["labels"] == [{"kind": "segmentation", "classes": ["sky", "sea"]}]
        assert service.paths("POST")[1:] == [
            "/v1/datasets/dst_1/items",
            "/v1/datasets/dst_1/items",
            "/v1/datasets/dst_1/seal",
        ]
        assert b'filename="a.png"' in service.seen[1].content

    def test_a_dataset_of_several_kinds(self, handsoff, service, tmp_path):
        """
        Folders of masks, keypoints and depth go with the images of the same names.
        """
        for path in ("images/a.jpg", "masks/a.npy", "points/a.json", "depth/a.png"):
            (tmp_path / path).parent.mkdir()
            (tmp_path / path).write_bytes(b"content")
        kinds = [{"classes": ["sky", "sea"]}, {"kind": "keypoints", "names": ["a"]}]
        (tmp_path / "kinds.json").write_text(json.dumps([*kinds, {"kind": "depth"}]))
        service.on("POST", "/v1/datasets", body({"id": "dst_1", "state": "open"}, 201))
        service.on("POST", "/v1/datasets/dst_1/items", body({"key": "a"}, 201))
        service.on("POST", "/v1/datasets/dst_1/seal", body({**STARTED, "id": "dst_1"}, 202))

        code, _, _ = handsoff(
            *("dataset", "create", "--label", tmp_path / "kinds.json", "--no-wait"),
            *("--images", tmp_path / "images", "--masks", tmp_path / "masks"),
            *("--keypoints", tmp_path / "points", "--depth", tmp_path / "depth"),
        )

        assert code == 0
        assert [each["kind"] for each in sent(service)["labels"]] == [
            "segmentation",
            "keypoints",
            "depth",
        ]
        for part in (b'"label"; filename="a.npy"', b'"keypoints"; filename="a.json"', b'"depth"'):
            assert b"name=" + part in service.seen[1].content

    def test_a_dataset_from_a_bucket(self, handsoff, service):
        """
        A domain, an address and the fit are what the service is asked for.
        """
        service.on("POST", "/v1/datasets", body({**STARTED, "id": "dst_1"}, 202))

        code, _, _ = handsoff(
            *("dataset", "create", "--domain", "faces-8", "--archive", "s3://sets/a.zip"),
            *("--fit", "crop", "--canvas", "256x128", "--on-fault", "skip", "--no-wait"),
            *("--layout", "celebamask", "--landmarks", "nose,chin", "--set", "tiny_classes=clean"),
        )

        assert code == 0
        assert sent(service) == {
            "domain": "faces-8",
            "source": "s3://sets/a.zip",
            "fit": {
                "policy": {"name": "centre_crop"},
                "canvas": {"height": 256, "width": 128},
                "landmarks": {"kind": "keypoints", "names": ["nose", "chin"]},
            },
            "on_fault": "skip",
            "layout": "celebamask",
            "tiny_classes": "clean",
            "name": "",
            "licence": "",
        }

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
            (("--classes", "a,b", "--domain", "faces-8"), "either --classes"),
            (("--classes", "a,b", "--canvas", "512"), "write HEIGHTxWIDTH"),
            (("--classes", "a,b", "--archive", "none.zip"), "no such file or folder"),
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
            *("--kind", "keypoints"),
            *("--encoder", "enc_1"),
        )

        assert sent(service) == {
            "dataset_id": "dst_1",
            "generator_id": "gen_1",
            "encoder_id": "enc_1",
            "inversion": {"distance": "perceptual"},
            "kind": "keypoints",
            "name": "",
            "config": {"members": 3, "max_steps": 50},
        }

    def test_an_encoder_is_trained(self, handsoff, service):
        """
        Options and `--set` become the fields of the training's configuration.
        """
        service.on("POST", "/v1/encoders/train", body({**STARTED, "id": "enc_1"}, 202))

        handsoff(
            *("encoder", "train", "gen_1", "--dataset", "dst_1", "--no-wait"),
            *("--backbone", "small", "--steps", "2000", "--set", "batch=16"),
        )

        assert sent(service) == {
            "generator_id": "gen_1",
            "dataset_id": "dst_1",
            "name": "",
            "config": {"backbone": "small", "steps": 2000, "batch": 16},
        }

    def test_a_label_generator_like_another(self, handsoff, service):
        """
        Images are excluded one option each, beside the rules.
        """
        service.on("POST", "/v1/label-generators", body({**STARTED, "id": "lbl_2"}, 202))

        handsoff(
            *("label-generator", "create", "--like", "lbl_1", "--no-wait"),
            *("--exclude", "one", "--exclude", "two", "--max-distance", "0.5", "--drop-worst", "2"),
        )

        assert sent(service) == {
            "like": "lbl_1",
            "exclude": ["one", "two"],
            "max_distance": 0.5,
            "drop_worst": 2,
            "name": "",
        }

    @pytest.mark.parametrize("option", [("--encoder", "enc_1"), ("--distance", "lpips")])
    def test_what_is_of_an_inversion_needs_one_to_be_made(self, handsoff, service, option):
        """
        Beside an inversion that is there already, its options are refused here, by name.
        """
        code, _, err = handsoff("label-generator", "create", "--inversion", "inv_1", *option)

        assert (code, service.seen) == (ExitCode.MISUSED, [])
        assert f"{option[0]}: of the inversion that is made first" in err

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

    @pytest.mark.parametrize(
        ("kind", "figures"),
        [
            ("keypoints", {"pck_0.1": 0.97, "pck_0.05": 0.76, "pck_0.02": 0.17}),
            ("depth", {"mnmse": 0.25, "rmse": 1.45, "rmse_log": 0.16}),
        ],
    )
    def test_an_evaluation_shows_the_figures_of_its_kind(self, handsoff, service, kind, figures):
        """
        The table has a line for each figure, whatever the kind of label.
        """
        report = {"kind": kind, **figures}
        ready = {**READY, "id": "evl_1", "result": report}
        service.on("POST", "/v1/evaluations", body({**STARTED, "id": "evl_1"}, 202))
        service.on("GET", "/v1/jobs/job_1", job("succeeded"))
        service.on("GET", "/v1/evaluations/evl_1", body(ready))

        _, out, _ = handsoff(
            *("evaluate", "--dataset", "dst_3", "--validation", "dst_1", "--test", "dst_2"),
            *("--kind", kind),
        )

        assert sent(service)["kind"] == kind
        lines = dict(line.split()[:2] for line in out.splitlines() if len(line.split()) > 1)
        assert {name: lines[name] for name in report} == {k: str(v) for k, v in report.items()}

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

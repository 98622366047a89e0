"""Commands on checkpoint files, which need no service."""

import hashlib
import json
from pathlib import Path

import pytest
from support.fake_service import body

from service.cli.failures import ExitCode

FILE = Path(__file__).parents[1] / "golden" / "ros_r32.pt"
STARTED = {"id": "gnn_1", "state": "pending", "job": {"id": "job_1", "state": "queued"}}


class TestFiles:
    def test_are_inspected(self, handsoff, service):
        """
        A table for people; the service is not asked.
        """
        code, out, _ = handsoff("generator", "inspect", FILE)

        assert code == 0
        assert "rosinality" in out
        assert "3 x 32 x 32" in out
        assert hashlib.sha256(FILE.read_bytes()).hexdigest() in out
        assert service.seen == []

    def test_are_converted(self, handsoff, tmp_path):
        """
        With --json stdout carries the document alone.
        """
        out = tmp_path / "out.safetensors"

        code, said, _ = handsoff("generator", "convert", FILE, out, "--json")

        assert code == 0
        assert json.loads(said)["bytes"] == out.stat().st_size

    def test_that_cannot_be_read_are_named(self, handsoff):
        """
        A generator is no encoder: the reader's own words, as wrong usage.
        """
        code, _, err = handsoff("encoder", "inspect", FILE)

        assert code == ExitCode.MISUSED
        assert "a generator, not an encoder" in err

    def test_without_torch_are_not_read(self, handsoff, tmp_path, monkeypatch):
        """
        Where the workers' packages are missing, they are named.
        """
        (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(name='torch')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

        code, out, _ = handsoff("generator", "sample", FILE, "--json")

        assert code == ExitCode.NOT_STARTED
        assert "handsoff[worker]" in json.loads(out)["error"]["detail"]

    def test_wrong_options_are_told_in_a_line(self, handsoff, tmp_path):
        """
        What the reader's own command line refuses is one line here too.
        """
        words = ("--seeds", "a-b", "--out", tmp_path / "x.png")

        code, _, err = handsoff("generator", "sample", FILE, *words)

        assert code == ExitCode.MISUSED
        assert "neither a seed nor a range" in err


class TestService:
    def test_addresses_are_passed_on(self, handsoff, service):
        """
        An s3:// address is registered without an upload.
        """
        service.on("POST", "/v1/generators", body({**STARTED, "id": "gen_1"}, 202))

        code, _, _ = handsoff("generator", "register", "s3://models/a.pkl", "--no-wait")

        assert code == 0
        assert json.loads(service.seen[0].content)["source"] == "s3://models/a.pkl"

    def test_a_file_that_is_not_there_is_wrong_usage(self, handsoff, service):
        """
        Nothing is sent for a file that cannot be read.
        """
        code, _, err = handsoff("encoder", "register", "none.pt")

        assert code == ExitCode.MISUSED
        assert "none.pt is no file" in err
        assert service.seen == []

    def test_an_encoder_is_registered_with_its_generator(self, handsoff, service, tmp_path):
        """
        Options become the request's fields.
        """
        (tmp_path / "e4e.pt").write_bytes(b"weights")
        put = {"url": "http://127.0.0.1:8000/put", "method": "PUT"}
        service.on("POST", "/v1/uploads", body({"id": "upl_1", "put": put}, 201))
        service.on("PUT", "/put", body({}))
        service.on("POST", "/v1/encoders", body({**STARTED, "id": "enc_1"}, 202))

        handsoff("encoder", "register", tmp_path / "e4e.pt", "--decoder", "--family", "e4e",
                 "--no-wait")  # fmt: skip

        assert json.loads(service.seen[2].content) == {
            "upload_id": "upl_1",
            "name": "",
            "licence": "",
            "family": "e4e",
            "register_decoder": True,
        }

    @pytest.mark.parametrize(("given", "sent"), [("3", 3), ("0.5,0.5,0", [0.5, 0.5, 0.0])])
    def test_classes_of_a_generation(self, handsoff, service, given, sent):
        """
        One class or weights, as the API takes them.
        """
        service.on("POST", "/v1/generations", body(STARTED, 202))

        handsoff("generate", "lbl_1", "-n", "5", "--labels", given, "--no-wait")

        assert json.loads(service.seen[0].content)["labels"] == sent

    def test_classes_that_are_none(self, handsoff, service):
        """
        Words are neither a class nor weights.
        """
        code, _, err = handsoff("generate", "lbl_1", "-n", "5", "--labels", "ship")

        assert code == ExitCode.MISUSED
        assert "write a class like 3" in err

"""Datasets from a folder on the user's machine: by the client and by the command line."""

import io
import json
import zipfile

import httpx
import pytest
from support.fake_service import body

from service.cli.failures import ExitCode
from service.client import Client, Misused, Upload

MADE = {"id": "dst_1", "state": "pending", "job": {"id": "job_1", "state": "queued"}}


@pytest.fixture
def client(service):
    """
    A client of a service without routes.
    """
    with Client("http://handsoff.test", transport=service) as client:
        yield client


@pytest.fixture
def taking(service):
    """
    The same service when it takes uploads and datasets.
    """
    put = {"url": "http://127.0.0.1:8000/put", "method": "PUT"}
    service.on("POST", "/v1/uploads", body({"id": "upl_1", "put": put}, 201))
    service.on("PUT", "/put", httpx.Response(200))
    service.on("POST", "/v1/datasets", body(MADE, 202))
    return service


@pytest.fixture
def faces(tmp_path):
    """
    A folder of two labelled pictures.
    """
    for name in ("images/1.png", "images/2.png", "masks/1.png", "masks/2.png", ".hidden"):
        (tmp_path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / name).write_bytes(name.encode())
    return tmp_path / "faces"


def names(service):
    """
    What the zip that was uploaded holds.
    """
    announced, sent = (json.loads(service.seen[0].content), service.seen[1].content)
    assert announced == {"filename": "faces.zip", "size": len(sent)}
    return zipfile.ZipFile(io.BytesIO(sent)).namelist()


class TestClient:
    def test_sends_a_folder_as_a_zip(self, client, taking, faces):
        """
        It is packed, uploaded and named as any other archive is.
        """
        told = []

        client.datasets.create(
            ["a", "b"], archive=faces, on_bytes=lambda *bytes_: told.append(bytes_)
        )

        assert names(taking) == ["images/1.png", "images/2.png", "masks/1.png", "masks/2.png"]
        assert json.loads(taking.seen[2].content)["upload_id"] == "upl_1"
        assert told[-1][0] == told[-1][1] == len(taking.seen[1].content)

    def test_sends_a_part_of_a_folder(self, client, taking, faces):
        """
        Patterns choose the files.
        """
        client.datasets.create(["a", "b"], archive=str(faces), only=["*/1.png"])

        assert names(taking) == ["images/1.png", "masks/1.png"]

    @pytest.mark.parametrize("archive", [None, "s3://sets/a/", Upload(id="upl_1"), "FILE"])
    def test_only_of_a_folder(self, client, service, tmp_path, archive):
        """
        Of what is one file already, or elsewhere, no part can be sent; nothing is asked for.
        """
        (tmp_path / "a.zip").write_bytes(b"zip")
        place = tmp_path / "a.zip" if archive == "FILE" else archive

        with pytest.raises(Misused, match="files of a folder on this machine"):
            client.datasets.create(["a", "b"], archive=place, only=["*.png"])
        assert service.seen == []

    def test_an_empty_folder_is_not_sent(self, client, service, tmp_path):
        """
        What would be refused costs no upload.
        """
        with pytest.raises(Misused, match="holds no files to send"):
            client.datasets.create(["a", "b"], archive=tmp_path)
        assert service.seen == []


class TestCommandLine:
    def test_packs_and_uploads_with_bars(self, handsoff, taking, faces):
        """
        Both take a while, and both say how far they are.
        """
        code, _, err = handsoff(
            *("dataset", "create", "--classes", "a,b", "--archive", faces, "--no-wait"),
            *("--only", "images/*", "--only", "masks/[2-9].png"),
        )

        assert code == 0
        assert names(taking) == ["images/1.png", "images/2.png", "masks/2.png"]
        assert json.loads(taking.seen[2].content)["upload_id"] == "upl_1"
        assert "pack faces: " in err
        assert "upload faces.zip: " in err

    def test_a_folder_of_a_bucket_stays_there(self, handsoff, taking):
        """
        Its address is passed on, with the `/` at its end.
        """
        words = ("--classes", "a,b", "--archive", "s3://sets/faces/", "--no-wait")

        code, _, _ = handsoff("dataset", "create", *words)

        assert code == 0
        assert json.loads(taking.seen[0].content)["source"] == "s3://sets/faces/"

    @pytest.mark.parametrize(
        ("words", "expected", "message"),
        [
            (("--archive", "FILE", "--only", "*"), ExitCode.MISUSED, "name one with --archive"),
            (
                ("--archive", "s3://a/b/", "--only", "*"),
                ExitCode.MISUSED,
                "name one with --archive",
            ),
            (("--only", "*.png"), ExitCode.MISUSED, "name one with --archive FOLDER"),
            (("--archive", "FOLDER", "--only", "*.gif"), ExitCode.REFUSED, "is called *.gif"),
            (("--archive", "EMPTY"), ExitCode.REFUSED, "holds no files to send"),
            (("--archive", "nowhere"), ExitCode.MISUSED, "no such file or folder"),
        ],
    )
    def test_what_cannot_be_sent_is_said_at_once(
        self, handsoff, service, faces, tmp_path, words, expected, message
    ):
        """
        Nothing is uploaded of what would be refused.
        """
        (tmp_path / "empty").mkdir()
        places = {"FILE": faces / "images/1.png", "FOLDER": faces, "EMPTY": tmp_path / "empty"}

        code, _, err = handsoff(
            *("dataset", "create", "--classes", "a,b"), *(places.get(word, word) for word in words)
        )

        assert code == expected
        assert message in err
        assert service.seen == []

import json
import subprocess
import sys

import httpx
import pytest
from support.fake_service import FakeService, body, page, problem

from service.client import (
    BadRequest,
    Client,
    ConnectionFailed,
    Depth,
    Keypoints,
    NotAllowed,
    NotFound,
    Resource,
    Segmentation,
    ServiceFault,
    Upload,
)
from service.client._models import COLLECTIONS
from workers import keys

GENERATION = {"id": "gnn_1", "state": "pending", "job": {"id": "job_1", "state": "queued"}}
REFUSED = httpx.ConnectError("Connection refused")


@pytest.fixture
def service():
    """
    A service without routes.
    """
    return FakeService()


@pytest.fixture
def pauses():
    """
    How long the client paused, each time.
    """
    return []


@pytest.fixture
def client(service, pauses):
    """
    A client of that service, which does not really sleep.
    """
    with Client("http://handsoff.test", api_key="secret", transport=service) as client:
        client.transport.sleep = pauses.append
        yield client


class TestRequests:
    def test_a_creation_is_sent_again_under_the_same_key(self, client, service):
        """
        A POST whose answer was lost is repeated with its first Idempotency-Key, so that the
        service makes one thing only.
        """
        service.on("POST", "/v1/generations", REFUSED, REFUSED, body(GENERATION, 202))

        made = client.generations.create("lbl_1", 5)

        sent = [request.headers["Idempotency-Key"] for request in service.seen]
        assert made.id == "gnn_1"
        assert len(sent) == 3
        assert len(set(sent)) == 1

    def test_two_creations_have_two_keys(self, client, service):
        """
        Asking twice makes two things, unless the caller names the key.
        """
        service.on("POST", "/v1/generations", body(GENERATION, 202))

        client.generations.create("lbl_1", 5)
        client.generations.create("lbl_1", 5)
        client.generations.create("lbl_1", 5, idempotency_key="mine")

        first, second, third = (request.headers["Idempotency-Key"] for request in service.seen)
        assert first != second
        assert third == "mine"

    def test_pauses_as_long_as_a_busy_service_wishes(self, client, service, pauses):
        """
        Retry-After of a 503 is obeyed; without it pauses double.
        """
        busy = problem(503, "queue_unavailable", "Redis does not answer")
        wish = httpx.Response(503, headers={"Retry-After": "5"})
        service.on("GET", "/v1/generations/gnn_1", wish, busy, busy, body(GENERATION))

        client.generations.get("gnn_1")

        assert pauses == [5, 0.5, 1.0]

    def test_says_where_nobody_answers(self, client, service, pauses):
        """
        When every attempt was in vain, the error names the address and says what to do.
        """
        service.on("GET", "/v1/generations/gnn_1", REFUSED)

        with pytest.raises(ConnectionFailed, match=r"http://handsoff\.test") as caught:
            client.generations.get("gnn_1")

        assert "handsoff up" in caught.value.remedy
        assert len(service.seen) == 4
        assert len(pauses) == 3

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, BadRequest),
            (401, NotAllowed),
            (404, NotFound),
            (409, BadRequest),
            (422, BadRequest),
            (500, ServiceFault),
            (503, ServiceFault),
            (507, ServiceFault),
        ],
    )
    def test_a_problem_becomes_an_error_of_its_kind(self, client, service, status, kind):
        """
        The class tells whose fault it is; code, detail and remedy are those of the body.
        """
        said = problem(status, "a_code", "what is wrong", remedy="what to do", request_id="r1")
        service.on("GET", "/v1/datasets/dst_1", said)

        with pytest.raises(kind) as caught:
            client.datasets.get("dst_1")

        error = caught.value
        assert (error.code, error.detail, error.remedy) == ("a_code", "what is wrong", "what to do")
        assert error.problem["request_id"] == "r1"
        assert str(error) == "what is wrong"

    def test_an_answer_from_something_else_is_still_told(self, client, service):
        """
        An error page of a proxy has no problem body; its text is shown.
        """
        service.on("GET", "/v1/datasets/dst_1", httpx.Response(413, text="<h1>Too large</h1>"))

        with pytest.raises(BadRequest, match="Too large") as caught:
            client.datasets.get("dst_1")

        assert caught.value.code == "http_413"

    def test_keeps_what_it_does_not_know(self, client, service):
        """
        Fields and states of a newer service are kept, and are no error.
        """
        newer = {**GENERATION, "state": "frozen", "colour": "blue"}
        service.on("GET", "/v1/generations/gnn_1", body(newer))

        seen = client.generations.get("gnn_1")

        assert seen.state == "frozen"
        assert seen.model_dump()["colour"] == "blue"


class TestResources:
    def test_prefixes_are_those_of_the_bucket(self):
        """
        The client's own table of id prefixes agrees with the one that ids are made with.
        """
        made = {prefix: name for name, prefix in keys.PREFIX.items() if name in keys.FINAL}

        assert made == COLLECTIONS

    def test_leaves_defaults_to_the_service(self, client, service):
        """
        What the caller does not say is not sent.
        """
        service.on("POST", "/v1/inversions", body({"id": "inv_1"}, 202))

        client.inversions.create("dst_1", "gen_1", steps=150)

        sent = json.loads(service.seen[0].content)
        assert sent == {
            "dataset_id": "dst_1",
            "generator_id": "gen_1",
            "name": "",
            "config": {"steps": 150},
        }

    def test_resources_stand_for_their_ids(self, client, service):
        """
        A resource may be named by itself or by its id.
        """
        service.on("POST", "/v1/evaluations", body({"id": "evl_1"}, 202))
        named = {"generation": Resource(id="gnn_1"), "validation": "dst_1", "test": "dst_2"}

        client.evaluations.create(**named)

        sent = json.loads(service.seen[0].content)
        assert sent["generation_id"] == "gnn_1"
        assert "dataset_id" not in sent

    def test_a_generation_may_have_one_label_generator_or_several(self, client, service):
        """
        One label generator or a list of them; the drop share becomes the uncertainty rule.
        """
        service.on("POST", "/v1/generations", body(GENERATION, 202))

        client.generations.create(Resource(id="lbl_1"), 5, drop=0.2, psi=0.7)
        client.generations.create(["lbl_1", Resource(id="lbl_2")], 5)

        first, second = (json.loads(request.content) for request in service.seen)
        assert first["label_generator_ids"] == ["lbl_1"]
        assert first["uncertainty"] == {"drop": 0.2}
        assert first["psi"] == 0.7
        assert second["label_generator_ids"] == ["lbl_1", "lbl_2"]
        assert "uncertainty" not in second

    def test_ranks_in_place_of_a_limit_are_asked_for_by_mode(self, client, service):
        """
        The mode is part of the uncertainty rule, with a share or without one.
        """
        service.on("POST", "/v1/generations", body(GENERATION, 202))

        client.generations.create("lbl_1", 500, uncertainty_mode="paper")
        client.generations.create("lbl_1", 500, drop=0.2, uncertainty_mode="paper")

        rules = [json.loads(request.content)["uncertainty"] for request in service.seen]
        assert rules == [{"mode": "paper"}, {"mode": "paper", "drop": 0.2}]

    def test_kinds_are_named_where_there_are_several(self, client, service):
        """
        A label generator learns, and an evaluation judges, the kind that is named.
        """
        service.on("POST", "/v1/label-generators", body({"id": "lbl_1"}, 202))
        service.on("POST", "/v1/evaluations", body({"id": "evl_1"}, 202))

        client.label_generators.create("inv_1", kind="depth")
        client.label_generators.create("inv_1")
        client.evaluations.create(dataset="d", validation="v", test="t", kind="keypoints")

        sent = [json.loads(request.content) for request in service.seen]
        assert [each.get("kind") for each in sent] == ["depth", None, "keypoints"]

    def test_a_label_generator_is_made_like_another(self, client, service):
        """
        Only what is said is sent, with the other's id.
        """
        service.on("POST", "/v1/label-generators", body({"id": "lbl_2"}, 202))

        client.label_generators.create(like="lbl_1", exclude=["one"], drop_worst=0.1)

        (sent,) = [json.loads(request.content) for request in service.seen]
        assert sent == {"like": "lbl_1", "exclude": ["one"], "drop_worst": 0.1, "name": ""}

    def test_a_dry_run_starts_nothing(self, client, service):
        """
        The estimate is asked for with the body of the generation itself.
        """
        cost = {"samples": 10, "shards": 1, "seconds": 2.5, "bytes": None}
        service.on("POST", "/v1/generations", body(cost))

        estimate = client.generations.dry_run("lbl_1", 10, seed=3)

        assert service.seen[0].url.query == b"dry_run=true"
        assert json.loads(service.seen[0].content)["seed"] == 3
        assert (estimate.seconds, estimate.bytes) == (2.5, None)

    def test_items_are_sent_as_pairs(self, client, service, tmp_path):
        """
        An image and its mask go together, under the image's name.
        """
        service.on("POST", "/v1/datasets/dst_1/items", body({"key": "a"}, 201))
        for name in ("a.png", "a_mask.png"):
            (tmp_path / name).write_bytes(name.encode())

        count = client.datasets.add("dst_1", [(tmp_path / "a.png", tmp_path / "a_mask.png")])

        sent = service.seen[0].content
        assert count == 1
        assert b'name="image"; filename="a.png"' in sent
        assert b'name="label"; filename="a_mask.png"' in sent
        assert b'name="key"\r\n\r\na\r\n' in sent

    def test_items_may_have_labels_of_several_kinds(self, client, service, tmp_path):
        """
        Files are sent as the parts that they are called by.
        """
        service.on("POST", "/v1/datasets/dst_1/items", body({"key": "a"}, 201))
        item = {"image": tmp_path / "a.png", "depth": tmp_path / "a.npy"}
        for path in item.values():
            path.write_bytes(b"content")

        client.datasets.add("dst_1", [item])

        sent = service.seen[0].content
        assert b'name="depth"; filename="a.npy"' in sent
        assert b'name="label"' not in sent

    def test_labels_of_several_kinds(self, client, service):
        """
        What is not said of a label is left to the service, and so is all else.
        """
        service.on("POST", "/v1/datasets", body({"id": "dst_1", "state": "open"}, 201))

        client.datasets.create(labels=[Keypoints(names=("nose",)), Depth(invalid=None)])
        client.datasets.create(domain="faces-8", archive="s3://sets/a.zip", on_fault="skip")

        kinds, domain = [json.loads(request.content) for request in service.seen]
        assert kinds["labels"] == [
            {"kind": "keypoints", "names": ["nose"]},
            {"kind": "depth", "invalid": None},
        ]
        assert domain["domain"] == "faces-8"
        assert domain["source"] == "s3://sets/a.zip"
        assert domain["on_fault"] == "skip"

    def test_class_names_alone_are_a_label(self, client, service):
        """
        A dataset may be made with class names, or with a whole specification.
        """
        service.on("POST", "/v1/datasets", body({"id": "dst_1", "state": "open"}, 201))

        client.datasets.create(["sky", "sea"])
        client.datasets.create(Segmentation(classes=("sky", "sea"), ignore_index=255))

        labels = [json.loads(request.content)["label"] for request in service.seen]
        assert labels == [
            {"kind": "segmentation", "classes": ["sky", "sea"]},
            {"kind": "segmentation", "classes": ["sky", "sea"], "ignore_index": 255},
        ]

    def test_lists_go_on_until_the_last_page(self, client, service):
        """
        Pages are asked for as they are needed, up to the limit.
        """
        first = page([{"id": "gen_1"}, {"id": "gen_2"}], cursor="next")
        service.on("GET", "/v1/generators", first, page([{"id": "gen_3"}]))

        found = [generator.id for generator in client.generators.list()]

        assert found == ["gen_1", "gen_2", "gen_3"]
        assert dict(service.seen[1].url.params)["after"] == "next"

    def test_a_limit_ends_a_list(self, client, service):
        """
        No more is asked for than the caller wants.
        """
        service.on("GET", "/v1/jobs", page([{"id": "job_1"}, {"id": "job_2"}], cursor="next"))

        found = list(client.jobs.list(state="running", limit=2))

        assert len(found) == 2
        assert dict(service.seen[0].url.params) == {"state": "running", "limit": "2"}
        assert len(service.seen) == 1


class TestUploads:
    @pytest.fixture
    def file(self, tmp_path):
        """
        A file of two and a half megabytes.
        """
        path = tmp_path / "ffhq.pkl"
        path.write_bytes(b"0123456789" * 250_000)
        return path

    def test_bytes_go_where_the_service_says(self, client, service, file):
        """
        The ticket names method, address and headers; the API key stays with the service.
        """
        put = {"url": "http://bucket.test/x", "method": "PUT", "headers": {"x-amz-a": "1"}}
        service.on("POST", "/v1/uploads", body({"id": "upl_1", "put": put}, 201))
        service.on("PUT", "/x", httpx.Response(200))
        seen = []

        upload = client.uploads.create(file, lambda done, total: seen.append((done, total)))

        ticket, sent = service.seen
        assert upload.id == "upl_1"
        assert json.loads(ticket.content) == {"filename": "ffhq.pkl", "size": 2_500_000}
        assert ticket.headers["Authorization"] == "Bearer secret"
        assert sent.content == file.read_bytes()
        assert sent.headers["x-amz-a"] == "1"
        assert sent.headers["Content-Length"] == "2500000"
        assert "Transfer-Encoding" not in sent.headers
        assert "Authorization" not in sent.headers
        assert seen[-1] == (2_500_000, 2_500_000)
        assert len(seen) == 3

    def test_an_interrupted_upload_begins_anew(self, client, service, file):
        """
        When the connection breaks, the whole file is sent again.
        """
        put = {"url": "http://handsoff.test/put", "method": "PUT"}
        service.on("POST", "/v1/uploads", body({"id": "upl_1", "put": put}, 201))
        service.on("PUT", "/put", httpx.WriteError("broken pipe"), httpx.Response(200))

        client.uploads.create(file)

        assert [request.content for request in service.seen[1:]] == [file.read_bytes()] * 2

    def test_an_upload_can_be_used_as_it_is(self, client, service):
        """
        Where bytes are wanted, an upload stands for them.
        """
        service.on("POST", "/v1/generators", body({"id": "gen_1"}, 202))

        client.generators.create(Upload(id="upl_7"), licence="CC0")

        sent = json.loads(service.seen[0].content)
        assert sent == {"upload_id": "upl_7", "name": "", "licence": "CC0"}


class TestDependencies:
    def test_needs_httpx_and_pydantic_alone(self):
        """
        Importing the client brings in no other layer of ours and none of their libraries.
        """
        code = (
            "import sys, service.client; "
            "ours = ('models', 'workers', 'service.cli', 'service.app', 'service.schemas'); "
            "theirs = ('torch', 'numpy', 'PIL', 'fastapi', 'redis', 'rq', 'boto3'); "
            "print([name for name in (*ours, *theirs) if name in sys.modules])"
        )

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

        assert done.stdout.strip() == "[]"

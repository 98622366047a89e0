"""Checkpoints as users bring them: by upload or by address, generators and encoders."""

import pytest
from support.api import problem, serve

from service.services import connect_services

GENERATOR = {"num_ws": 6, "w_dim": 8, "label_dim": 0}
ENCODER = {"kind": "e4e", "num_ws": 6, "w_dim": 8, "input_shape": [3, 256, 256]}


class TestAddresses:
    @pytest.fixture
    def open_api(self, settings):
        """
        A service whose operator has allowed one prefix.
        """
        settings = settings.model_copy(update={"import_prefixes": ("s3://models/gan/",)})
        yield from serve(settings, connect_services(settings))

    @pytest.mark.parametrize("collection", ["generators", "encoders"])
    def test_are_refused_at_first(self, api, collection):
        """
        No address is allowed until the operator says so; the setting is named.
        """
        answer = api.post(f"/v1/{collection}", {"source": "s3://models/gan/a.pkl"})

        told = problem(answer, 422, "source_not_allowed")
        assert told["errors"][0]["pointer"] == "/source"
        assert "HANDSOFF_IMPORT_PREFIXES" in told["remedy"]
        assert api.stored() == []

    def test_are_taken_below_a_prefix(self, open_api):
        """
        The job fetches the file; nothing was uploaded for it.
        """
        made = open_api.post("/v1/generators", {"source": "s3://models/gan/a.pkl"}).json()

        assert made["job"]["kind"] == "register"
        assert made["spec"] == {"upload_id": None, "source": "s3://models/gan/a.pkl"}
        assert made["parents"] == {}

    def test_beside_the_prefix_are_refused(self, open_api):
        """
        What is allowed is told, so that a typing error is found.
        """
        answer = open_api.post("/v1/generators", {"source": "s3://models/other/a.pkl"})

        assert "s3://models/gan/" in problem(answer, 422, "source_not_allowed")["detail"]


class TestEncoders:
    def test_are_registered_by_a_job(self, api):
        """
        An uploaded file becomes an encoder by a job of its own kind.
        """
        upload = api.upload()
        body = {"upload_id": upload, "name": "faces", "family": "e4e", "licence": "MIT"}

        made = api.post("/v1/encoders", body).json()

        assert made["id"].startswith("enc_")
        assert made["job"]["kind"] == "register_encoder"
        assert made["parents"] == {"upload": upload}
        assert made["spec"] == {"upload_id": upload, "source": None, "family": "e4e"}
        assert [made["id"]] == [e["id"] for e in api.get("/v1/encoders").json()["data"]]

    def test_bring_their_generator(self, api):
        """
        The generator inside becomes one of its own, once per request, with a job of its own.
        """
        body = {"upload_id": api.upload(), "name": "faces", "register_decoder": True}
        headers = {"Idempotency-Key": "k"}
        made = [api.post("/v1/encoders", body, headers=headers).json() for _ in range(2)]

        (generator,) = api.get("/v1/generators").json()["data"]
        assert made[0]["id"] == made[1]["id"]
        assert made[0]["parents"]["generator"] == generator["id"]
        assert (generator["name"], generator["job"]["kind"]) == ("faces", "register")
        assert generator["parents"] == {"upload": body["upload_id"]}
        assert made[0]["job"]["after"] == []

    def test_files_have_their_digest(self, api):
        """
        The card's digest is that of the one file it is about.
        """
        encoder = api.made("encoders", {"upload_id": api.upload()})
        api.put_file("encoders", encoder, "encoder.safetensors", b"weights")
        api.finish("encoders", encoder, {**ENCODER, "sha256": "a" * 64})

        files = api.get(f"/v1/encoders/{encoder}/files").json()["data"]

        digests = {file["path"]: file["sha256"] for file in files}
        assert digests == {"encoder.safetensors": "a" * 64, "card.json": None}


class TestTrainedEncoders:
    def test_are_made_by_a_job(self, api):
        """
        A generator is enough: the rest has defaults, and the answer says which.
        """
        generator = api.generator()

        answer = api.post("/v1/encoders/train", {"generator_id": generator, "name": "faces"})

        made = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (202, made["links"]["self"])
        assert made["links"]["self"] == f"/v1/encoders/{made['id']}"
        assert (made["job"]["kind"], made["name"]) == ("train_encoder", "faces")
        assert made["parents"] == {"generator": generator}
        assert made["spec"]["config"]["backbone"] == "resnet34"

    def test_wait_for_what_they_learn_from(self, api):
        """
        Generator and dataset may be on their way; an encoder like any other comes of it.
        """
        body = {"generator_id": api.generator(), "dataset_id": api.dataset()}

        made = api.post("/v1/encoders/train", {**body, "config": {"steps": 10}}).json()

        roles = {"generator": body["generator_id"], "dataset": body["dataset_id"]}
        assert made["parents"] == roles
        jobs = {f"job_{parent.partition('_')[2]}" for parent in roles.values()}
        assert set(made["job"]["after"]) == jobs
        assert made["spec"]["config"]["steps"] == 10
        assert [made["id"]] == [e["id"] for e in api.get("/v1/encoders").json()["data"]]

    def test_are_made_once_under_a_key(self, api):
        """
        The same request under the same key is answered as before.
        """
        body, headers = {"generator_id": api.generator()}, {"Idempotency-Key": "k"}

        made = [api.post("/v1/encoders/train", body, headers=headers) for _ in range(2)]

        assert made[0].json()["id"] == made[1].json()["id"]
        assert made[1].headers["idempotent-replayed"] == "true"

    @pytest.mark.parametrize(
        ("change", "status", "code", "pointer"),
        [
            ({"generator_id": "gen_0"}, 404, "not_found", None),
            ({"generator_id": "dst_0"}, 422, "invalid_request", "/generator_id"),
            ({"dataset_id": "dst_0"}, 404, "not_found", None),
            ({"config": {"backbone": "vgg"}}, 422, "invalid_request", "/config/backbone"),
            ({"upload_id": "upl_1"}, 422, "invalid_request", "/upload_id"),
        ],
    )
    def test_of_what_is_not_there_are_refused(self, api, change, status, code, pointer):
        """
        Wrong parents and settings are told at once, with a pointer, and nothing is made.
        """
        answer = api.post("/v1/encoders/train", {"generator_id": api.generator(), **change})

        told = problem(answer, status, code)
        assert pointer in [error["pointer"] for error in told.get("errors") or [{"pointer": None}]]
        assert api.get("/v1/encoders").json()["data"] == []


class TestInversionsFromEncoders:
    def asked(self, api, encoder=ENCODER, generator=GENERATOR):
        """
        A request of a ready encoder and a ready generator with these cards.
        """
        ids = {"dataset_id": api.dataset(), "generator_id": api.generator()}
        ids["encoder_id"] = api.made("encoders", {"upload_id": api.upload()})
        api.finish("generators", ids["generator_id"], generator)
        api.finish("encoders", ids["encoder_id"], encoder)
        return ids

    def test_name_it_among_their_parents(self, api):
        """
        An encoder that fits is a parent like the others.
        """
        body = self.asked(api)

        made = api.post("/v1/inversions", {**body, "config": {"restyle_iterations": 3}}).json()

        assert made["parents"]["encoder"] == body["encoder_id"]
        assert made["spec"]["config"]["restyle_iterations"] == 3

    def test_wait_for_it(self, api):
        """
        An encoder that is on its way is waited for.
        """
        encoder = api.made("encoders", {"upload_id": api.upload()})
        body = {"dataset_id": api.dataset(), "generator_id": api.generator()}

        made = api.post("/v1/inversions", {**body, "encoder_id": encoder}).json()

        assert f"job_{encoder.partition('_')[2]}" in made["job"]["after"]

    def test_a_label_generator_hands_it_to_the_inversion_made_first(self, api):
        """
        The inversion that a label generator brings is the one that was asked for by itself.
        """
        body = self.asked(api)

        api.post("/v1/label-generators", {**body, "inversion": {"restyle_iterations": 3}})

        (made,) = api.get("/v1/inversions").json()["data"]
        assert made["parents"]["encoder"] == made["spec"]["encoder_id"] == body["encoder_id"]
        assert made["spec"]["config"]["restyle_iterations"] == 3

    @pytest.mark.parametrize("collection", ["inversions", "label-generators"])
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"num_ws": 4}, "gives 4 codes, the generator takes 6"),
            ({"w_dim": 9}, "have 9 numbers, the generator's have 8"),
            ({"input_shape": [19, 256, 256]}, "reads 19 channels"),
        ],
    )
    def test_an_encoder_of_another_generator_is_refused(self, api, collection, change, words):
        """
        What does not fit is told at once, with a pointer and both numbers, wherever it is named.
        """
        told = problem(
            api.post(f"/v1/{collection}", self.asked(api, {**ENCODER, **change})),
            422,
            "invalid_request",
        )

        assert words in told["detail"]
        assert told["errors"][0]["pointer"] == "/encoder_id"


class TestLabels:
    def generation(self, api, label_dim, labels, **options):
        """
        The answer to a request for classes of a generator that is ready.
        """
        generator = api.generator()
        api.finish("generators", generator, {**GENERATOR, "label_dim": label_dim})
        body = {"dataset_id": api.dataset(), "generator_id": generator}
        inversion = api.made("inversions", body)
        label_generator = api.made("label-generators", {"inversion_id": inversion})
        body = {"label_generator_ids": [label_generator], "count": 5, "labels": labels}
        return api.post("/v1/generations", body, **options)

    @pytest.mark.parametrize("labels", [2, [0.0, 1.0, 3.0]])
    def test_are_part_of_a_generation(self, api, labels):
        """
        One class or weights: what was asked for is kept.
        """
        answer = self.generation(api, 3, labels)

        assert answer.status_code == 202, answer.text
        assert answer.json()["spec"]["labels"] == labels

    @pytest.mark.parametrize(
        ("label_dim", "labels", "words"),
        [
            (0, 1, "unconditional"),
            (3, 3, "classes are 0 to 2, class 3 is none"),
            (3, [1.0, 1.0], "2 weights are given for the generator's 3 classes"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, api, label_dim, labels, words):
        """
        The generator's card says what it knows; the answer points at the field.
        """
        told = problem(self.generation(api, label_dim, labels), 422, "invalid_request")

        assert words in told["detail"]
        assert told["errors"][0]["pointer"] == "/labels"

    def test_of_a_generator_on_its_way_are_left_to_the_job(self, api):
        """
        What cannot be known yet is not refused.
        """
        body = {"label_generator_ids": [api.label_generator()], "count": 5, "labels": 7}

        assert api.post("/v1/generations", body).status_code == 202

    def test_that_make_no_sense_are_refused(self, api):
        """
        Weights that are all 0 choose nothing.
        """
        body = {"label_generator_ids": [api.label_generator()], "count": 5, "labels": [0, 0]}

        told = problem(api.post("/v1/generations", body), 422, "invalid_request")
        assert any("/labels" in error["pointer"] for error in told["errors"])

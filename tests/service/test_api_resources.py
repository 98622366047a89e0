"""What all resources have in common: being made once, waiting for each other, being read."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import CARD, LABEL, problem

from workers.jobs import JobError, JobState


class TestChain:
    def test_each_resource_waits_for_what_it_is_made_of(self, api):
        """
        A whole chain may be asked for at once; each job waits for those before it.
        """
        dataset, generator = api.dataset(), api.generator()
        body = {"dataset_id": dataset, "generator_id": generator, "config": {"steps": 10}}
        inversion = api.post("/v1/inversions", body).json()
        trained = api.post("/v1/label-generators", {"inversion_id": inversion["id"]}).json()
        body = {"label_generator_ids": [trained["id"]], "count": 10}
        generation = api.post("/v1/generations", body).json()
        body = {
            "generation_id": generation["id"],
            "validation_dataset_id": dataset,
            "test_dataset_id": dataset,
        }
        evaluation = api.post("/v1/evaluations", body).json()

        dataset_job, generator_job = (f"job_{i.partition('_')[2]}" for i in (dataset, generator))
        assert [
            ("invert", [dataset_job, generator_job]),
            ("train", [inversion["job"]["id"]]),
            ("generate", [trained["job"]["id"]]),
            ("evaluate", [generation["job"]["id"], dataset_job]),
        ] == [
            (made["job"]["kind"], made["job"]["after"])
            for made in (inversion, trained, generation, evaluation)
        ]
        assert {"dataset": dataset, "generator": generator} == inversion["parents"]
        assert inversion["spec"]["config"]["steps"] == 10

    def test_what_is_ready_is_not_waited_for(self, api):
        """
        A job waits only for what is still on its way.
        """
        dataset, generator = api.dataset(), api.generator()
        api.finish("generators", generator)

        body = {"dataset_id": dataset, "generator_id": generator}
        made = api.post("/v1/inversions", body).json()

        assert [f"job_{dataset.partition('_')[2]}"] == made["job"]["after"]

    def test_a_label_generator_brings_its_inversion(self, api):
        """
        From a dataset and a generator an inversion is made first, once per request.
        """
        body = {
            "dataset_id": api.dataset(),
            "generator_id": api.generator(),
            "inversion": {"steps": 7},
        }
        headers = {"Idempotency-Key": "k"}
        made = api.post("/v1/label-generators", body, headers=headers).json()
        api.post("/v1/label-generators", body, headers=headers)

        (inversion,) = api.get("/v1/inversions").json()["data"]
        assert made["parents"] == {"inversion": inversion["id"]}
        assert made["job"]["after"] == [inversion["job"]["id"]]
        assert inversion["spec"]["config"]["steps"] == 7

    @pytest.mark.parametrize("end", [JobState.FAILED, JobState.CANCELLED])
    def test_what_ended_badly_cannot_be_built_on(self, api, end):
        """
        A parent that failed or was cancelled is named, with its reason.
        """
        generator = api.generator()
        error = JobError(code="x", message="the file is torn")
        api.run(generator)
        api.step(generator, end, error if end is JobState.FAILED else None)
        dataset = api.dataset()
        before = api.stored()

        answer = api.post("/v1/inversions", {"dataset_id": dataset, "generator_id": generator})

        body = problem(answer, 409, "not_ready")
        assert f"generator {generator} is {end}" in body["detail"]
        assert ("the file is torn" in body["detail"]) == (end is JobState.FAILED)
        assert body["errors"][0]["pointer"] == "/generator_id"
        assert before == api.stored()

    def test_an_open_dataset_must_be_sealed_first(self, api):
        """
        An open dataset is not on its way; the remedy is to seal it.
        """
        dataset = api.open_dataset()
        body = {"dataset_id": dataset, "generator_id": api.generator()}

        told = problem(api.post("/v1/inversions", body), 409, "not_ready")

        assert f"seal it first: POST /v1/datasets/{dataset}/seal" == told["remedy"]

    def test_a_parent_of_another_kind_is_refused(self, api):
        """
        An id that names something else is a wrong field, not a missing thing.
        """
        generator = api.generator()
        body = {"dataset_id": generator, "generator_id": generator}
        before = api.stored()

        told = problem(api.post("/v1/inversions", body), 422, "invalid_request")

        assert f"dataset_id: '{generator}' names a generator; a dataset is wanted" == told["detail"]
        assert told["errors"][0]["pointer"] == "/dataset_id"
        assert "dst_" in told["remedy"]
        assert before == api.stored()

    def test_an_unknown_parent_is_not_found(self, api):
        """
        An id of the right form that nothing has is named.
        """
        body = {"dataset_id": "dst_none", "generator_id": api.generator()}
        before = api.stored()

        told = problem(api.post("/v1/inversions", body), 404, "not_found")

        assert told["detail"] == "there is no dataset 'dst_none'"
        assert before == api.stored()

    @pytest.mark.parametrize(
        ("collection", "body", "words"),
        [
            ("label-generators", {}, "either inversion_id, or both"),
            ("label-generators", {"dataset_id": "dst_1"}, "either inversion_id, or both"),
            (
                "label-generators",
                {"inversion_id": "inv_1", "dataset_id": "dst_1", "generator_id": "gen_1"},
                "either inversion_id, or both",
            ),
            (
                "label-generators",
                {"inversion_id": "inv_1", "encoder_id": "enc_1"},
                "either encoder_id or inversion_id",
            ),
            (
                "evaluations",
                {"validation_dataset_id": "dst_1", "test_dataset_id": "dst_1"},
                "exactly one of generation_id and dataset_id",
            ),
            ("generators", {}, "either upload_id or source"),
            (
                "encoders",
                {"upload_id": "upl_1", "source": "s3://bucket/key"},
                "either upload_id or source",
            ),
            ("generators", {"source": "https://host/file"}, "an address is s3://bucket/key"),
            ("generators", {"source": "s3://bucket/a/../b"}, "must not be empty, '.' or '..'"),
            (
                "inversions",
                {
                    "dataset_id": "dst_1",
                    "generator_id": "gen_1",
                    "encoder_id": "enc_1",
                    "latents_upload_id": "upl_1",
                },
                "either encoder_id or latents_upload_id",
            ),
            ("generators", {"upload_id": "upl_1", "colour": 1}, "colour: Extra inputs"),
            ("generators", {"upload_id": "gen_1"}, "names a generator; an upload is wanted"),
        ],
    )
    def test_a_request_that_says_too_little_or_too_much_is_refused(
        self, api, collection, body, words
    ):
        """
        Requests that cannot be meant are refused in words that name the fields.
        """
        told = problem(api.post(f"/v1/{collection}", body), 422, "invalid_request")

        assert words in told["detail"]
        assert api.stored() == []


class TestIdempotencyKey:
    def test_another_body_under_the_key_is_refused(self, api):
        """
        A key belongs to the request that used it first.
        """
        headers = {"Idempotency-Key": "k"}
        made = api.post("/v1/datasets", {"label": LABEL}, headers=headers).json()["id"]
        before = api.stored()

        for path, body in (
            ("/v1/datasets", {"label": LABEL, "name": "another"}),
            ("/v1/uploads", {"filename": "a"}),
        ):
            told = problem(api.post(path, body, headers=headers), 409, "idempotency_key_reused")
            assert made in told["detail"]
            assert "new key" in told["remedy"]
        assert before == api.stored()

    def test_two_requests_that_race_make_one_thing(self, api):
        """
        However closely they follow each other, requests under one key make one resource.
        """
        upload = api.upload()

        def send(_):
            headers = {"Idempotency-Key": "k"}
            return api.post("/v1/generators", {"upload_id": upload}, headers=headers)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(16)))

        assert {202} == {answer.status_code for answer in answers}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len({answer.json()["created_at"] for answer in answers}) == 1
        assert len(api.get("/v1/generators").json()["data"]) == 1
        assert len(api.get("/v1/jobs").json()["data"]) == 1

    def test_the_replay_shows_the_resource_as_it_stands(self, api):
        """
        A repetition long after is answered with the same resource, however far it is by then.
        """
        upload, headers = api.upload(), {"Idempotency-Key": "k"}
        first = api.post("/v1/generators", {"upload_id": upload}, headers=headers).json()
        api.finish("generators", first["id"])

        again = api.post("/v1/generators", {"upload_id": upload}, headers=headers)

        assert (first["id"], "ready") == (again.json()["id"], again.json()["state"])
        assert again.headers["idempotent-replayed"] == "true"

    def test_outlives_redis(self, api, redis):
        """
        The truth lies in the bucket: an emptied Redis makes nothing twice.
        """
        upload, headers = api.upload(), {"Idempotency-Key": "k"}
        first = api.post("/v1/generators", {"upload_id": upload}, headers=headers).json()
        redis.flushall()

        again = api.post("/v1/generators", {"upload_id": upload}, headers=headers)

        assert first["id"] == again.json()["id"]
        assert len(api.get("/v1/generators").json()["data"]) == 1

    def test_spaces_and_spelt_out_defaults_do_not_matter(self, api):
        """
        Two spellings of one request are the same request.
        """
        headers = {"Idempotency-Key": "k"}
        one = api.post("/v1/datasets", {"label": LABEL}, headers=headers)
        body = {"name": " ", "licence": "", "label": {**LABEL, "palette": None}}
        two = api.post("/v1/datasets", body, headers=headers)

        assert one.json() == two.json()

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "schlüssel"])
    def test_an_odd_key_is_refused(self, api, key):
        """
        A key must be a word that can stand in a header.
        """
        headers = {"Idempotency-Key": key.encode()}
        told = problem(
            api.post("/v1/datasets", {"label": LABEL}, headers=headers), 422, "invalid_request"
        )

        assert told["errors"][0]["in"] == "header"


class TestReading:
    def test_a_state_for_each_step_of_the_job(self, api):
        """
        A resource is pending, running, then ready with its last document as the result.
        """
        generator = api.generator()
        path = f"/v1/generators/{generator}"
        states = [api.get(path).json()["state"]]
        api.run(generator)
        states.append(api.get(path).json()["state"])
        api.step(generator, JobState.QUEUED)
        api.finish("generators", generator, CARD)
        states.append(api.get(path).json()["state"])

        assert states == ["pending", "running", "ready"]
        assert api.get(path).json()["result"] == CARD

    def test_a_failed_one_says_why(self, api):
        """
        The job's error is part of the resource.
        """
        generator = api.generator()
        api.run(generator)
        error = JobError(code="bad_checkpoint", message="it is torn")
        api.step(generator, JobState.FAILED, error)

        body = api.get(f"/v1/generators/{generator}").json()

        assert (body["state"], body["job"]["error"]["code"]) == ("failed", "bad_checkpoint")

    def test_outlives_redis(self, api, redis):
        """
        With Redis emptied a ready resource is as ready as before.
        """
        generator = api.generator()
        api.finish("generators", generator, CARD)
        redis.flushall()

        assert api.get(f"/v1/generators/{generator}").json()["state"] == "ready"

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/generators/gen_none",
            "/v1/generators/dst_none",
            "/v1/generators/gen_NONE",
            "/v1/datasets/gen_none/files",
            "/v1/label-generators/lbl_none/preview",
            "/v1/jobs/job_none",
            "/v1/uploads/upl_none",
        ],
    )
    def test_an_unknown_id_is_named(self, api, path):
        """
        What is not there is a 404 that names it.
        """
        told = problem(api.get(path), 404, "not_found")

        assert path.split("/")[3] in told["detail"]

    def test_lists_are_newest_first_and_in_pages(self, api):
        """
        Following `next_cursor`, or the Link header, shows each resource once.
        """
        made = [api.open_dataset() for _ in range(5)]
        path, found = "/v1/datasets?limit=2", []
        while path:
            answer = api.get(path)
            found += [one["id"] for one in answer.json()["data"]]
            path = answer.links.get("next", {}).get("url")
            assert answer.json()["has_more"] == (path is not None)

        assert made[::-1] == found

    def test_lists_leave_results_out(self, api):
        """
        A page of manifests would be large; the state is there all the same.
        """
        generator = api.generator()
        api.finish("generators", generator, CARD)

        (one,) = api.get("/v1/generators").json()["data"]

        assert (one["state"], one["result"]) == ("ready", None)

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [("limit=0", "/limit"), ("limit=101", "/limit"), ("after=x", "/after")],
    )
    def test_a_wrong_page_is_refused(self, api, query, pointer):
        """
        Bounds of a page and foreign cursors are named as query fields.
        """
        told = problem(api.get(f"/v1/datasets?{query}"), 422, "invalid_request")

        assert (pointer, "query") == (told["errors"][0]["pointer"], told["errors"][0]["in"])

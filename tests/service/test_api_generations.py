from dataclasses import replace

import pytest
from support.api import CARD, problem, serve

from service.room import Room
from workers.jobs import JobState


def asked(label_generator, **changes):
    """
    A request for a generation.
    """
    return {"label_generator_ids": [label_generator], "count": 1000, "shard_size": 300} | changes


class TestDryRun:
    def test_says_what_it_would_cost(self, api):
        """
        From the label generator's measured throughput: 1000 samples of 1000 bytes, 4 images a
        second, of which half are dropped. Nothing is made.
        """
        label_generator = api.label_generator()
        api.finish("label-generators", label_generator, CARD)
        before = api.stored()

        body = asked(label_generator, uncertainty={"drop": 0.5})
        answer = api.post("/v1/generations?dry_run=true", body)

        cost = answer.json()
        assert answer.status_code == 200
        assert tuple(
            cost[name]
            for name in ("samples", "shards", "candidates_expected", "bytes", "seconds", "fits")
        ) == (1000, 4, 2000, 1_000_000, 500.0, True)
        assert {label_generator: CARD["throughput"]} == cost["basis"]
        assert cost["free_bytes"] > 0
        assert before == api.stored()

    def test_leaves_open_what_is_not_known_yet(self, api):
        """
        While the label generator is being trained there is nothing to measure by.
        """
        answer = api.post("/v1/generations?dry_run=true", asked(api.label_generator()))

        cost = answer.json()
        assert tuple(
            cost[name] for name in ("candidates_expected", "bytes", "seconds", "fits")
        ) == (1112, None, None, None)

    def test_leaves_its_key_free(self, api):
        """
        A dry run makes nothing, so it uses no Idempotency-Key up.
        """
        body, headers = asked(api.label_generator()), {"Idempotency-Key": "k"}
        api.post("/v1/generations?dry_run=true", body, headers=headers)

        made = api.post("/v1/generations", body | {"count": 5}, headers=headers)

        assert made.status_code == 202


class TestCreating:
    def test_waits_for_a_label_generator_on_its_way(self, api):
        """
        A generation may be asked for before its label generator is trained.
        """
        label_generator = api.label_generator()

        answer = api.post("/v1/generations", asked(label_generator))

        body = answer.json()
        assert (answer.status_code, body["state"]) == (202, "pending")
        assert [f"job_{label_generator.partition('_')[2]}"] == body["job"]["after"]
        assert f"/v1/generations/{body['id']}" == answer.headers["location"]
        assert {"label_generator": label_generator} == body["parents"]

    def test_needs_a_label_generator_that_did_not_fail(self, api):
        """
        Of a label generator whose job ended badly nothing can be generated.
        """
        label_generator = api.label_generator()
        api.step(label_generator, JobState.CANCELLED)
        before = api.stored()

        told = problem(api.post("/v1/generations", asked(label_generator)), 409, "not_ready")

        assert f"label generator {label_generator} is cancelled" == told["detail"]
        assert before == api.stored()

    @pytest.mark.parametrize(
        ("changes", "pointer", "words"),
        [
            ({"count": 0}, "/count", "greater than or equal to 1 (got 0)"),
            ({"count": 10**9}, "/count", "less than or equal to 10000000 (got 1000000000)"),
            ({"count": 1.5}, "/count", "integer"),
            ({"psi": 3}, "/psi", "less than or equal to 2 (got 3)"),
            ({"seed": -1}, "/seed", "greater than or equal to 0"),
            ({"uncertainty": {"drop": 1}}, "/uncertainty/drop", "less than or equal to 0.9"),
            ({"image_format": "gif"}, "/image_format", "'png', 'jpg' or 'webp'"),
            ({"label_generator_ids": []}, "/label_generator_ids", "at least 1"),
            ({"label_generator_ids": ["gen_1"]}, "/label_generator_ids/0", "names a generator"),
        ],
    )
    def test_bounds_are_named(self, api, changes, pointer, words):
        """
        A value out of bounds is refused with its field, its bound and itself.
        """
        told = problem(
            api.post("/v1/generations", asked("lbl_1", **changes)), 422, "invalid_request"
        )

        assert pointer == told["errors"][0]["pointer"]
        assert words in told["detail"]
        assert api.stored() == []

    def test_needs_room(self, settings, services):
        """
        What the store has no room for is refused before any of it is made; figures are given.
        """
        for api in serve(settings, services):
            label_generator = api.label_generator()
            api.finish("label-generators", label_generator, CARD)
        full = replace(services, room=Room(services.store, 1 << 60))
        for api in serve(settings, full):
            before = api.stored()

            told = problem(
                api.post("/v1/generations", asked(label_generator)), 507, "insufficient_storage"
            )

            assert "needs about 1,000,000 bytes; the store has room for 0" in told["detail"]
            assert before == api.stored()
            cost = api.post("/v1/generations?dry_run=true", asked(label_generator)).json()
            assert (cost["free_bytes"], cost["fits"]) == (0, False)

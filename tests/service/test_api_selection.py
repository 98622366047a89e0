"""Label generators without some of the images: asked for, refused, and trained again."""

import pytest
from support.api import problem


def pair(api):
    """
    What a label generator is made of, when its inversion is made first.
    """
    return {"dataset_id": api.dataset(), "generator_id": api.generator()}


def ready_dataset(api):
    """
    A dataset whose images are known.
    """
    dataset = api.dataset()
    manifest = {"items": [{"key": key} for key in ("ann", "bob", "cy")]}
    api.finish("datasets", dataset, manifest)
    return dataset


class TestAsking:
    def test_what_is_left_out_stands_in_the_parameters(self, api):
        """
        The images to exclude and the rules are part of what was asked for.
        """
        asked = {"exclude": ["one"], "max_distance": 0.5, "drop_worst": 0.1}

        made = api.post("/v1/label-generators", {**pair(api), **asked}).json()

        assert {name: made["spec"][name] for name in asked} == asked

    @pytest.mark.parametrize(("drop", "expected"), [(2, 2), (2.0, 2), (0.25, 0.25)])
    def test_the_worst_are_a_number_or_a_share(self, api, drop, expected):
        """
        From 1 on a whole number of images, below a share of them.
        """
        body = {"inversion_id": api.inversion(), "drop_worst": drop}

        made = api.post("/v1/label-generators", body).json()

        assert made["spec"]["drop_worst"] == expected

    @pytest.mark.parametrize(
        "rule", [{"drop_worst": 0}, {"drop_worst": 1.5}, {"max_distance": 0}, {"exclude": [""]}]
    )
    def test_rules_that_mean_nothing_are_refused(self, api, rule):
        """
        No images, half an image, no distance, no key.
        """
        body = {"inversion_id": "inv_1", **rule}

        told = problem(api.post("/v1/label-generators", body), 422, "invalid_request")

        assert told["errors"][0]["pointer"].startswith(f"/{next(iter(rule))}")

    @pytest.mark.parametrize("has_inversion", [False, True])
    def test_images_that_are_none_are_refused(self, api, has_inversion):
        """
        Where the dataset is ready, keys that it lacks are named with those that it has.
        """
        dataset = ready_dataset(api)
        body = {"dataset_id": dataset, "generator_id": api.generator()}
        if has_inversion:
            body = {"inversion_id": api.made("inversions", body)}
        before = api.stored()

        answer = api.post("/v1/label-generators", body | {"exclude": ["bob", "dan"]})

        told = problem(answer, 422, "invalid_request")
        assert told["detail"] == f"exclude: {dataset} has no image dan"
        assert told["remedy"] == "its images are ann, bob, cy"
        assert told["errors"][0]["pointer"] == "/exclude"
        assert before == api.stored()


class TestLikeAnother:
    def test_one_call_excludes_an_image_and_trains_again(self, api):
        """
        All is as it was: the inversion, the kind, the settings, the name; one image more is out.
        """
        inversion = api.inversion()
        body = {"inversion_id": inversion, "exclude": ["one"], "config": {"members": 3}}
        other = api.post("/v1/label-generators", {**body, "name": "faces"}).json()

        made = api.post("/v1/label-generators", {"like": other["id"], "exclude": ["two"]}).json()

        assert made["id"] != other["id"]
        assert made["spec"] == {**other["spec"], "exclude": ["one", "two"]}
        assert (made["name"], made["parents"]) == ("faces", {"inversion": inversion})

    def test_what_is_said_stands(self, api):
        """
        Whatever the request says takes the place of what was; null takes a rule away.
        """
        body = {"inversion_id": api.inversion(), "max_distance": 0.5, "drop_worst": 1}
        other = api.made("label-generators", body)
        changes = {"like": other, "max_distance": None, "config": {"seed": 5}, "name": "again"}

        made = api.post("/v1/label-generators", changes).json()

        assert (made["spec"]["max_distance"], made["spec"]["drop_worst"]) == (None, 1)
        assert (made["spec"]["config"]["seed"], made["name"]) == (5, "again")

    def test_images_that_are_none_are_refused(self, api):
        """
        As they are where everything is said anew.
        """
        dataset = ready_dataset(api)
        inversion = {"dataset_id": dataset, "generator_id": api.generator()}
        body = {"inversion_id": api.made("inversions", inversion)}
        other = api.made("label-generators", body)

        answer = api.post("/v1/label-generators", {"like": other, "exclude": ["dan"]})

        assert problem(answer, 422, "invalid_request")["errors"][0]["pointer"] == "/exclude"

    @pytest.mark.parametrize(
        ("changes", "status", "code", "words"),
        [
            ({"like": "lbl_none"}, 404, "not_found", "no label generator 'lbl_none'"),
            ({"like": "inv_1"}, 422, "invalid_request", "names an inversion"),
            ({"like": "lbl_1", "inversion_id": "inv_1"}, 422, "invalid_request", "leave out inv"),
            ({"like": "lbl_1", "encoder_id": "enc_1"}, 422, "invalid_request", "leave out enc"),
        ],
    )
    def test_refuses_what_is_no_repetition(self, api, changes, status, code, words):
        """
        The other one must be there, and its inversion is taken as it is.
        """
        told = problem(api.post("/v1/label-generators", changes), status, code)

        assert words in told["detail"]

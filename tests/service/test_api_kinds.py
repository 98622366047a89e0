"""Labels of several kinds: which is learnt, which go together, which can be compared."""

import pytest
from support.api import CARD, LABEL, problem

POINTS = {"kind": "keypoints", "names": ["nose", "chin"]}
DEPTH = {"kind": "depth", "unit": "m"}
LABELS = [LABEL, POINTS, DEPTH]


def dataset(api, *labels):
    """
    A dataset of such labels that is on its way.
    """
    return api.made("datasets", {"labels": list(labels), "upload_id": api.upload()})


def trained(api, kind, generator="gen_1", **throughput):
    """
    A ready label generator of a kind; its card says of which generator.
    """
    label_generator = api.label_generator()
    measured = CARD["throughput"] | throughput
    facts = {"label": {"kind": kind}, "generator_id": generator, "throughput": measured}
    api.finish("label-generators", label_generator, CARD | facts)
    return label_generator


def generation(*label_generators, **changes):
    """
    A request for a generation.
    """
    return {"label_generator_ids": list(label_generators), "count": 1000} | changes


class TestLabelGenerators:
    def test_the_kind_is_part_of_what_is_asked_for(self, api):
        """
        What is learnt stands in the label generator's parameters; left out, it is left open.
        """
        body = {"dataset_id": dataset(api, *LABELS), "generator_id": api.generator()}

        one = api.post("/v1/label-generators", body | {"kind": "depth"}).json()
        other = api.post("/v1/label-generators", body).json()

        assert (one["spec"]["kind"], other["spec"]["kind"]) == ("depth", None)

    @pytest.mark.parametrize("has_inversion", [False, True])
    def test_a_kind_that_the_dataset_lacks_is_refused(self, api, has_inversion):
        """
        It is known what a dataset's labels mean before they are there; the kinds are named.
        """
        found, generator = dataset(api, LABEL, DEPTH), api.generator()
        body = {"dataset_id": found, "generator_id": generator}
        if has_inversion:
            body = {"inversion_id": api.made("inversions", body)}
        before = api.stored()

        answer = api.post("/v1/label-generators", body | {"kind": "keypoints"})

        told = problem(answer, 422, "invalid_request")
        assert told["detail"] == f"kind: {found} has no keypoints, only segmentation and depth"
        assert told["errors"][0]["pointer"] == "/kind"
        assert before == api.stored()

    def test_an_unknown_kind_is_refused(self, api):
        """
        A word that is no kind is refused with those that are.
        """
        body = {"inversion_id": "inv_1", "kind": "boxes"}

        told = problem(api.post("/v1/label-generators", body), 422, "invalid_request")

        assert told["errors"][0]["pointer"] == "/kind"
        assert "'segmentation', 'keypoints' or 'depth'" in told["detail"]


class TestGenerations:
    def test_several_label_generators_are_waited_for(self, api):
        """
        All of them are parents, by roles that are numbered, and each job is waited for.
        """
        several = [api.label_generator() for _ in range(3)]

        made = api.post("/v1/generations", generation(*several)).json()

        roles = ("label_generator", "label_generator_2", "label_generator_3")
        assert made["parents"] == dict(zip(roles, several, strict=True))
        assert made["job"]["after"] == [f"job_{each.partition('_')[2]}" for each in several]

    def test_those_of_several_generators_are_refused(self, api):
        """
        Label generators that are ready must be of one generator; all ids and the remedy are told.
        """
        one, other = trained(api, "depth", "gen_1"), trained(api, "keypoints", "gen_2")
        before = api.stored()

        told = problem(api.post("/v1/generations", generation(one, other)), 422, "invalid_request")

        expected = f"label_generator_ids: {one} is of the generator gen_1, {other} of gen_2"
        assert told["detail"] == expected
        assert told["remedy"] == "name label generators of one generator"
        assert told["errors"][0]["pointer"] == "/label_generator_ids"
        assert before == api.stored()

    @pytest.mark.parametrize("query", ["", "?dry_run=true"])
    def test_two_of_one_kind_are_refused(self, api, query):
        """
        A sample has one label of a kind; a dry run says so too.
        """
        one, other = trained(api, "depth"), trained(api, "depth")

        answer = api.post(f"/v1/generations{query}", generation(one, other))

        told = problem(answer, 422, "invalid_request")
        assert told["detail"] == f"label_generator_ids: {one} and {other} both label depth"
        assert told["remedy"] == "name one for each kind"

    def test_what_is_not_ready_is_left_to_the_job(self, api):
        """
        Of a label generator on its way nothing is known yet, so that nothing is refused.
        """
        body = generation(trained(api, "depth"), api.label_generator())

        assert api.post("/v1/generations", body).status_code == 202

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"label_generator_ids": ["lbl_1", "lbl_1"]}, "names lbl_1 more than once"),
            ({"label_generator_ids": [f"lbl_{i}" for i in range(4)]}, "at most 3"),
            ({"uncertainty": {"mode": "paper"}, "count": 300}, "ask for 310 or more"),
            ({"uncertainty": {"mode": "ranks"}}, "'default' or 'paper'"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, api, changes, words):
        """
        An id twice, a fourth kind, ranks among too few.
        """
        answer = api.post("/v1/generations", generation("lbl_1", **changes))

        assert words in problem(answer, 422, "invalid_request")["detail"]

    def test_costs_are_those_of_all_together_at_most(self, api):
        """
        Seconds and bytes of each are added up, and each may drop other candidates.
        """
        one = trained(api, "depth", images_per_second=4.0, bytes_per_sample=1000.0)
        other = trained(api, "keypoints", images_per_second=2.0, bytes_per_sample=500.0)
        body = generation(one, other, uncertainty={"drop": 0.5})

        cost = api.post("/v1/generations?dry_run=true", body).json()

        assert cost["candidates_expected"] == 4000
        assert cost["bytes"] == 1_500_000
        assert cost["seconds"] == 4000 / 4 + 4000 / 2
        assert {each: facts["images_per_second"] for each, facts in cost["basis"].items()} == {
            one: 4.0,
            other: 2.0,
        }

    def test_costs_are_open_while_one_is_not_ready(self, api):
        """
        What one of them costs is not known yet, so that the sum is not.
        """
        body = generation(trained(api, "depth"), api.label_generator())

        cost = api.post("/v1/generations?dry_run=true", body).json()

        assert (cost["bytes"], cost["seconds"]) == (None, None)

    def test_ranks_draw_nothing_in_place(self, api):
        """
        In paper mode as many images are drawn as are asked for.
        """
        body = generation(trained(api, "depth"), uncertainty={"mode": "paper", "drop": 0.5})

        cost = api.post("/v1/generations?dry_run=true", body).json()

        assert cost["candidates_expected"] == 1000


class TestEvaluations:
    @pytest.fixture
    def body(self, api):
        """
        An evaluation among datasets of all kinds.
        """
        found = dataset(api, *LABELS)
        roles = ("dataset_id", "validation_dataset_id", "test_dataset_id")
        return dict.fromkeys(roles, found)

    def test_takes_a_kind(self, api, body):
        """
        What is judged stands in the evaluation's parameters.
        """
        made = api.post("/v1/evaluations", body | {"kind": "keypoints"}).json()

        assert made["spec"]["kind"] == "keypoints"

    def test_refuses_a_kind_that_is_missing(self, api, body):
        """
        What is trained on must have labels of the kind.
        """
        masks = dataset(api, LABEL)

        answer = api.post("/v1/evaluations", body | {"dataset_id": masks, "kind": "depth"})

        told = problem(answer, 422, "invalid_request")
        assert told["detail"] == f"kind: {masks} has no depth, only segmentation"

    @pytest.mark.parametrize(
        ("label", "kind", "words"),
        [
            (DEPTH, None, "has no segmentation, only depth"),
            ({**LABEL, "classes": ["a", "b"]}, None, "classes a, b; what is trained on has the cl"),
            ({**POINTS, "names": ["nose"]}, "keypoints", "has the points nose; what is trained on"),
            (
                {**DEPTH, "unit": "cm"},
                "depth",
                "has the unit cm; what is trained on has the unit m",
            ),
        ],
    )
    @pytest.mark.parametrize("field", ["validation_dataset_id", "test_dataset_id"])
    def test_refuses_what_cannot_be_compared(self, api, body, field, label, kind, words):
        """
        Validation and test need the same kind with the same names; the field is named.
        """
        other = dataset(api, label)

        answer = api.post("/v1/evaluations", body | {field: other, "kind": kind})

        told = problem(answer, 422, "invalid_request")
        assert f"{field}: {other} " in told["detail"]
        assert words in told["detail"]
        assert told["errors"][0]["pointer"] == f"/{field}"

    def test_a_generation_is_judged_by_what_its_manifest_says(self, api, body):
        """
        Once it is ready, its labels are compared too; before, that is left to the job.
        """
        made = api.made("generations", generation(api.label_generator()))
        asked = {**body, "generation_id": made, "dataset_id": None, "kind": "depth"}
        assert api.post("/v1/evaluations", asked).status_code == 202
        api.finish("generations", made, {"schema_version": 1, "labels": [LABEL]})

        told = problem(api.post("/v1/evaluations", asked), 422, "invalid_request")

        assert told["detail"] == f"kind: {made} has no depth, only segmentation"

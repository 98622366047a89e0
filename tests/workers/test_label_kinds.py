import pytest

from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec
from workers.label_kinds import Misfit, comparable, judged, mixed, taken

MASKS = SegmentationSpec(classes=("sky", "sea"))
POINTS = KeypointsSpec(names=("nose", "chin"))
SWAPPED = SegmentationSpec(classes=("sea", "sky"))
DEPTH = DepthSpec(unit="m")


def card(generator, kind):
    """
    As much of a label generator's card as is looked at.
    """
    return {"generator_id": generator, "label": {"kind": kind}}


class TestTaken:
    @pytest.mark.parametrize(
        ("kind", "expected"), [(None, POINTS), ("depth", DEPTH), ("keypoints", POINTS)]
    )
    def test_finds_the_kind_or_takes_the_first(self, kind, expected):
        """
        Labels are taken by kind; without a kind the first are.
        """
        assert expected == taken("dst_1", (POINTS, DEPTH), kind)

    def test_says_what_there_is_instead(self):
        """
        A kind that is not there is a misfit that names the thing, the kind and the others.
        """
        found = taken("dst_1", (MASKS, DEPTH), "keypoints")

        assert isinstance(found, Misfit)
        assert found.problem == "dst_1 has no keypoints, only segmentation and depth"
        assert str(found) == f"{found.problem}; {found.remedy}"


class TestJudged:
    @pytest.mark.parametrize(
        ("labels", "kind", "expected"),
        [
            ((POINTS, MASKS), None, MASKS),
            ((POINTS, DEPTH), None, POINTS),
            ((DEPTH,), None, DEPTH),
            ((POINTS, MASKS), "keypoints", POINTS),
        ],
    )
    def test_masks_come_first_where_nothing_is_asked_for(self, labels, kind, expected):
        """
        Without a kind it is the only one, or segmentation, or the first.
        """
        assert expected == judged("gnn_1", labels, kind)


class TestComparable:
    @pytest.mark.parametrize(
        ("trained", "other", "words"),
        [
            (MASKS, SWAPPED, ("classes sea, sky", "classes sky, sea")),
            (POINTS, KeypointsSpec(names=("nose",)), ("points nose", "points nose, chin")),
            (DEPTH, DepthSpec(unit="cm"), ("unit cm", "unit m")),
        ],
    )
    def test_names_and_units_must_be_the_same(self, trained, other, words):
        """
        What labels are called decides, order included; palettes and ranges may differ.
        """
        found = comparable(trained, "dst_2", (other,))

        assert isinstance(found, Misfit)
        assert found.problem == f"dst_2 has the {words[0]}; what is trained on has the {words[1]}"

    def test_other_settings_do_not_matter(self):
        """
        A depth of another valid range is a depth in the same unit.
        """
        other = DepthSpec(unit="m", largest=10)

        assert comparable(DEPTH, "dst_2", (MASKS, other)) == other

    def test_a_missing_kind_is_named(self):
        """
        Labels of other kinds alone cannot be compared with at all.
        """
        found = comparable(DEPTH, "dst_2", (MASKS,))

        assert isinstance(found, Misfit)
        assert found.problem == "dst_2 has no depth, only segmentation"


class TestMixed:
    def test_one_generator_and_a_kind_each_go_together(self):
        """
        Label generators of one generator and of different kinds label the same images.
        """
        cards = {"lbl_1": card("gen_1", "depth"), "lbl_2": card("gen_1", "keypoints")}

        assert mixed(cards) is None
        assert mixed({}) is None

    def test_two_generators_are_named(self):
        """
        Label generators of two generators are refused with all four ids.
        """
        cards = {"lbl_1": card("gen_1", "depth"), "lbl_2": card("gen_2", "keypoints")}

        found = mixed(cards)

        assert found is not None
        assert found.problem == "lbl_1 is of the generator gen_1, lbl_2 of gen_2"
        assert found.remedy == "name label generators of one generator"

    def test_two_of_a_kind_are_named(self):
        """
        Two masks of one picture would have one file between them.
        """
        kinds = {"lbl_1": "depth", "lbl_2": "keypoints", "lbl_3": "depth"}

        found = mixed({each: card("gen_1", kind) for each, kind in kinds.items()})

        assert found is not None
        assert found.problem == "lbl_1 and lbl_3 both label depth"

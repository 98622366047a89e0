import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from models.class_mix import ClassMix, chosen, misfit, shares_of
from models.seeding import philox

MIX = TypeAdapter(ClassMix)


class TestShares:
    @pytest.mark.parametrize(
        ("mix", "expected"),
        [
            (None, (0.25, 0.25, 0.25, 0.25)),
            (2, (0.0, 0.0, 1.0, 0.0)),
            ((3.0, 0.0, 1.0, 0.0), (0.75, 0.0, 0.25, 0.0)),
            ((0.1, 0.1, 0.1, 0.1), (0.25, 0.25, 0.25, 0.25)),
        ],
    )
    def test_are_one_per_class(self, mix, expected):
        """
        A class, weights or nothing are the same thing in the end: shares whose sum is 1.
        """
        assert expected == shares_of(mix, 4)

    def test_an_unconditional_generator_has_none(self):
        """
        Without classes there is nothing to share.
        """
        assert shares_of(None, 0) == ()

    @pytest.mark.parametrize(
        ("mix", "classes", "words"),
        [
            (0, 0, "unconditional"),
            ((1.0,), 0, "unconditional"),
            (3, 3, "0 to 2, class 3 is none"),
            ((1.0, 2.0), 3, "2 weights are given for the generator's 3"),
        ],
    )
    def test_of_a_mix_that_does_not_fit_are_refused(self, mix, classes, words):
        """
        The message says what was given and what the generator knows.
        """
        assert words in misfit(mix, classes)
        with pytest.raises(ValueError, match=words):
            shares_of(mix, classes)


class TestChosen:
    @pytest.mark.parametrize("mix", [None, (1.0, 0.0, 3.0), 1])
    def test_classes_come_as_often_as_their_share(self, mix):
        """
        Of 2,000 draws each class has its share, within three standard deviations; a class of
        share 0 never comes.
        """
        shares = shares_of(mix, 3)

        found = np.bincount([chosen(philox("mix", i), shares) for i in range(2000)], minlength=3)

        expected = np.array(shares)
        limits = 3 * np.sqrt(expected * (1 - expected) / 2000)
        assert (np.abs(found / 2000 - expected) <= limits).all()


class TestWire:
    @pytest.mark.parametrize("value", [True, -1, 1.5, [], [0, 0], [-1, 2], ["a"], [1e7]])
    def test_what_is_no_mix_is_refused(self, value):
        """
        Weights are not negative and not all 0; an index is a whole number.
        """
        with pytest.raises(ValidationError):
            MIX.validate_python(value)

    def test_both_forms_are_read(self):
        """
        JSON's number is a class, JSON's list is weights.
        """
        assert (MIX.validate_json("3"), MIX.validate_json("[1, 2]")) == (3, (1.0, 2.0))

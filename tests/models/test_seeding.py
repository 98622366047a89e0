import hashlib

import numpy as np
import pytest

from models.seeding import philox


class TestPhilox:
    def test_same_name_same_numbers(self):
        """
        A stream is its name: asked for twice, it begins again.
        """
        expected = philox(7, "face", 3).random(5)

        actual = philox(7, "face", 3).random(5)

        assert expected.tolist() == actual.tolist()

    def test_key_is_the_start_of_the_digest(self):
        """
        The key is the first 128 bits of SHA-256 of the joined name, as a
        big-endian number, so that another program can draw the same numbers.
        """
        key = int(hashlib.sha256(b"7:3").hexdigest()[:32], 16)
        expected = np.random.Generator(np.random.Philox(key=key)).integers(0, 2**63, 4)

        actual = philox(7, 3).integers(0, 2**63, 4)

        assert expected.tolist() == actual.tolist()

    def test_golden_numbers(self):
        """
        The numbers of a stream never change between releases.
        """
        expected = [518, 659, 584, 754, 35, 582]

        assert expected == philox(0, 0).integers(0, 1000, 6).tolist()

    def test_names_do_not_run_together(self):
        """
        Parts are kept apart: (1, 12) and (11, 2) are different streams.
        """
        one, other = philox(1, 12), philox(11, 2)

        assert one.random() != other.random()

    @pytest.mark.parametrize("parts", [("a:b",), (), (1, ":")])
    def test_refuses_ambiguous_names(self, parts):
        """
        A name that could be read as another, or none, is refused.
        """
        with pytest.raises(ValueError):
            philox(*parts)

    def test_leaves_the_global_generator_alone(self):
        """
        Naming a stream does not touch numpy's global state.
        """
        expected = np.random.get_state()[1].tolist()

        philox(5).random(10)

        assert expected == np.random.get_state()[1].tolist()

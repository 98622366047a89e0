import pytest
import torch

from models.checkpoints.memory import SPARE, check_own_numbers
from models.errors import UnsafeCheckpoint

NUMBERS = torch.zeros(2**20)  # 4 MB


class TestOwnNumbers:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
    def test_may_be_as_many_as_there_are(self, dtype):
        """
        Any number of tensors with memory of their own, or with parts of one.
        """
        own = [torch.zeros(2**24 // dtype.itemsize, dtype=dtype) for _ in range(5)]
        parts = list(torch.zeros(2**24).split(2**20))

        check_own_numbers([*own, *parts], "here")

    def test_may_repeat_what_is_small(self):
        """
        Filters and averages are one tensor for many layers.
        """
        check_own_numbers([NUMBERS] * (SPARE // NUMBERS.nbytes + 1), "here")

    @pytest.mark.parametrize(
        "repeated",
        [
            [NUMBERS] * 18,
            [NUMBERS[shift:] for shift in range(18)],
            [NUMBERS[:1].expand(18, 2**20)],
        ],
    )
    def test_must_not_be_repeated_until_they_are_many(self, repeated):
        """
        Whether as one tensor, shifted, or expanded: the same few numbers make no large network.
        """
        with pytest.raises(UnsafeCheckpoint, match=r"here: .* repeat 4 MB .* they are 7[12] MB"):
            check_own_numbers(repeated, "here")

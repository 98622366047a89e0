import pytest
import torch

from models.snapshots import fingerprint


class TestFingerprint:
    def test_is_the_same_for_the_same(self):
        """
        32 bytes that follow from words and values, wherever the tensors lie in memory.
        """
        values = torch.arange(6.0).view(2, 3)

        one, other = (fingerprint(["a"], [t]) for t in (values, values.T.contiguous().T))

        assert torch.equal(one, other)
        assert (one.dtype, one.shape) == (torch.uint8, (32,))

    @pytest.mark.parametrize(
        ("words", "tensor"),
        [
            (["b"], torch.zeros(2, 3)),
            (["a", ""], torch.zeros(2, 3)),
            (["a"], torch.zeros(3, 2)),
            (["a"], torch.zeros(2, 3, dtype=torch.int32)),
            (["a"], torch.zeros(2, 3).index_fill(1, torch.tensor(2), 1e-30)),
        ],
    )
    def test_tells_others_apart(self, words, tensor):
        """
        Another word, shape, type or value is another fingerprint.
        """
        assert not torch.equal(
            fingerprint(["a"], [torch.zeros(2, 3)]), fingerprint(words, [tensor])
        )

import pytest
import torch

from models.inversion_batches import CPU_BUDGET, Batches, fitting

CPU = torch.device("cpu")
NO_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
)


def room_for(most, error=NO_MEMORY[0]):
    """
    Work on images that fails for more than `most`.
    """

    def work(some):
        if len(some) > most:
            raise error
        return list(some)

    return work


class TestBatches:
    @pytest.mark.parametrize("error", NO_MEMORY)
    def test_halves_until_it_fits(self, error):
        """
        Every image is done once, in order, and what happened is told.
        """
        batches = Batches(8)

        parts = batches.each(9, room_for(3, error))

        assert parts == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
        assert batches.notes == [
            "out of memory with 8 images at once; went on with 4",
            "out of memory with 4 images at once; went on with 2",
        ]

    def test_gives_up_at_one_image(self):
        """
        There is nothing smaller than one image: the error is the caller's.
        """
        with pytest.raises(torch.OutOfMemoryError):
            Batches(4).each(4, room_for(0))

    def test_other_errors_are_not_about_memory(self):
        """
        Whatever else goes wrong goes wrong at once.
        """
        batches = Batches(4)

        with pytest.raises(RuntimeError, match="shapes"):
            batches.each(4, room_for(1, RuntimeError("shapes do not match")))
        assert batches.notes == []


class TestFitting:
    @pytest.mark.parametrize("floats", [2**18, 2**20])
    def test_measures_what_a_step_keeps(self, floats):
        """
        Twice the bytes of what is kept for the way back, as often as the budget holds them.
        """
        x = torch.zeros(floats, requires_grad=True)

        got = fitting(lambda: torch.autograd.grad(x.exp().sum(), x), CPU)

        assert got == CPU_BUDGET // (2 * 4 * floats)

    def test_one_image_is_always_tried(self):
        """
        However much a step keeps.
        """
        one = torch.zeros(1, requires_grad=True)

        assert fitting(lambda: _Hoards.apply(one), CPU) == 1


class _Hoards(torch.autograd.Function):
    """
    Does nothing, and keeps as much as there is to spend.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(torch.empty(CPU_BUDGET, dtype=torch.uint8))  # Never written to.
        return x.clone()

"""How many images are optimised together: as many as there is memory for.

One step on one image is measured. If memory runs out all the same, half as many are tried.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from models.table_places import free_on_cuda

CPU_BUDGET = 2 * 2**30
"""Bytes on a CPU: a process cannot know what the machine's other processes will ask for."""

_SHARE_OF_FREE = 0.8
_PER_SAVED = 2
"""Bytes at the peak per byte that a step keeps for its way back: gradients have its size too."""

T = TypeVar("T")


class Batches:
    """Sizes of batches on one device.

    Attributes:
        size: images at once.
        notes: what happened to it, in words for a report.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.notes: list[str] = []

    def fits(self, work: Callable[[Sequence[int]], object], part: Sequence[int]) -> bool:
        """Whether `work` on some images came to its end; if not, `size` is half as many.

        Raises:
            RuntimeError: of `work`, unless memory ran out and fewer images can be tried.
        """
        try:
            work(part)
            return True
        except RuntimeError as error:
            if len(part) == 1 or not out_of_memory(error):
                raise
        # Here the error is gone, and with it the frames that held the step's tensors.
        self.size = len(part) // 2
        self.notes.append(
            f"out of memory with {len(part)} images at once; went on with {self.size}"
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return False

    def each(self, count: int, work: Callable[[Sequence[int]], T]) -> list[T]:
        """What `work` returns for images 0 .. `count` - 1, some at a time."""
        results: list[T] = []
        first = 0
        while first < count:
            part = range(first, min(first + self.size, count))
            if self.fits(lambda some: results.append(work(some)), part):
                first = part.stop
        return results


def out_of_memory(error: RuntimeError) -> bool:
    """Whether this says that there was no memory, on a GPU or on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def fitting(step: Callable[[], object], device: torch.device) -> int:
    """How many images fit together, at least 1.

    Args:
        step: computes one image, gradients too.
        device: where it does.
    """
    if device.type != "cuda":
        return max(1, CPU_BUDGET // (_PER_SAVED * _saved(step)))
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    needed = torch.cuda.max_memory_allocated(device) - before
    return max(1, int(_SHARE_OF_FREE * free_on_cuda(device) / max(1, needed)))


def _saved(step: Callable[[], object]) -> int:
    """Bytes that autograd keeps while `step` computes, weights included."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # An output that kept itself would never be freed.

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return max(1, sum(sizes.values()))

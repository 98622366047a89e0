"""Keeps the state of a long step in its resource, so that the next attempt goes on from it."""

from collections.abc import Mapping

import safetensors
import safetensors.torch
from torch import Tensor

from workers import keys
from workers.errors import ObjectNotFound
from workers.tasks.context import TaskContext


class BucketKeeper:
    """The `models.snapshots.Keeper` of a step: any worker's attempt finds what another kept."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context

    def load(self, name: str) -> dict[str, Tensor] | None:
        """The state last saved under `name`, on the CPU; None where there is none, or no whole one.

        Raises:
            StorageUnavailable: the store cannot be reached.
        """
        try:
            kept = self._context.store.get(self._key(name))
            state: dict[str, Tensor] = safetensors.torch.load(kept)
        except (ObjectNotFound, safetensors.SafetensorError):
            return None
        return state

    def save(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Keep `state` in place of what was there.

        Raises:
            LeaseLost: another worker has the step by now.
            StorageUnavailable: the store cannot be reached.
        """
        packed = safetensors.torch.save({key: t.contiguous() for key, t in state.items()})
        self._context.fence()
        self._context.store.put(self._key(name), packed)

    def forget(self) -> None:
        """Remove all that was kept: the step has its result."""
        for kept in list(self._context.store.list(self._context.key(keys.SNAPSHOTS))):
            self._context.store.delete(kept.key)

    def _key(self, name: str) -> str:
        return self._context.key(f"{keys.SNAPSHOTS}{name}.safetensors")

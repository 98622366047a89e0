"""What stays warm in a compute worker between steps: the device, and a few networks.

Networks are kept by the sha256 of their file, so one that is asked for again is neither fetched
nor read. This and the compute tasks are the only places of this layer that know torch.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from models.checkpoints.neutral import load_neutral
from models.encoders.encoder import Encoder
from models.encoders.neutral import load_neutral_encoder
from models.label_generator import LabelGenerator, load_label_generator
from models.perceptual import Distance, lpips_distance, random_distance
from models.stylegan2.networks import Generator
from workers.digests import checked_file
from workers.presence import Device

KEPT = 4
"""Networks kept at most; the one that was not asked for the longest goes first."""


class Fetch(Protocol):
    """Copies a file out of the store, e.g. `partial(store.get_file, key)`."""

    def __call__(self, target: Path) -> None:
        """Write the whole file to `target`."""


class Runtime:
    """Device, threads and warm networks of one compute worker.

    Args:
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`.
        threads: of PyTorch on a CPU; 0 for its own choice, which is all cores.
        lpips_trunk: file of the ImageNet weights that LPIPS needs, if there is one.
    """

    def __init__(
        self,
        device: str = "auto",
        threads: int = 0,
        lpips_trunk: Path | None = None,
    ) -> None:
        self.device = torch.device(_chosen(device))
        if threads:
            torch.set_num_threads(threads)
        self._default_threads = torch.get_num_threads()
        self._lpips_trunk = lpips_trunk
        self._warm: OrderedDict[str, Any] = OrderedDict()

    @property
    def threads(self) -> int:
        """Threads of PyTorch that this worker computes with when nothing else is planned."""
        return self._default_threads

    def measured(self) -> Device:
        """The device, and how much of its memory is in use; safe in any thread."""
        if self.device.type != "cuda":
            return Device()
        free, total = torch.cuda.mem_get_info(self.device)
        name = torch.cuda.get_device_name(self.device)
        return Device(name=name, used_bytes=total - free, total_bytes=total)

    @contextmanager
    def computing_with(self, threads: int) -> Iterator[None]:
        """Compute with so many threads, as a plan wants it, and as before afterwards."""
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(self._default_threads)

    def generator(self, sha256: str, fetch: Fetch, scratch: Path) -> Generator:
        """The generator whose neutral file has this digest, on the device."""
        kept: Generator = self._kept(sha256, fetch, scratch, load_neutral)
        return kept

    def encoder(self, sha256: str, fetch: Fetch, scratch: Path) -> Encoder:
        """The encoder whose neutral file has this digest, on the device."""
        kept: Encoder = self._kept(sha256, fetch, scratch, load_neutral_encoder)
        return kept

    def label_generator(self, sha256: str, fetch: Fetch, scratch: Path) -> LabelGenerator:
        """The label generator whose file has this digest, on the device."""
        kept: LabelGenerator = self._kept(sha256, fetch, scratch, load_label_generator)
        return kept

    def distance(self, name: str, seed: int) -> Distance:
        """The distance called `lpips` or `perceptual`, on the device.

        Raises:
            BackboneUnavailable: LPIPS is asked for and its trunk cannot be had.
        """
        key = f"{name}-{seed if name == 'perceptual' else 0}"
        if key not in self._warm:
            self._keep(
                key,
                random_distance(seed, self.device)
                if name == "perceptual"
                else lpips_distance(self._lpips_trunk, self.device),
            )
        self._warm.move_to_end(key)
        kept: Distance = self._warm[key]
        return kept

    def _kept(self, sha256: str, fetch: Fetch, scratch: Path, load: Callable[[Path], Any]) -> Any:
        """A network by its digest, from memory or through `fetch`."""
        if sha256 not in self._warm:
            path = scratch / f"{sha256}.safetensors"
            fetch(path)
            checked_file(path, sha256, "a network's file")
            self._keep(sha256, load(path).to(self.device))
            path.unlink()
        self._warm.move_to_end(sha256)
        return self._warm[sha256]

    def _keep(self, key: str, network: Any) -> None:
        self._warm[key] = network
        while len(self._warm) > KEPT:
            self._warm.popitem(last=False)


def _chosen(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"

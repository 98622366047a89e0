"""Which GPUs this machine has, told without importing torch."""

import os
import re
from collections.abc import Mapping
from pathlib import Path


def gpus(environment: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> list[str]:
    """Names of the NVIDIA GPUs that may be used, as CUDA_VISIBLE_DEVICES spells them."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in {"", "-1"}]
    numbers = [re.fullmatch(r"nvidia(\d+)", entry.name) for entry in dev.glob("nvidia*")]
    return sorted((match[1] for match in numbers if match), key=int)


def workers_by_device(count: int | None, available: list[str]) -> list[str | None]:
    """The GPU of each compute worker, None for the CPU.

    Args:
        count: how many workers; None for one per GPU, or one if there is none.
        available: names of GPUs.
    """
    if not available:
        return [None] * (count or 1)
    return [available[index % len(available)] for index in range(count or len(available))]

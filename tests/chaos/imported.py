"""Imports what every process will need, once, in the server that they are forked from."""

from importlib import import_module

import service.__main__
import workers.reaper
import workers.runtime
import workers.worker
from workers.tasks.registry import TASKS

LOADED = (
    service.__main__,
    workers.reaper,
    workers.runtime,
    workers.worker,
    *(import_module(place.partition(":")[0]) for place in TASKS.values()),
)

"""Which code runs each task. A task's module is imported when the task is first wanted.

So a CPU worker, which has no torch, never meets the modules of compute tasks.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from workers.flows import FLOWS
from workers.tasks.context import TaskContext

Task = Callable[[TaskContext], int | None]
"""Runs a step; returns how many steps the next stage has, if that one asks."""

TASKS: Mapping[str, str] = {
    stage.task: f"workers.tasks.{stage.task}:run" for flow in FLOWS.values() for stage in flow
}
"""`module:function` by task. Nothing else is ever run."""


def load_task(name: str, tasks: Mapping[str, str] = TASKS) -> Task:
    """The function that runs a task.

    Raises:
        KeyError: there is no such task.
    """
    module, _, function = tasks[name].partition(":")
    return cast(Task, getattr(import_module(module), function))

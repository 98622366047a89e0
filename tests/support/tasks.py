"""One task that does what its resource's spec says: the tests' stand-in for all real ones.

Spec: {"do": how} for every stage, or {"do": {stage: how}}; each run leaves a mark in the bucket.
"""

import hashlib
import os
import signal
import time
from functools import partial

from models.errors import CheckpointError
from workers import keys
from workers.errors import Retryable, TaskFailed
from workers.flows import FLOWS
from workers.tasks.context import TaskContext
from workers.tasks.registry import TASKS


def run(task: str, context: TaskContext) -> int | None:
    """
    Leave a mark, behave, and finish the resource if this is its job's last stage.
    """
    mark = context.key(f"marks/{task}-{context.index}/{context.attempt}")
    context.store.put(mark, str(os.getpid()).encode())
    how = context.resource.spec.get("do", "finish")
    how = how.get(task, "finish") if isinstance(how, dict) else how
    BEHAVIOURS[how](context)
    if task == FLOWS[context.job.kind][-1].task:
        name = keys.FINAL[context.resource.collection]
        context.put_json(name, {"attempt": context.attempt})
    return context.resource.spec.get("steps", 3)


def finish(context):
    pass


def work_until_told(context):
    """
    Report every now and then until somebody puts the flag.
    """
    done = 0
    while context.store.size(context.key("go")) is None:
        context.report("working", done, 1000, "rounds")
        done += 1
        time.sleep(0.02)


def work_deaf(context):
    """
    Work on in Python without ever reporting.
    """
    begin = time.monotonic()
    while time.monotonic() - begin < 60:
        time.sleep(0.01)


def work_wedged(context):
    """
    Sit in a native call that no signal interrupts.
    """
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)


def die_once(context):
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def die(context):
    os.kill(os.getpid(), signal.SIGKILL)


def stumble_once(context):
    if context.attempt == 1:
        raise Retryable("the weather")


def stumble(context):
    raise Retryable("the weather")


def refuse(context):
    raise TaskFailed("bad_input", "the input is bad", {"files": ["a.png"]})


def crash(context):
    raise ZeroDivisionError("secret detail")


def bad_checkpoint(context):
    raise CheckpointError("not a StyleGAN2")


def leave(context):
    raise SystemExit(3)


def out_of_memory(context):
    raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")


def device_fault_once(context):
    if context.attempt == 1:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def fill_scratch(context):
    (context.scratch / "file").write_bytes(b"1")
    context.store.put(context.key("scratch"), str(context.scratch).encode())
    work_until_told(context)


BEHAVIOURS = {
    name: value
    for name, value in globals().items()
    if getattr(value, "__module__", "") == __name__ and name != "run"
}
TABLE = {task: f"{__name__}:task_{task}" for task in TASKS}
globals().update({f"task_{task}": partial(run, task) for task in TASKS})

"""Work of some threads beside the caller's, its results in order. Knows nothing of images.

The caller may be stopped between any two bytecodes, by an exception out of a signal's handler.
So whatever it waits for here is a `SimpleQueue`: all of it is C and holds no lock that such an
exception could leave locked, as a `queue.Queue`, a `Condition` or a `Future` may.
"""

from collections import abc, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREAD_NAME = "overlap"
"""What the threads' names begin with."""


def in_order(
    work: Callable[[T], R], items: Iterable[T], threads: int, ahead: int
) -> abc.Generator[R, None, None]:
    """`work` of each item, in the items' order; others are made while the threads work.

    What was begun is finished when this ends, however it ends: no thread is left. (One that was
    just being started when an exception tore in is not waited for; it ends at once on its own.)

    Args:
        work: is called in the threads, in any order; should leave the interpreter's lock alone.
        items: taken in the caller's thread, one by one.
        threads: how many; with 0 the caller does the work itself, item after item.
        ahead: items that have been taken and whose results have not, at most, when another one
            is taken. A caller that makes items in batches needs as many as a batch to go on.

    Raises:
        BaseException: what `items` raise, at once, or `work`, when the results before that one
            have been taken; it is the very same object.
    """
    if not threads:
        yield from map(work, items)
        return
    tasks = SimpleQueue[_Task[T, R] | None]()
    started: list[Thread] = []
    try:
        for number in range(threads):
            name = f"{THREAD_NAME}-{number}"
            started.append(Thread(target=_serve, args=(work, tasks), name=name, daemon=True))
            started[-1].start()
        yield from _through(tasks, items, ahead)
    finally:
        _end(tasks, started)


@dataclass
class _Failure:
    """An error where a result was wanted."""

    error: BaseException


@dataclass
class _Task(Generic[T, R]):
    """An item on its way to a thread, and where the result will be."""

    item: T
    answer: "SimpleQueue[R | _Failure]" = field(default_factory=SimpleQueue)

    @property
    def is_done(self) -> bool:
        """Whether there is an answer, or an error."""
        return not self.answer.empty()

    def result(self) -> R:
        """The result, which is waited for, once; or the error is raised."""
        found = self.answer.get()
        if isinstance(found, _Failure):
            raise found.error
        return found


def _through(
    tasks: "SimpleQueue[_Task[T, R] | None]", items: Iterable[T], ahead: int
) -> abc.Generator[R, None, None]:
    """Put the items' tasks into the queue and take their results, as soon as there are any."""
    begun = deque[_Task[T, R]]()
    for item in items:
        task = _Task[T, R](item)
        tasks.put(task)
        begun.append(task)
        while begun and (begun[0].is_done or len(begun) > ahead):
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def _serve(work: Callable[[T], R], tasks: "SimpleQueue[_Task[T, R] | None]") -> None:
    """A thread: one task after the other, until there is None."""
    while (task := tasks.get()) is not None:
        try:
            task.answer.put(work(task.item))
        except BaseException as error:  # Whatever it was, the caller must hear of it.
            task.answer.put(_Failure(error))
        del task  # Or the last item would be kept as long as this waits for another.


def _end(tasks: "SimpleQueue[_Task[T, R] | None]", started: list[Thread]) -> None:
    """Drop what no thread has begun, and wait until the threads have ended."""
    with suppress(Empty):
        while True:
            tasks.get_nowait()
    for _ in started:
        tasks.put(None)
    for thread in started:
        if thread.ident is not None:  # Of the last one nobody may know whether it was started.
            thread.join()

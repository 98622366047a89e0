"""Waiting for jobs to change without holding a thread: one subscription for all who wait."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from workers import redis_names as names
from workers.errors import QueueUnavailable, StorageUnavailable
from workers.job_store import JobStore
from workers.jobs import JobRecord

# A message can be lost: who waits looks now and then, told or not.
_LOOK_AGAIN_SECONDS = 5.0
_RECONNECT_SECONDS = 1.0
_OPTIONS: dict[str, Any] = {"socket_connect_timeout": 5, "health_check_interval": 30}


class JobWatch:
    """Tells those who wait for a job that it has changed. Belongs to one event loop.

    Args:
        redis_url: where changes are told.
        jobs: where they are read.
    """

    def __init__(self, redis_url: str, jobs: JobStore) -> None:
        self._redis_url = redis_url
        self._jobs = jobs
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listens = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    async def until(
        self, record: JobRecord, is_done: Callable[[JobRecord], bool], seconds: float
    ) -> JobRecord:
        """The job as soon as `is_done` says so of it, or when the time is up.

        Raises:
            QueueUnavailable, StorageUnavailable: it cannot be read any more.
        """
        deadline = time.monotonic() + seconds
        with self._told(record) as told:
            while not is_done(record) and (left := deadline - time.monotonic()) > 0:
                record = await self._next(record, told, left)
        return record

    async def snapshots(self, record: JobRecord) -> AsyncIterator[JobRecord]:
        """This record and each that follows, until the job has ended or cannot be read."""
        yield record
        with self._told(record) as told, suppress(QueueUnavailable, StorageUnavailable):
            while not record.state.is_terminal:
                following = await self._next(record, told, _LOOK_AGAIN_SECONDS)
                if following.version != record.version:
                    yield following
                record = following

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    async def _next(self, record: JobRecord, told: asyncio.Event, seconds: float) -> JobRecord:
        """The job once something may have happened to it."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        with suppress(TimeoutError):  # Where Redis is away, reading it will say so.
            await asyncio.wait_for(self._listens.wait(), _RECONNECT_SECONDS)
        told.clear()
        # Read after listening began, or a change in between would go unnoticed.
        now = await run_in_threadpool(self._jobs.get, record.tenant, record.id)
        if now.version == record.version:
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), min(seconds, _LOOK_AGAIN_SECONDS))
        return now

    @contextmanager
    def _told(self, record: JobRecord) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job has changed."""
        channel, event = names.changes(record.tenant, record.id), asyncio.Event()
        self._waiting[channel].add(event)
        try:
            yield event
        finally:
            self._waiting[channel].discard(event)
            if not self._waiting[channel]:
                del self._waiting[channel]

    async def _listen(self) -> None:
        """Pass on what Redis tells, for ever; where it is away, come back."""
        while True:
            with suppress(RedisError, OSError):
                await self._pass_on()
            self._listens.clear()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _pass_on(self) -> None:
        """Pass on what one connection tells, until it breaks."""
        async with (
            Redis.from_url(self._redis_url, decode_responses=True, **_OPTIONS) as redis,
            redis.pubsub() as changes,
        ):
            await changes.psubscribe(names.changes("*", "*"))
            while True:
                message = await changes.get_message(timeout=_LOOK_AGAIN_SECONDS)
                if message is None:
                    continue
                if message["type"] == "psubscribe":
                    self._listens.set()
                for event in self._waiting.get(message["channel"], ()):
                    event.set()

"""Stand-ins with the real interfaces; the behaviour suites of the real things run over them too."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workers.errors import ObjectNotFound
from workers.flows import QueueName
from workers.steps import StepRef
from workers.storage.base import ObjectInfo, Source, UploadTarget, check_key, check_prefix


class FakeClock:
    """
    A clock that moves by a second at each look, or stands still.
    """

    def __init__(self, step_seconds: float = 1.0):
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.step = timedelta(seconds=step_seconds)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


class FakeQueue:
    """
    Queues in memory.
    """

    def __init__(self):
        self.entries: dict[QueueName, list[StepRef]] = {name: [] for name in QueueName}
        self.cleaned = 0

    def put(self, queue: QueueName, steps: Sequence[StepRef]) -> None:
        self.entries[queue].extend(steps)

    def waiting(self, queue: QueueName) -> set[str]:
        return {step.name for step in self.entries[queue]}

    def depths(self) -> Mapping[str, int]:
        return {str(name): len(steps) for name, steps in self.entries.items()}

    def clean(self) -> None:
        self.cleaned += 1

    def take(self, queue: QueueName) -> StepRef | None:
        """
        What the next worker gets.
        """
        return self.entries[queue].pop(0) if self.entries[queue] else None

    def take_any(self) -> StepRef | None:
        """
        The same from whichever queue has something.
        """
        return next((step for name in QueueName if (step := self.take(name))), None)


class FakeStore:
    """
    A bucket in memory. `broken` is an error that every call raises while it is set.
    """

    def __init__(self):
        self.objects: dict[str, bytes] = {}
        self.broken: Exception | None = None

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self.objects[self._checked(key)] = bytes(data)

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        return self.objects.setdefault(self._checked(key), written := bytes(data)) is written

    def put_file(self, key: str, source: Path, content_type: str = "") -> None:
        self.put(key, source.read_bytes())

    def put_stream(self, key: str, source: Source, limit: int, content_type: str = "") -> int:
        data = b""
        while chunk := source.read(1 << 20):
            data += chunk
            if len(data) > limit:
                raise ValueError(f"the stream holds more than the {limit} bytes allowed")
        self.put(key, data)
        return len(data)

    def get(self, key: str) -> bytes:
        try:
            return self.objects[self._checked(key)]
        except KeyError as error:
            raise ObjectNotFound(f"there is no object {key!r}") from error

    def get_file(self, key: str, target: Path) -> None:
        target.write_bytes(self.get(key))

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if start < 0 or (end is not None and end < 0):
            raise ValueError(f"a range begins and ends at 0 or later, got [{start}, {end})")
        data = self.get(key)[start:end]
        return iter([data] if data else [])

    def size(self, key: str) -> int | None:
        data = self.objects.get(self._checked(key))
        return None if data is None else len(data)

    def tag(self, key: str) -> str | None:
        data = self.objects.get(self._checked(key))
        return None if data is None else hashlib.md5(data).hexdigest()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._checked("list")
        check_prefix(prefix)
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(self.objects[key]))

    def folders(self, prefix: str) -> Iterator[str]:
        below = [info.key.removeprefix(prefix).split("/") for info in self.list(prefix)]
        yield from dict.fromkeys(parts[0] for parts in below if len(parts) > 1)

    def delete(self, key: str) -> None:
        self.objects.pop(self._checked(key), None)

    def upload_target(self, key: str, expires_seconds: int) -> UploadTarget | None:
        self._checked(key)
        return None

    def download_url(self, key: str, expires_seconds: int, filename: str) -> str | None:
        self._checked(key)
        return None

    def remove_left_over(self, seconds: float = 0.0) -> int:
        self._checked("left")
        return 0

    def free_bytes(self) -> int | None:
        return None

    def check(self) -> None:
        self._checked("check")

    def _checked(self, key: str) -> str:
        if self.broken is not None:
            raise self.broken
        return check_key(key)

"""What is wrong with a deployment, in words: each check finds what is well and what is not.

Looks from where it runs: it needs the service's settings, and reaches Redis, the store and the
service as they say. Writes a few probes into the store, and removes them.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from service.access import AccessDocuments
from service.auth import refusal_to_bind
from service.door import AuthMode, Door
from service.quota import Quota
from service.settings import ServiceSettings
from service.store_check import probe_key, write_and_read
from workers import redis_names as names
from workers.embedded_redis import OLDEST
from workers.flows import QueueName
from workers.parts import Parts
from workers.presence import REAPER, Process, processes
from workers.settings import WorkerSettings

_SKEW_SECONDS = 60.0  # S3 servers refuse signatures that are fifteen minutes off.
_LITTLE_BYTES = 2 << 30
_TOO_LITTLE_BYTES = 256 << 20
_WRITERS = 8
_TRUNK = Path("hub/checkpoints/vgg16-397923af.pth")  # As torch keeps it.


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    HINT = "hint"  # It works, but somebody should know.
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """What a check found; `remedy` is what to do about it."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Deployment:
    """What is looked at.

    Attributes:
        url: of the service.
        api_key: for it, where it wants one.
        http: in place of the network; for tests.
    """

    service: ServiceSettings
    worker: WorkerSettings
    parts: Parts
    url: str
    api_key: str | None = None
    http: httpx.BaseTransport | None = None


def check_up(deployment: Deployment) -> Iterator[Finding]:
    """Everything, in the order in which it would have to be put right."""
    for name, check in _CHECKS.items():
        try:
            yield from check(deployment)
        except Exception as error:  # Whatever it is, it is what we are here to find.
            reason = f"{type(error).__name__}: {error}"
            yield Finding(name, Status.WRONG, reason, _REMEDIES.get(name, ""))


def _redis(deployment: Deployment) -> Iterator[Finding]:
    found: Mapping[str, Any] = deployment.parts.redis.info()
    said = str(found.get("valkey_version") or found["redis_version"])
    numbers = tuple(int(part) for part in said.split(".")[:2])
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield _wrong("redis", f"version {said} is older than {wanted}", "upgrade it")
    else:
        yield _ok("redis", f"version {said} answers")
    yield from _persistence(found)
    seconds, _ = deployment.parts.redis.time()
    yield from _skew("redis clock", int(seconds))


def _persistence(found: Mapping[str, Any]) -> Iterator[Finding]:
    if not found.get("aof_enabled"):
        detail = "append-only file is off: after a restart every job is read from the bucket again"
        yield _hint("redis persistence", detail, "set appendonly yes")
    elif found.get("aof_last_write_status", "ok") != "ok":
        detail = "the append-only file could not be written"
        yield _wrong("redis persistence", detail, "look at Redis's log and its disk")
    else:
        yield _ok("redis persistence", "append-only file is on")
    policy = found.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        detail = f"maxmemory-policy is {policy}: Redis may forget jobs that run"
        yield _wrong("redis memory", detail, "set maxmemory-policy noeviction")


def _store(deployment: Deployment) -> Iterator[Finding]:
    store = deployment.parts.store
    store.check()
    write_and_read(store)
    yield _ok("store", "an object was written, read and removed")
    key = probe_key()
    try:
        with ThreadPoolExecutor(_WRITERS) as pool:
            written = list(pool.map(lambda n: store.put_if_absent(key, b"%d" % n), range(_WRITERS)))
    finally:
        store.delete(key)
    if sum(written) == 1:
        yield _ok("store conditional writes", f"of {_WRITERS} writers at once one succeeded")
    else:
        detail = f"of {_WRITERS} writers at once {sum(written)} succeeded"
        remedy = "no job is lost by it; use a store that knows If-None-Match if there is a choice"
        yield _hint("store conditional writes", detail, remedy)
    free = store.free_bytes()
    if free is not None:
        yield _room("store room", free, "free some space, or set rules: handsoff admin retention")


def _presigned(deployment: Deployment) -> Iterator[Finding]:
    store, key = deployment.parts.store, probe_key()
    target, source = store.upload_target(key, 60), store.download_url(key, 60, "probe")
    if target is None or source is None:
        yield _ok("store addresses", "the service itself takes and hands out the bytes")
        return
    try:
        with httpx.Client(timeout=10, transport=deployment.http) as client:
            client.put(target.url, content=b"probe", headers=target.headers).raise_for_status()
            answer = client.get(source).raise_for_status()
    finally:
        store.delete(key)
    if answer.content != b"probe":
        yield _wrong("store addresses", "a presigned URL gave other bytes", _ADDRESS)
        return
    yield _ok("store addresses", f"presigned URLs of {httpx.URL(source).host} work from here")
    if date := answer.headers.get("Date"):
        yield from _skew("store clock", parsedate_to_datetime(date).timestamp())


def _workers(deployment: Deployment) -> Iterator[Finding]:
    found = processes(deployment.parts.redis)
    for role in (*map(str, QueueName), REAPER):
        there = [process for process in found if process.role == role]
        if there:
            yield _ok(f"{role} processes", ", ".join(_described(process) for process in there))
        else:
            yield _wrong(f"{role} processes", "nobody is there", _START[role])
    versions = {process.version for process in found} | {version("handsoff")}
    if len(versions) > 1:
        detail = f"different versions run: {', '.join(sorted(versions))}"
        yield _wrong("versions", detail, "install one version everywhere, and restart")
    else:
        yield _ok("versions", f"all are {versions.pop()}")
    if deployment.parts.redis.get(names.REBUILT) is None:
        detail = "Redis has not been compared with the bucket yet"
        yield _hint("rebuild", detail, "a reaper does that; or run: handsoff admin rebuild")


def _service(deployment: Deployment) -> Iterator[Finding]:
    headers = {"Authorization": f"Bearer {deployment.api_key}"} if deployment.api_key else {}
    with httpx.Client(
        base_url=deployment.url, timeout=10, transport=deployment.http, headers=headers
    ) as client:
        answer = client.get("/readyz")
    if answer.is_success:
        yield _ok("service", f"{deployment.url} is ready")
    else:
        yield _wrong("service", f"{deployment.url}/readyz answered {answer.status_code}")


def _access(deployment: Deployment) -> Iterator[Finding]:
    settings = deployment.service
    guarded = Door(settings.auth, AccessDocuments(deployment.parts.store), Quota()).is_guarded()
    if refusal := refusal_to_bind(settings.host, settings.allow_remote, guarded):
        yield _wrong("access", refusal)
    elif guarded:
        yield _ok("access", "requests need an API key")
    elif settings.allow_remote or settings.auth is AuthMode.OFF:
        detail = "no API key is asked for, and others than this machine may reach the service"
        remedy = "make a key: handsoff keys create, unless something else keeps strangers out"
        yield _hint("access", detail, remedy)
    else:
        yield _ok("access", f"no API keys; the service listens on {settings.host} alone")


def _machine(deployment: Deployment) -> Iterator[Finding]:
    scratch = deployment.worker.scratch
    place = next(path for path in (scratch, *scratch.absolute().parents) if path.exists())
    remedy = "free some space, or set HANDSOFF_SCRATCH to a larger disk"
    yield _room("scratch room", shutil.disk_usage(place).free, remedy)
    trunk = deployment.worker.lpips_trunk or _cached_trunk()
    if trunk.exists():
        yield _ok("LPIPS trunk", str(trunk))
    else:
        remedy = 'set HANDSOFF_LPIPS_TRUNK to a copy, or ask for distance="perceptual"'
        yield _hint("LPIPS trunk", f"not here ({trunk}); workers try to download it", remedy)


def _cached_trunk() -> Path:
    """Where torch keeps the trunk; torch itself is not asked, for it need not be installed."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(cache, "torch"), _TRUNK)


def _room(check: str, free: int, remedy: str) -> Finding:
    detail = f"{free / (1 << 30):.1f} GiB are free"
    if free < _TOO_LITTLE_BYTES:
        return _wrong(check, detail, remedy)
    return _hint(check, detail, remedy) if free < _LITTLE_BYTES else _ok(check, detail)


def _skew(check: str, seconds: float) -> Iterator[Finding]:
    off = abs(datetime.now(UTC).timestamp() - seconds)
    if off > _SKEW_SECONDS:
        yield _wrong(check, f"differs from this machine's by {off:.0f} s", "run NTP on both")
    else:
        yield _ok(check, f"agrees with this machine's to {max(1.0, off):.0f} s")


def _described(process: Process) -> str:
    return f"{process.host} process {process.pid} on {process.device.name}"


def _ok(check: str, detail: str) -> Finding:
    return Finding(check, Status.OK, detail)


def _hint(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, Status.HINT, detail, remedy)


def _wrong(check: str, detail: str, remedy: str = "") -> Finding:
    return Finding(check, Status.WRONG, detail, remedy)


_ADDRESS = "HANDSOFF_S3_PUBLIC_ENDPOINT_URL must be the bucket's server as clients reach it"
_START: Mapping[str, str] = {
    QueueName.CPU: "start one: python -m workers.worker --queue cpu",
    QueueName.COMPUTE: "start one: python -m workers.worker --queue compute",
    REAPER: "start one: python -m workers.reaper",
}
_CHECKS: Mapping[str, Callable[[Deployment], Iterator[Finding]]] = {
    "redis": _redis,
    "store": _store,
    "store addresses": _presigned,
    "processes": _workers,
    "service": _service,
    "access": _access,
    "machine": _machine,
}
_REMEDIES: Mapping[str, str] = {
    "redis": "start it, or correct HANDSOFF_REDIS_URL",
    "store": "correct HANDSOFF_STORE_URL and the S3 settings, or the rights of their key",
    "store addresses": _ADDRESS,
    "processes": "Redis has to answer first",
    "service": "start it: python -m service; or say where it is: --url",
}

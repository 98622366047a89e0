"""One HandsOff to be tried: its servers, its processes, and what was made in it beforehand."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from support.compute import INVERSION, LABEL_GENERATOR, LABELS
from support.networks import small_generator
from support.processes import free_port
from support.s3 import S3Endpoint, s3_settings
from support.waiting import until

from models.checkpoints.neutral import save_generator
from models.data.images import encode_png
from models.latents import mapped
from models.pixels import as_pixels
from models.seeding import philox
from service.client import Client
from tests.chaos.fleet import ROLES, Fleet
from tests.chaos.proxy import Proxy
from tests.chaos.servers import RedisServer, redis_server, store_environment, store_server
from workers.queue import RqTaskQueue
from workers.redis_client import connect, connect_transport
from workers.storage.base import ObjectStore
from workers.storage.local import LocalStore
from workers.storage.open import open_store

SHORT = {
    "lease_seconds": 3,
    "max_attempts": 20,  # No step is poison, also where a busy machine starves the heartbeats.
    "retry_delay_seconds": 0.2,
    "reap_seconds": 0.2,
    "drain_seconds": 1,
    "stop_seconds": 1,
}
"""Settings that make recovery quick; the defaults are the other choice."""

_PICTURES = 3


@dataclass
class World:
    """
    Everything a run needs.

    Attributes:
        disk: a small file system that scratch folders (and a local store) lie on, if there is one.
        redis, queue, store: our own ways, without a proxy.
        label_generator: the id of a ready one.
        pictures: labelled ones, as files: picture and mask.
        before: the keys in the store that are no run's.
    """

    folder: Path
    disk: Path | None
    redis_server: RedisServer
    store_proxy: Proxy | None
    redis: Redis
    queue: RqTaskQueue
    store: ObjectStore
    fleet: Fleet
    client: Client
    label_generator: str
    inversion: str
    pictures: list[tuple[Path, Path]]
    before: frozenset[str]


@contextmanager
def world(folder: Path, store: str, settings: dict[str, Any], disk: Path | None) -> Iterator[World]:
    """
    A world that runs and is ready.

    Args:
        folder: for all its files.
        store: `moto`, `swift` or `file`.
        settings: of the processes, beside addresses.
        disk: see `World`.
    """
    box = Path(tempfile.mkdtemp(dir=disk or folder))
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(folder / "redis"))
        told: dict[str, Any] = {
            "redis_url": server.url,
            "scratch": box / "scratch",
            "port": port,
            "threads": 1,
            "device": "cpu",
            "reserve_bytes": 1 << 20,
            "store_url": (box / "store").as_uri(),
            **settings,
        }
        proxy, opened = None, None
        if store != "file":
            endpoint, proxy = stack.enter_context(store_server(store, folder / "store"))
            told |= store_environment(endpoint, proxy)
            opened = _direct(endpoint)
        opened = opened or LocalStore(box / "store")
        environment = {f"HANDSOFF_{name.upper()}": str(value) for name, value in told.items()}
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        fleet = stack.enter_context(Fleet({**environment, "OMP_NUM_THREADS": "1"}, logs))
        client = stack.enter_context(Client(f"http://127.0.0.1:{port}", attempts=1))
        redis = stack.enter_context(connect(server.direct_url, retries=1))
        transport = stack.enter_context(connect_transport(server.direct_url, retries=1))
        until(lambda: answers(client), 600)
        pictures = draw_pictures(folder)
        inversion, label_generator = prepare(client, folder, pictures)
        yield World(
            folder,
            disk,
            server,
            proxy,
            redis,
            RqTaskQueue(transport),
            opened,
            fleet,
            client,
            label_generator,
            inversion,
            pictures,
            frozenset(info.key for info in opened.list("")),
        )


def answers(client: Client) -> bool:
    """
    Whether the service is ready for work.
    """
    try:
        return bool(client.transport.get("/readyz").is_success)
    except Exception:  # Whatever it was, it was no yes.
        return False


def draw_pictures(folder: Path) -> list[tuple[Path, Path]]:
    """
    Labelled pictures that the small generator drew.
    """
    generator, files = small_generator(), []
    ws = mapped(generator, [philox("chaos", i) for i in range(_PICTURES)])
    images = as_pixels(generator.synthesize(ws), generator.image_shape[1:])
    for index, image in enumerate(images):
        pair = folder / f"image-{index}.png", folder / f"mask-{index}.png"
        pair[0].write_bytes(encode_png(image))
        pair[1].write_bytes(encode_png(LABELS["segmentation"](image[..., 0])))
        files.append(pair)
    return files


def prepare(client: Client, folder: Path, pictures: list[tuple[Path, Path]]) -> tuple[str, str]:
    """
    Make an inversion and a label generator through the service; their ids.
    """
    checkpoint = folder / "generator.safetensors"
    save_generator(small_generator(), checkpoint)
    generator = client.generators.create(checkpoint)
    dataset = client.datasets.create(["dark", "red"])
    client.datasets.add(dataset, pictures)
    client.datasets.seal(dataset)
    inversion = client.inversions.create(dataset, generator, **INVERSION)
    ready = client.wait(client.label_generators.create(inversion, **LABEL_GENERATOR), timeout=1200)
    return inversion.id, ready.id


def keep_logs(world: World, target: Path) -> None:
    """
    Copy what the processes have said so far, and forget it here.
    """
    target.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        log = world.fleet.logs / f"{role}.log"
        if log.exists():
            (target / log.name).write_bytes(log.read_bytes())


def forget_logs(world: World) -> None:
    """
    Empty the logs; processes append to them.
    """
    for role in ROLES:
        log = world.fleet.logs / f"{role}.log"
        if log.exists():
            os.truncate(log, 0)


def _direct(endpoint: S3Endpoint) -> ObjectStore:
    return open_store(s3_settings(endpoint, "chaos"))
